"""The main job, step by step: windows in, a verified int8 model out.

Each step is a function; a step whose files are there already is not done again, so that an interrupted run
goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import keras
import numpy as np
from numpy.typing import NDArray

from micronas_tf import delivery
from micronas_tf.architecture import Architecture
from micronas_tf.boards import DEFAULT_BOARD, Board, Budget, load_board
from micronas_tf.cost import LatencySource, NetworkCosts, Runtime, network_costs
from micronas_tf.datasets import Dataset, Standardisation, split
from micronas_tf.details import compare_float_and_ptq, run_details
from micronas_tf.errors import RunError
from micronas_tf.estimation import latency_source, mean_error
from micronas_tf.files import clear_temporaries, write_atomically
from micronas_tf.front import Pareto
from micronas_tf.models import build_model, export_saved_model, load_model, save_model
from micronas_tf.ops import Network
from micronas_tf.progress import Progress, silent
from micronas_tf.promise import verification
from micronas_tf.quantize import FINE_TUNING, QatRecipe, quantise_ptq, quantise_qat, train_qat, verify
from micronas_tf.record import RunRecord, run_record
from micronas_tf.report import write_report
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import (
    STATISTICS_BATCHES,
    Candidate,
    Projector,
    Ranked,
    SearchRecipe,
    SpaceFigures,
    Strategy,
    random_search,
    rank,
    search,
    tabulate_figures,
    train_and_rank,
)
from micronas_tf.space import SpaceConfig, build_space, lower
from micronas_tf.time_budget import TimeBudget
from micronas_tf.timing import Pace, Stopwatch
from micronas_tf.training import TrainingRecipe, float_scores, network_input, train, training_batches

Quantisation: TypeAlias = Literal["qat", "qat-scratch", "ptq"]

ALPHA_FRACTION = 0.3
"""Share of the training windows that train the logits during the search."""

CALIBRATION_WINDOWS = 512


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything but the data that decides a run.

    Attributes:
        board: id, or path of a board's TOML file.
        budget: the limits.
        latency_source: `auto` (a measured table, then the fitted model), `ops` (operation count), or the path
            of a lookup table.
        runtime: whose kernels will run the model: `tflm` or `bundle`.
        margin: latency is kept below limit / (1 + margin); None takes the source's mean error.
        strategy: how architectures are found.
        quantisation: QAT as fine-tuning, QAT from scratch (as the paper does), or PTQ.
        seed: of everything random.
        space: numbers of the search space.
        search: recipe of the search.
        training: recipe of the plain model.
        saved_model: also write a SavedModel.
        time_budget_s: of the whole job, all its resumes together; None: no limit.
        pareto: the cost to show the trade-off of; None: only the one answer.
    """

    board: str = DEFAULT_BOARD
    budget: Budget = field(default_factory=Budget)
    latency_source: str = "auto"
    runtime: Runtime = "tflm"
    margin: float | None = None
    strategy: Strategy = "dnas"
    quantisation: Quantisation = "qat"
    seed: int = 0
    space: SpaceConfig = field(default_factory=SpaceConfig)
    search: SearchRecipe = field(default_factory=SearchRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    saved_model: bool = False
    time_budget_s: float | None = None
    pareto: Pareto | None = None

    def __post_init__(self) -> None:
        if self.quantisation not in get_args(Quantisation):
            raise RunError(f"Quantisation is one of {get_args(Quantisation)}. Received: {self.quantisation!r}.")
        if self.strategy not in get_args(Strategy):
            raise RunError(f"A strategy is one of {get_args(Strategy)}. Received: {self.strategy!r}.")

        if self.time_budget_s is not None and not self.time_budget_s > 0:
            raise RunError(f"A time budget is more than 0 seconds. Received: {self.time_budget_s}.")
        if self.strategy == "random" and (self.pareto or self.time_budget_s is not None):
            raise RunError(
                "A Pareto front and a time budget need a supernet, and the strategy random has none: it trains every "
                "architecture in full. Choose another --strategy, or leave --pareto and --time-budget out."
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """Raises RunError if the settings are of another version."""
        try:
            parts = {
                "budget": Budget(**data["budget"]),
                "space": SpaceConfig.from_json(data["space"]),
                "search": SearchRecipe(**data["search"]),
                "training": TrainingRecipe(**data["training"]),
                "pareto": Pareto(**data["pareto"]) if data.get("pareto") else None,
            }
            return cls(**{**data, **parts})
        except (KeyError, TypeError) as error:
            raise RunError(
                f"The run's settings are of another version of micronas-tf: {error}. Start a new run."
            ) from error


@dataclass(frozen=True, slots=True)
class Result:
    """What a run delivers.

    Attributes:
        model: plain Keras model of stock layers, standardised windows [B, T, S, 1] → probabilities [B, classes].
        architecture: the choices.
        network: its operators.
        tflite: the int8 flatbuffer.
        standardisation: apply it to raw windows [..., S] first.
        metrics: accuracy, costs, budget, verification (docs/file-formats.md).
        directory: where the files lie.
    """

    model: keras.Model
    architecture: Architecture
    network: Network
    tflite: bytes
    standardisation: Standardisation
    metrics: dict[str, Any]
    directory: Path

    @property
    def within_budget(self) -> bool:
        return bool(self.metrics["within_budget"])

    @property
    def pareto(self) -> dict[str, Any] | None:
        """The trade-off, if one was asked for: the content of `pareto.json`."""
        path = RunDirectory(self.directory).pareto
        return read_json(path) if path.exists() else None


@dataclass(frozen=True)
class Plan:
    """A dataset and its settings, with what follows from them before anything is trained."""

    dataset: Dataset
    settings: Settings
    board: Board
    source: LatencySource
    figures: SpaceFigures
    projector: Projector

    def costs(self, network: Network) -> NetworkCosts:
        return network_costs(network, self.source, self.board)

    def steps(self) -> dict[str, int]:
        """Batches of the stages in full, of one model where there are several."""
        settings, windows = self.settings, len(self.dataset.train)
        training = settings.training.steps(windows)
        quantising = {"ptq": 0, "qat": FINE_TUNING.steps, "qat-scratch": training}
        return {
            "ranking": (settings.search.candidates + settings.search.rungs) * STATISTICS_BATCHES,
            "trials": self.trial_recipe.steps(round((1 - ALPHA_FRACTION) * windows)),
            "training": training,
            "quantising": quantising[settings.quantisation],
            "verifying": len(self.dataset.test) // settings.training.batch_size_for(windows),
        }

    @property
    def trial_recipe(self) -> TrainingRecipe:
        """Of the models that are trained to compare architectures."""
        return self.settings.training.shortened(self.settings.search.trial_share)

    def repeats(self) -> dict[str, int]:
        """How many models go through a stage at most, where this is not one."""
        models = self.settings.pareto.points if self.settings.pareto else 1
        each = dict.fromkeys(("training", "quantising", "verifying", "reporting"), models)
        return {"trials": self.settings.search.trials, **each}


def make_plan(dataset: Dataset, settings: Settings) -> Plan:
    """Look up the board and its latency source, build the space, and refuse an impossible budget.

    Raises:
        BoardError, CostError, SpaceError: unknown board, no latency source, no space for these windows.
        BudgetError: no architecture fits.
    """
    board = load_board(settings.board)
    source = latency_source(settings.latency_source, board, settings.runtime)
    train_part = dataset.train
    space = build_space(train_part.window, train_part.sensors, train_part.n_classes, settings.space)
    figures = tabulate_figures(space, board, settings.budget, source)
    margin = mean_error(space, source) if settings.margin is None else settings.margin
    projector = Projector(figures, lambda network: network_costs(network, source, board), margin)
    projector.check()
    return Plan(dataset, settings, board, source, figures, projector)


def run(
    dataset: Dataset,
    settings: Settings,
    directory: Path,
    *,
    about: Mapping[str, Any],
    progress: Progress = silent,
    started: float | None = None,
    afterwards: Callable[[Plan, Result, Stopwatch], None] | None = None,
) -> Result:
    """Search, train, quantise, verify and export; or go on with what `directory` holds.

    Args:
        dataset: windows.
        settings: everything else.
        directory: of the run; `RunDirectory.claim` has made it.
        about: what to remember of the command, for `resume`.
        progress: hears of the stages `search`, `projecting`, `ranking`, `trials`, `training`, `quantising`,
            `verifying`, `reporting`.
        started: `time.monotonic()` when the job began, where that was before this call.
        afterwards: what else belongs to the run, when its answer is there.
    """
    files = RunDirectory(directory)
    plan = make_plan(dataset, settings)
    clear_temporaries(directory)
    record = RunRecord(files.run, run_record(dataset, settings, about))
    progress = watch = Stopwatch(progress, record.seconds, record.keep_seconds, started=started)
    time = TimeBudget(settings.time_budget_s, watch, record, plan.steps(), plan.repeats())
    standardisation = Standardisation.fit(dataset.train)
    write_json(files.standardisation, standardisation.to_json())
    candidate = find_architecture(plan, files, standardisation, progress, time)
    network = candidate.network
    model = train_model(plan, files, network, standardisation, progress, time.pace("training"))
    flatbuffer = quantise(plan, files, network, model, standardisation, progress, time.pace("quantising"))
    metrics = evaluate(plan, candidate, model, flatbuffer, standardisation, progress)
    write_json(files.metrics, metrics)
    progress("reporting", 0, 3, {})
    write_json(files.details, details(plan, candidate, model, standardisation))
    progress("reporting", 1, 3, {})
    metrics = export(plan, files, flatbuffer, standardisation, metrics)
    progress("reporting", 2, 3, {})
    result = Result(model, candidate.architecture, network, flatbuffer, standardisation, metrics, directory)
    if afterwards is not None:
        afterwards(plan, result, watch)
    record.keep_seconds(watch.seconds)
    record.finish()
    write_report(directory)
    progress("reporting", 3, 3, {})
    record.keep_seconds(watch.seconds)
    if time.limit_s is not None:
        metrics["time"] = time.to_json()
        write_json(files.metrics, metrics)
    return result


def find_architecture(
    plan: Plan,
    files: RunDirectory,
    standardisation: Standardisation,
    progress: Progress,
    time: TimeBudget | None = None,
) -> Candidate:
    """Search, project what was found onto the budget, and take the best of the most probable.

    Raises:
        BudgetError: no architecture fits.
    """
    space = plan.figures.space
    if files.architecture.exists():
        architecture = Architecture.from_json(read_json(files.architecture))
        network = lower(space, architecture)
        return Candidate(architecture, network, plan.costs(network), 0.0)
    ranked = _ranked(plan, files, standardisation, progress, time)
    write_json(files.candidates, [_describe(item) for item in ranked])
    candidate = ranked[0].candidate
    write_json(files.network, candidate.network.to_json())
    write_json(files.architecture, candidate.architecture.to_json())
    return candidate


def _ranked(
    plan: Plan, files: RunDirectory, standardisation: Standardisation, progress: Progress, time: TimeBudget | None
) -> list[Ranked]:
    """Architectures within budget, compared on windows that train no weights, best first."""
    settings = plan.settings
    weights, alphas = split(plan.dataset.train, ALPHA_FRACTION, seed=settings.seed)
    if settings.strategy == "random":
        return random_search(
            plan.projector,
            weights,
            alphas,
            standardisation,
            settings.training,
            max(1, settings.search.trials),
            seed=settings.seed,
            directory=files.search,
            progress=progress,
        )
    supernet = search(
        plan.figures,
        weights,
        alphas,
        standardisation,
        settings.search,
        seed=settings.seed,
        strategy=settings.strategy,
        directory=files.search,
        progress=progress,
        pace=time.pace("search") if time else None,
    )
    probabilities = supernet.probabilities()
    write_json(files.probabilities, probabilities)
    candidates = _candidates(plan, probabilities, progress)
    ranked = rank(supernet, candidates, weights, alphas, standardisation, seed=settings.seed, progress=progress)
    rounds = time.rounds("trials") if time else None
    if not settings.search.trials or (rounds is not None and not rounds.begin()):
        return ranked
    tried = _tried(plan, probabilities, ranked)
    return train_and_rank(
        tried,
        weights,
        alphas,
        standardisation,
        plan.trial_recipe,
        seed=settings.seed,
        total=len(tried),
        directory=files.search,
        progress=progress,
        stop=rounds.step if rounds else lambda: False,
    )


def _tried(plan: Plan, probabilities: Mapping[str, Sequence[float]], ranked: Sequence[Ranked]) -> list[Candidate]:
    """What the supernet ranks first and random ones near the limit, in turn: the time may end with any of them."""
    settings = plan.settings
    trials = settings.search.trials
    found = [one.candidate for one in ranked[: trials - trials // 2]]
    others = plan.projector.explore(probabilities, trials // 2, settings.search.explore, settings.seed)
    both = [candidate for pair in zip_longest(found, others) for candidate in pair if candidate is not None]
    return list({candidate.architecture: candidate for candidate in both}.values())


def _candidates(plan: Plan, probabilities: Mapping[str, Sequence[float]], progress: Progress) -> list[Candidate]:
    """The most probable architectures, and those of a ladder up to the limit: undecided gates tell little of size."""
    recipe = plan.settings.search
    best = plan.projector.best(probabilities, recipe.candidates, progress)
    ladder = plan.projector.ladder(probabilities, recipe.rungs, progress)
    return list({candidate.architecture: candidate for candidate in (*best, *ladder)}.values())


def _describe(ranked: Ranked) -> dict[str, Any]:
    candidate = ranked.candidate
    return {
        "accuracy": ranked.accuracy,
        "cross_entropy": ranked.cross_entropy,
        "score": candidate.score,
        **candidate.costs.to_json(),
        "architecture": candidate.architecture.to_json(),
    }


def train_model(  # noqa: PLR0917
    plan: Plan,
    files: RunDirectory,
    network: Network,
    standardisation: Standardisation,
    progress: Progress,
    pace: Pace | None = None,
) -> keras.Model:
    """Train the plain model from scratch on the whole train part."""
    settings = plan.settings
    if files.model.exists():
        model = load_model(files.model)
        if settings.saved_model:
            export_saved_model(model, files.saved_model)
        return model
    keras.utils.set_random_seed(settings.seed)
    model = build_model(network, dropout=settings.training.dropout)
    windows, seed = plan.dataset.train, settings.seed
    train(model, windows, standardisation, settings.training, seed=seed, progress=progress, pace=pace)
    # A copy that was never compiled: without the optimiser's state, and without its schedule to load.
    plain = build_model(network, dropout=settings.training.dropout)
    plain.set_weights(model.get_weights())
    save_model(plain, files.model)
    if settings.saved_model:
        export_saved_model(plain, files.saved_model)
    return plain


def quantise(  # noqa: PLR0917
    plan: Plan,
    files: RunDirectory,
    network: Network,
    model: keras.Model,
    standardisation: Standardisation,
    progress: Progress,
    pace: Pace | None = None,
) -> bytes:
    """The int8 flatbuffer, by the chosen way."""
    if files.flatbuffer.exists():
        return files.flatbuffer.read_bytes()
    # As `train` has left it: tf.data mixes the global seed into its streams, and a resumed run comes here directly.
    keras.utils.set_random_seed(plan.settings.seed)
    settings, windows = plan.settings, plan.dataset.train
    recipe = settings.training
    calibration = calibration_windows(plan, standardisation)
    batches = training_batches(
        windows,
        standardisation,
        batch_size=recipe.batch_size_for(len(windows)),
        rotation_degrees=recipe.rotation_degrees,
        seed=settings.seed + 1,
    )
    ways: dict[str, Callable[[], bytes]] = {
        "ptq": lambda: quantise_ptq(network, model, calibration),
        "qat": lambda: quantise_qat(
            network, model, batches, calibration, seed=settings.seed, progress=progress, pace=pace
        ),
        "qat-scratch": lambda: train_qat(
            network,
            batches,
            calibration,
            recipe=QatRecipe(recipe.steps(len(windows)), recipe.peak_learning_rate, recipe.warmup),
            seed=settings.seed,
            progress=progress,
            pace=pace,
        ),
    }
    flatbuffer = ways[settings.quantisation]()
    write_atomically(files.flatbuffer, flatbuffer)
    return flatbuffer


def calibration_windows(plan: Plan, standardisation: Standardisation) -> NDArray[np.float32]:
    """Standardised training windows [n, T, S, 1] from which int8 takes its ranges."""
    windows = plan.dataset.train
    draw = np.random.default_rng(plan.settings.seed).permutation(len(windows))[:CALIBRATION_WINDOWS]
    return network_input(windows.subset(np.sort(draw)), standardisation)


def evaluate(  # noqa: PLR0917
    plan: Plan,
    candidate: Candidate,
    model: keras.Model,
    flatbuffer: bytes,
    standardisation: Standardisation,
    progress: Progress,
) -> dict[str, Any]:
    """Accuracy on the test part, float and int8, and whether every promise holds."""
    progress("verifying", 0, 1, {})
    x, y = network_input(plan.dataset.test, standardisation), plan.dataset.test.y
    report = verify(flatbuffer, candidate.network, x, y)
    budget = plan.settings.budget
    excess = candidate.costs.excess(budget)
    if budget.flash_bytes is not None and len(flatbuffer) > budget.flash_bytes:
        excess["flash_bytes"] = (len(flatbuffer), budget.flash_bytes)
    progress("verifying", 1, 1, {"accuracy": report.accuracy})
    return {
        "int8": {"accuracy": report.accuracy, "macro_f1": report.macro_f1},
        "float": float_scores(model, x, y),
        **candidate.costs.to_json(),
        "flatbuffer_bytes": len(flatbuffer),
        "board": plan.board.id,
        "budget": budget.to_json(),
        "margin": plan.projector.margin,
        "within_budget": not excess,
        "excess": {name: list(pair) for name, pair in excess.items()},
        "verified": report.bit_equal and report.head_as_planned,
        "verification": verification(report),
        "confusions": report.confusions(y),
    }


def details(plan: Plan, candidate: Candidate, model: keras.Model, standardisation: Standardisation) -> dict[str, Any]:
    """What the report shows beyond the metrics, for `details.json`."""
    calibration = None if plan.settings.quantisation == "ptq" else calibration_windows(plan, standardisation)
    x, y = network_input(plan.dataset.test, standardisation), plan.dataset.test.y
    return {
        **run_details(candidate.network, candidate.costs.latency, plan.board, plan.dataset),
        **compare_float_and_ptq(candidate.network, model, calibration, x, y),
    }


def export(
    plan: Plan, files: RunDirectory, flatbuffer: bytes, standardisation: Standardisation, metrics: dict[str, Any]
) -> dict[str, Any]:
    """Write the bundle, and `metrics.json` with its figures."""
    test = plan.dataset.test
    model = delivery.model_of(plan.dataset.name, flatbuffer, standardisation, test)
    metrics = {**metrics, **delivery.export(files, model, test.x, plan.board, metrics)}
    write_json(files.metrics, metrics)
    return metrics
