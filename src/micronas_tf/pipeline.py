"""The main job, step by step: windows in, a verified int8 model out.

Each step is a function. What was found or trained, and is there as a file, is not done again, so that an interrupted
run goes on where it stopped; it is verified and reported every time, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from micronas_tf import delivery
from micronas_tf.architecture import Architecture
from micronas_tf.datasets import Dataset, Standardisation
from micronas_tf.details import compare_float_and_ptq, run_details
from micronas_tf.errors import RunError
from micronas_tf.files import clear_temporaries, discard, exclusively, write_atomically
from micronas_tf.models import build_model, export_saved_model, load_model, save_model
from micronas_tf.ops import Network
from micronas_tf.plan import Plan, make_plan
from micronas_tf.progress import Progress, silent
from micronas_tf.promise import verification
from micronas_tf.quantize import QatRecipe, quantise_ptq, quantise_qat, train_qat, verify
from micronas_tf.record import RunRecord, run_record
from micronas_tf.report import write_report
from micronas_tf.run_directory import CHECKPOINT, RunDirectory, read_json, write_json
from micronas_tf.search import Candidate
from micronas_tf.selection import find_architecture
from micronas_tf.settings import Settings
from micronas_tf.time_budget import TimeBudget
from micronas_tf.timing import Pace, Stopwatch
from micronas_tf.training import float_scores, network_input, train, training_batches

CALIBRATION_WINDOWS = 512


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


def run(
    dataset: Dataset,
    settings: Settings,
    directory: Path,
    *,
    about: Mapping[str, Any],
    progress: Progress = silent,
    started: float | None = None,
    afterwards: Callable[[Plan, Result, Stopwatch], None] | None = None,
    may_refuse: bool = True,
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
        may_refuse: to go on with a run that cannot end within its time budget any more; else it ends late.

    Raises:
        RunError: another process goes on with this run, it cannot end within its time budget, or a file cannot be read
            or written.
    """
    files = RunDirectory(directory)
    plan = make_plan(dataset, settings)
    with exclusively(directory):
        clear_temporaries(directory)
        answered = files.architecture.exists() and files.model.exists() and files.flatbuffer.exists()
        record = RunRecord(files.run, run_record(dataset, settings, about), stays_done=answered)
        watch = Stopwatch(progress, record.seconds, record.keep_seconds, started=started)
        time = TimeBudget(settings.time_budget_s, watch, record, plan.steps(), plan.repeats())
        if may_refuse and (done := _last_done(files)):
            time.check(done)
        record.begin()
        try:
            return _stages(plan, files, record, time, watch, afterwards)
        finally:
            # What an interrupted stage took in silence counts, too. Why it ended goes before what cannot be written.
            with suppress(RunError):
                record.keep_seconds(watch.stop())


def _stages(  # noqa: PLR0917
    plan: Plan,
    files: RunDirectory,
    record: RunRecord,
    time: TimeBudget,
    watch: Stopwatch,
    afterwards: Callable[[Plan, Result, Stopwatch], None] | None,
) -> Result:
    """One after the other; the times of all are kept by `run`."""
    progress: Progress = watch
    standardisation = Standardisation.fit(plan.dataset.train)
    write_json(files.standardisation, standardisation.to_json())
    candidate = find_architecture(plan, files, standardisation, progress, time)
    network = candidate.network
    time.steps |= plan.steps(network)
    model = train_model(plan, files, network, standardisation, progress, time.pace("training"))
    flatbuffer = quantise(plan, files, network, model, standardisation, progress, time.pace("quantising"))
    metrics = evaluate(plan, candidate, model, flatbuffer, standardisation, progress)
    progress("reporting", 0, 3, {})
    write_json(files.details, details(plan, candidate, model, standardisation))
    progress("reporting", 1, 3, {})
    metrics = export(plan, files, flatbuffer, standardisation, metrics)
    progress("reporting", 2, 3, {})
    result = Result(model, candidate.architecture, network, flatbuffer, standardisation, metrics, files.path)
    record.finish()  # the answer is complete, whatever becomes of what comes after it
    if afterwards is not None:
        # What comes may take long, or end early.
        write_report(files.path)
        afterwards(plan, result, watch)
    write_report(files.path)
    progress("reporting", 3, 3, {})
    if time.limit_s is not None:
        metrics["time"] = time.to_json()
        write_json(files.metrics, metrics)
    return result


def _last_done(files: RunDirectory) -> str:
    """The last stage of a resumed run that need not be done again; empty if there is none, or nothing is left to do."""
    if files.model.exists():
        return "" if files.flatbuffer.exists() else "training"
    if files.architecture.exists():
        return "trials"
    # A search that is under way may end at once, if need be.
    return "search" if (files.search / CHECKPOINT).exists() else ""


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
    # What follows from a model goes with it.
    for path in (files.flatbuffer, files.verify, files.saved_model):
        discard(path)
    keras.utils.set_random_seed(settings.seed)
    model = build_model(network, dropout=settings.training.dropout)
    recipe = settings.training.for_network(network)
    train(model, plan.dataset.train, standardisation, recipe, seed=settings.seed, progress=progress, pace=pace)
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
    discard(files.verify)
    # As `train` has left it: tf.data mixes the global seed into its streams, and a resumed run comes here directly.
    keras.utils.set_random_seed(plan.settings.seed)
    settings, windows = plan.settings, plan.dataset.train
    recipe = settings.training.for_network(network)
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
            recipe=QatRecipe(recipe.batches(len(windows)), recipe.peak_learning_rate, recipe.warmup),
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
    known = run_details(candidate.network, candidate.costs.latency, plan.board, plan.dataset)
    known["data"]["notes"] += plan.notes
    return {
        **known,
        **compare_float_and_ptq(candidate.network, model, calibration, x, y),
    }


def export(
    plan: Plan, files: RunDirectory, flatbuffer: bytes, standardisation: Standardisation, metrics: dict[str, Any]
) -> dict[str, Any]:
    """Write the bundle, at the rate that an earlier one of this model has, and `metrics.json` with its figures."""
    test = plan.dataset.test
    model = delivery.model_of(plan.dataset.name, flatbuffer, standardisation, test)
    model = delivery.with_told_rate(files, model)
    metrics = {**metrics, **delivery.export(files, model, test.x, plan.board, metrics)}
    write_json(files.metrics, metrics)
    return metrics
