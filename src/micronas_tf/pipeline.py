"""The main job, step by step: windows in, a verified int8 model out.

Each step is a function; a step whose files are there already is not done again, so that an interrupted run
goes on where it stopped.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import keras
import numpy as np
from numpy.typing import NDArray
from tensorflow.errors import OpError

from micronas_tf import delivery
from micronas_tf.architecture import Architecture
from micronas_tf.boards import DEFAULT_BOARD, Board, Budget, load_board
from micronas_tf.cost import LatencySource, NetworkCosts, Runtime, network_costs
from micronas_tf.datasets import Dataset, Standardisation, split
from micronas_tf.details import compare_float_and_ptq, run_details
from micronas_tf.errors import BudgetError, RunError
from micronas_tf.estimation import latency_source
from micronas_tf.files import clear_temporaries, replacing, unwritable, write_atomically
from micronas_tf.models import build_model
from micronas_tf.ops import Network
from micronas_tf.progress import Progress, silent
from micronas_tf.quantize import Int8Report, QatRecipe, quantise_ptq, quantise_qat, train_qat, verify
from micronas_tf.report import write_report
from micronas_tf.run_directory import RUN_SCHEMA, RunDirectory, read_json, write_json
from micronas_tf.search import (
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

    def __post_init__(self) -> None:
        if self.quantisation not in get_args(Quantisation):
            raise RunError(f"Quantisation is one of {get_args(Quantisation)}. Received: {self.quantisation!r}.")
        if self.strategy not in get_args(Strategy):
            raise RunError(f"A strategy is one of {get_args(Strategy)}. Received: {self.strategy!r}.")

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
    margin = mean_error(figures, source) if settings.margin is None else settings.margin
    projector = Projector(figures, lambda network: network_costs(network, source, board), margin)
    projector.check()
    return Plan(dataset, settings, board, source, figures, projector)


def mean_error(figures: SpaceFigures, source: LatencySource) -> float:
    """Mean relative error of the source over the operators of the space."""
    return float(np.mean([source.cycles(op).rel_error for op in figures.space.operators()]))


def run(
    dataset: Dataset, settings: Settings, directory: Path, *, about: Mapping[str, Any], progress: Progress = silent
) -> Result:
    """Search, train, quantise, verify and export; or go on with what `directory` holds.

    Args:
        dataset: windows.
        settings: everything else.
        directory: of the run; `RunDirectory.claim` has made it.
        about: what to remember of the command, for `resume`.
        progress: hears of the stages `search`, `projecting`, `ranking`, `trials`, `training`, `quantising`,
            `verifying`.
    """
    files = RunDirectory(directory)
    plan = make_plan(dataset, settings)
    clear_temporaries(directory)
    record = run_record(dataset, settings, about)
    write_json(files.run, {**record, "status": "running"})
    standardisation = Standardisation.fit(dataset.train)
    write_json(files.standardisation, standardisation.to_json())
    candidate = find_architecture(plan, files, standardisation, progress)
    model = train_model(plan, files, candidate.network, standardisation, progress)
    flatbuffer = quantise(plan, files, candidate.network, model, standardisation, progress)
    metrics = evaluate(plan, candidate, model, flatbuffer, standardisation, progress)
    write_json(files.details, details(plan, candidate, model, standardisation))
    write_json(files.metrics, metrics)
    metrics = export(plan, files, flatbuffer, standardisation, metrics)
    write_json(files.run, {**record, "status": "done"})
    write_report(directory)
    return Result(model, candidate.architecture, candidate.network, flatbuffer, standardisation, metrics, directory)


def run_record(dataset: Dataset, settings: Settings, about: Mapping[str, Any]) -> dict[str, Any]:
    packages = (
        "micronas-tf",
        "tensorflow",
        "keras",
        "tf_keras",
        "tensorflow-model-optimization",
        "numpy",
        "tflite-micro",
    )
    return {
        "schema": RUN_SCHEMA,
        **about,
        "settings": settings.to_json(),
        "data": {"name": dataset.name, "sha256": dataset.sha256, "classes": list(dataset.train.class_names)},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
    }


def find_architecture(
    plan: Plan, files: RunDirectory, standardisation: Standardisation, progress: Progress
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
    ranked = _ranked(plan, files, standardisation, progress)
    write_json(files.candidates, [_describe(item) for item in ranked])
    candidate = ranked[0].candidate
    write_json(files.network, candidate.network.to_json())
    write_json(files.architecture, candidate.architecture.to_json())
    return candidate


def _ranked(plan: Plan, files: RunDirectory, standardisation: Standardisation, progress: Progress) -> list[Ranked]:
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
    )
    probabilities = supernet.probabilities()
    write_json(files.probabilities, probabilities)
    candidates = _candidates(plan, probabilities, progress)
    ranked = rank(supernet, candidates, weights, alphas, standardisation, seed=settings.seed, progress=progress)
    trials = settings.search.trials
    if not trials:
        return ranked
    found = [one.candidate for one in ranked[: trials - trials // 2]]
    others = plan.projector.explore(probabilities, trials // 2, settings.search.explore, settings.seed)
    tried = list({candidate.architecture: candidate for candidate in (*found, *others)}.values())
    return train_and_rank(
        tried,
        weights,
        alphas,
        standardisation,
        settings.training.shortened(settings.search.trial_share),
        seed=settings.seed,
        total=len(tried),
        directory=files.search,
        progress=progress,
    )


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


def train_model(
    plan: Plan, files: RunDirectory, network: Network, standardisation: Standardisation, progress: Progress
) -> keras.Model:
    """Train the plain model from scratch on the whole train part."""
    settings = plan.settings
    if files.model.exists():
        model = _load_model(files.model)
        _export(model, files, settings)
        return model
    keras.utils.set_random_seed(settings.seed)
    model = build_model(network, dropout=settings.training.dropout)
    train(model, plan.dataset.train, standardisation, settings.training, seed=settings.seed, progress=progress)
    # A copy that was never compiled: without the optimiser's state, and without its schedule to load.
    plain = build_model(network, dropout=settings.training.dropout)
    plain.set_weights(model.get_weights())
    with replacing(files.model) as temporary:
        plain.save(temporary)
    _export(plain, files, settings)
    return plain


def _load_model(path: Path) -> keras.Model:
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras raises ValueError, OSError, BadZipFile and more for a damaged file
        raise RunError(f"{path} is damaged: {error}. Delete it and resume: the model is trained again.") from error


def _export(model: keras.Model, files: RunDirectory, settings: Settings) -> None:
    if not settings.saved_model or files.saved_model.exists():
        return
    with replacing(files.saved_model) as temporary:
        try:
            model.export(temporary, format="tf_saved_model", verbose=False)
        except OpError as error:  # TensorFlow's own file system does not raise OSError
            raise unwritable(files.saved_model, error) from error


def quantise(  # noqa: PLR0917
    plan: Plan,
    files: RunDirectory,
    network: Network,
    model: keras.Model,
    standardisation: Standardisation,
    progress: Progress,
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
        "qat": lambda: quantise_qat(network, model, batches, calibration, seed=settings.seed, progress=progress),
        "qat-scratch": lambda: train_qat(
            network,
            batches,
            calibration,
            recipe=QatRecipe(recipe.steps(len(windows)), recipe.peak_learning_rate, recipe.warmup),
            seed=settings.seed,
            progress=progress,
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


def verification(report: Int8Report) -> dict[str, Any]:
    """What TFLM itself said, for `metrics.json`."""
    return {
        "windows": len(report.scores),
        "bit_equal": report.bit_equal,
        "first_difference": report.first_difference,
        "arena_head_bytes": report.arena.head_bytes,
        "planned_head_bytes": report.planned_head_bytes,
        "operators": sorted(set(report.operators)),
    }


def promise_broken(metrics: Mapping[str, Any]) -> BudgetError | None:
    """Why a finished run does not keep its promise; None if it does."""
    if metrics["excess"]:
        what = "; ".join(f"{name} {value:,.2f} > {limit:,}" for name, (value, limit) in metrics["excess"].items())
        return BudgetError(
            f"The model exceeds the budget: {what}. The files are kept; raise the limit and search again."
        )
    if not metrics["verified"]:
        found = metrics["verification"]
        return BudgetError(
            f"Verification failed: bit-equal {found['bit_equal']} ({found['first_difference']}), arena head "
            f"{found['arena_head_bytes']} B against {found['planned_head_bytes']} B planned. Please report this."
        )
    return None
