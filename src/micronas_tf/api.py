"""The Python interface: from arrays, a file or a name to a verified int8 model."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from micronas_tf.boards import DEFAULT_BOARD, Budget, MemoryFigure
from micronas_tf.console import KIB, ConsoleProgress
from micronas_tf.cost import Runtime
from micronas_tf.datasets import Dataset, Windows, load_dataset, notes_on_repeats, split_dataset
from micronas_tf.errors import BoardError, DataError, MicronasError, RunError, SpaceError
from micronas_tf.estimation import latency_notes
from micronas_tf.files import unwritable
from micronas_tf.front import Axis, Pareto
from micronas_tf.pareto import explore
from micronas_tf.pipeline import Result, run
from micronas_tf.plan import division_notes
from micronas_tf.progress import silent
from micronas_tf.run_directory import ARRAYS, RUN_SCHEMA, RunDirectory, read_json, resume_command
from micronas_tf.search import SearchRecipe, Strategy
from micronas_tf.settings import Quantisation, Settings
from micronas_tf.space import SpaceConfig, build_space
from micronas_tf.timing import parse_duration
from micronas_tf.training import TrainingRecipe


class MicroNAS:
    """Finds, trains and delivers the int8 classifier that fits a board.

        from micronas_tf import MicroNAS
        result = MicroNAS("nucleo_f446re", latency_ms=50, memory_kb=32).fit(x, y, subject=subject)
        result.model.summary(); print(result.metrics["int8"])

    Args:
        board: id of a board (`micronas-tf boards`), or path of a board's TOML file.
        latency_ms: limit of one inference; None: no limit. So for every limit.
        memory_kb: limit of the memory figure, 1 KB = 1,024 bytes.
        flash_kb: limit of the flatbuffer.
        memory_figure: `arena` (what the runtime must be given) or `peak` (the MicroNAS paper's figure).
        epochs: of the search and of the training, each; the recipes' own when None.
        seed: of everything random.
        strategy: `dnas`, or a baseline to compare it with: `random`, `darts-softmax`, `darts-gumbel`.
        quantize: `qat` (fine-tuning), `qat-scratch` (as in the paper) or `ptq`.
        latency_source: `auto`, `ops`, or the path of a lookup table.
        runtime: whose kernels will run the model: `tflm` or `bundle`.
        margin: latency is kept below limit / (1 + margin); the source's mean error when None.
        extra_cells: stride-1 cells after each stride-2 cell; the space's default when None.
        space: other numbers of the search space than the paper's; it has its own `extra_cells`.
        saved_model: also write a SavedModel.
        time_budget: the whole job's, a duration like `10m`, or seconds; None: no limit.
        pareto: `latency` or `memory`: also train models along that cost, from the same search.
        pareto_points: how many, the answer to the budget included; 5 when None.
        out: folder of the run; a new one in `runs/` when None.
        verbose: show progress on standard error.
    """

    def __init__(
        self,
        board: str | Path = DEFAULT_BOARD,
        *,
        latency_ms: float | None = None,
        memory_kb: float | None = None,
        flash_kb: float | None = None,
        memory_figure: MemoryFigure = "arena",
        epochs: int | None = None,
        seed: int = 0,
        strategy: Strategy = "dnas",
        quantize: Quantisation = "qat",
        latency_source: str = "auto",
        runtime: Runtime = "tflm",
        margin: float | None = None,
        extra_cells: int | None = None,
        space: SpaceConfig | None = None,
        saved_model: bool = False,
        time_budget: str | float | None = None,
        pareto: Axis | None = None,
        pareto_points: int | None = None,
        out: str | Path | None = None,
        verbose: bool = True,
    ) -> None:
        self.settings = Settings(
            board=_found(str(board)) if str(board).endswith(".toml") else str(board),
            budget=Budget(_to_float(latency_ms), _to_bytes(memory_kb), _to_bytes(flash_kb), memory_figure),
            latency_source=latency_source if latency_source in ("auto", "ops") else _found(latency_source),
            runtime=runtime,
            margin=_to_float(margin),
            strategy=strategy,
            quantisation=quantize,
            seed=seed,
            space=_space(space, extra_cells),
            # Epochs that someone asks for are meant: no least number of steps then.
            search=SearchRecipe() if epochs is None else SearchRecipe(epochs=_to_int(epochs, "epochs"), least_steps=0),
            training=TrainingRecipe()
            if epochs is None
            else TrainingRecipe(epochs=_to_int(epochs, "epochs"), least_steps=0, stretch=1.0),
            saved_model=saved_model,
            time_budget_s=_to_seconds(time_budget),
            pareto=_front(pareto, pareto_points),
        )
        self.out = None if out is None else Path(out)
        self.verbose = verbose
        self.started: float | None = None
        """`time.monotonic()` when the job began, for a time budget that counts more than `fit`."""

    def fit(
        self,
        x: ArrayLike | str | Path | None = None,
        y: ArrayLike | None = None,
        *,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        window: int | None = None,
        hop: int | None = None,
        test_fraction: float = 0.25,
        **about_windows: Any,
    ) -> Result:
        """Search, train, quantise and verify.

        A run on arrays that is in `out` already, of the same data and settings, is gone on with; time budget and front
        may be others then.

        Args:
            x: raw windows [N, T, S]; or a file, folder or archive name; or None for the default data set.
            y: labels [N], with arrays.
            test: raw windows and labels that decide nothing; split off `x` when None.
            window: samples of a window, for tables of samples.
            hop: samples from one window to the next, for tables of samples.
            test_fraction: share of the test part where there is none.
            **about_windows: further arguments of `Windows.of` (subject, channel_names, sampling_rate_hz, …); with
                `test` only those that hold for both parts.

        Raises:
            MicronasError: bad data, unknown board, impossible budget; the message says what to do.
        """
        started = time.monotonic() if self.started is None else self.started
        if y is None and not (x is None or isinstance(x, str | Path)):
            raise DataError("Arrays need labels: fit(x, y). Received: y=None.")
        if y is None:
            _refuse(
                {"test": test, **about_windows},
                "can be given with arrays only: fit(x, y, …). A file says such things itself (docs/file-formats.md).",
            )
            about: dict[str, Any] = {
                "source": None if x is None else _found(str(x)),
                "window": None if window is None else _to_int(window, "window"),
                "hop": None if hop is None else _to_int(hop, "hop"),
                "test_fraction": float(test_fraction),
            }
            dataset = load_dataset(**about, seed=self.settings.seed)
        else:
            _refuse({"window": window, "hop": hop}, "are for tables of samples. Arrays are windows already: [N, T, S].")
            about = {"source": ARRAYS}
            dataset = _from_arrays(x, y, test, test_fraction, self.settings.seed, about_windows)
        return self.run(dataset, about, started=started)

    def run(self, dataset: Dataset, about: dict[str, Any], *, started: float | None = None) -> Result:
        """`fit` on a dataset that is loaded already. `started`: instead of the attribute of that name."""
        board = self.settings.board.removesuffix(".toml")
        name = f"{dataset.name}-{Path(board).name}-{datetime.now():%Y%m%d-%H%M%S}".replace(" ", "_")
        directory = self.out or _new_folder(Path("runs") / name)
        files = RunDirectory(directory)
        began = self.started if started is None else started
        if about["source"] == ARRAYS and os.path.exists(files.run):  # noqa: PTH110 - a folder may be closed
            _check_same_run(directory, dataset, self.settings)
            return _run(dataset, self.settings, directory, about, verbose=self.verbose, started=began)
        files.claim()
        try:
            return _run(dataset, self.settings, directory, about, verbose=self.verbose, started=began)
        except MicronasError:
            files.release()
            raise


def _check_same_run(directory: Path, dataset: Dataset, settings: Settings) -> None:
    """Raises RunError unless the run on arrays in `directory` can go on with these."""
    record = _record_in(directory)
    recorded = Settings.from_json(record["settings"])
    other = [] if (record["source"], record["data"]["sha256"]) == (ARRAYS, dataset.sha256) else ["data"]
    decisive = {field.name for field in fields(Settings)} - {"time_budget_s", "pareto"}
    other += sorted(name for name in decisive if getattr(settings, name) != getattr(recorded, name))
    if other:
        raise RunError(f"{directory} holds a run with other {', '.join(other)}. Choose another out, or delete it.")
    if settings.pareto not in (None, recorded.pareto):
        _refuse_late_front(directory, settings, record)


def _record_in(directory: Path) -> dict[str, Any]:
    """Raises RunError if there is no run that this version can go on with."""
    record = read_json(RunDirectory(directory).run)
    if not isinstance(record, dict) or "source" not in record:
        raise RunError(
            f"{directory} does not hold a run that can go on: its run.json names no source. Start a new run."
        )
    if record.get("schema") != RUN_SCHEMA:
        raise RunError(
            f"The run in {directory} is of another version of micronas-tf: its run.json has schema "
            f"{record.get('schema')!r}, this one's {RUN_SCHEMA}. Start a new run."
        )
    return record


def _new_folder(path: Path) -> Path:
    """Nobody else's, even if two runs begin in one second: numbered then."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise unwritable(path, error) from error
    raise AssertionError


def resume(
    directory: str | Path,
    *,
    time_budget: str | float | None = None,
    pareto: Axis | None = None,
    pareto_points: int | None = None,
    verbose: bool = True,
    started: float | None = None,
) -> Result:
    """Go on with an interrupted run, with the settings and the data it was started with.

    Args:
        directory: of the run.
        time_budget: another one for the whole job, what it has used counted; the run's own when None.
        pareto, pareto_points: the trade-off to add to the run; the run's own, if any, when None.
        verbose: show progress on standard error.
        started: `time.monotonic()` when the job was resumed, where that was before this call.

    Raises:
        RunError: no run there, one that another process goes on with, or no time left within its time budget.
        DataError: the data are no longer the same, or the run was started on arrays.
    """
    started = time.monotonic() if started is None else started
    record = _record_in(Path(directory))
    if record["source"] == ARRAYS:
        raise DataError(
            "A run on arrays cannot find its data again. Go on with it in Python: "
            f"{resume_command(Path(directory))}, with the same data and settings."
        )
    settings = Settings.from_json(record["settings"])
    if time_budget is not None:
        settings = replace(settings, time_budget_s=_to_seconds(time_budget))
    if front := _front(pareto, pareto_points, settings.pareto):
        settings = replace(settings, pareto=front)
        _refuse_late_front(Path(directory), settings, record)
    about = {name: record[name] for name in ("source", "window", "hop", "test_fraction")}
    dataset = load_dataset(**about, seed=settings.seed)
    if dataset.sha256 != record["data"]["sha256"]:
        raise DataError(f"{about['source']} has changed since the run was started. Start a new run.")
    return _run(dataset, settings, Path(directory), about, verbose=verbose, started=started)


def _refuse(given: Mapping[str, Any], why: str) -> None:
    """Nothing that is given is ignored."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise DataError(f"{', '.join(names)} {why}")


def _run(
    dataset: Dataset,
    settings: Settings,
    directory: Path,
    about: dict[str, Any],
    *,
    verbose: bool,
    started: float | None,
) -> Result:
    _check_keras()
    options: dict[str, Any] = {"about": about, "started": started, "afterwards": explore if settings.pareto else None}
    try:
        if not verbose:
            return run(dataset, settings, directory, **options, progress=silent)
        with ConsoleProgress(settings.budget) as progress:
            notes = (*dataset.notes, *division_notes(dataset.train, settings.seed), *_latency_notes(dataset, settings))
            for note in notes:
                progress.say(note)
            return run(dataset, settings, directory, **options, progress=progress)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(_how_to_go_on(directory, about))
        raise


def _check_keras() -> None:
    """Raises RunError where Keras is set up for something else than the models are made of."""
    if keras.backend.backend() != "tensorflow":
        raise RunError(
            f"Keras runs on TensorFlow here. Received the backend {keras.backend.backend()!r}: set "
            "KERAS_BACKEND=tensorflow before Keras is imported."
        )
    if keras.config.image_data_format() != "channels_last":
        raise RunError(
            f"Keras' image_data_format must be channels_last. Received: {keras.config.image_data_format()!r}. Change "
            "it in ~/.keras/keras.json, or by keras.config.set_image_data_format."
        )


def _how_to_go_on(directory: Path, about: Mapping[str, Any]) -> str:
    files = RunDirectory(directory)
    if not files.run.exists():
        files.release()
        return "Interrupted before anything was written."
    same = ", with the same data and settings" if about["source"] == ARRAYS else ""
    answered = f" The answer is complete in {directory}." if read_json(files.run).get("status") == "done" else ""
    return f"Interrupted.{answered} Go on with: {resume_command(directory)}{same}"


def _latency_notes(dataset: Dataset, settings: Settings) -> tuple[str, ...]:
    """Said before anything is trained: where the latencies come from."""
    part = dataset.train
    space = build_space(part.window, part.sensors, part.n_classes, settings.space)
    return latency_notes(settings.latency_source, settings.board, settings.runtime, space)


def _from_arrays(  # noqa: PLR0917
    x: Any, y: Any, test: tuple[Any, Any] | None, test_fraction: float, seed: int, about: dict[str, Any]
) -> Dataset:
    if test is None:
        return split_dataset("arrays", Windows.of(x, y, **about), test_fraction=test_fraction, seed=seed)
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise DataError(f"test is a pair: raw windows and their labels. Received: {type(test).__name__}.")
    try:
        (x, y), (x_test, y_test) = ([np.asarray(values) for values in pair] for pair in ((x, y), test))
    except ValueError as error:
        raise DataError("Windows have one shape (time, sensors). Received: lists of different lengths.") from error
    for part, values, labels in (("training", x, y), ("test", x_test, y_test)):
        if values.ndim != 3 or labels.shape != values.shape[:1]:
            raise DataError(
                f"Raw windows [N, time, sensors] have a label each [N]. Received: {part} windows {values.shape}, "
                f"labels {labels.shape}."
            )
    try:
        # Both parts at once, so that one label is one class in both.
        x_both, y_both = np.concatenate([x, x_test]), np.concatenate([y, y_test])
    except ValueError as error:
        raise DataError(
            "Train and test windows have one shape (time, sensors) and one kind of labels. "
            f"Received: {x.shape} and {x_test.shape}, labels {y.dtype} and {y_test.dtype}."
        ) from error
    both = Windows.of(x_both, y_both, **about)
    first = np.arange(len(both)) < len(x)
    train, other = both.subset(first), both.subset(~first)
    return Dataset("arrays", train, other, notes=notes_on_repeats(train, other))


def _space(space: SpaceConfig | None, extra_cells: int | None) -> SpaceConfig:
    if space is None:
        return SpaceConfig() if extra_cells is None else SpaceConfig(extra_cells=extra_cells)
    if extra_cells is not None:
        raise SpaceError(
            f"A space has its own extra_cells. Received both: space with {space.extra_cells}, and "
            f"extra_cells={extra_cells}. Leave one out."
        )
    return space


def _front(axis: Axis | None, points: int | None, former: Pareto | None = None) -> Pareto | None:
    """The front that is asked for; one along the same axis as the former one has as many points, if nothing is said."""
    if axis is not None:
        if points is None and former and former.axis == axis:
            return former
        return Pareto(axis) if points is None else Pareto(axis, _to_int(points, "pareto_points"))
    if points is not None:
        raise RunError("pareto_points says how many models pareto trains. Give pareto, too, or neither.")
    return None


def _refuse_late_front(directory: Path, settings: Settings, record: Mapping[str, Any]) -> None:
    """A run keeps its time budget, and a front that is asked for later takes time, too."""
    used_s = sum(record.get("seconds", {}).values())
    if settings.time_budget_s is not None and used_s >= settings.time_budget_s:
        raise RunError(
            f"The run in {directory} has used up its time budget of {settings.time_budget_s:g} s ({used_s:.0f} s): "
            "none is left for a front. Give a larger time budget, too."
        )


def _to_seconds(duration: str | float | None) -> float | None:
    return parse_duration(duration) if isinstance(duration, str) else _to_float(duration)


def _to_float(value: float | None) -> float | None:
    """NumPy's numbers have no place in a run's JSON files."""
    return None if value is None else float(value)


def _to_int(value: float, name: str) -> int:
    """The same of whole numbers."""
    if not float(value).is_integer():
        raise RunError(f"{name} is a whole number. Received: {value!r}.")
    return int(value)


def _found(path: str) -> str:
    """A file or folder that is there, from wherever the run is resumed; another name as it is."""
    with suppress(OSError):
        if Path(path).exists():
            return str(Path(path).absolute())
    return path


def _to_bytes(kilobytes: float | None) -> int | None:
    if kilobytes is None:
        return None
    if not isfinite(kilobytes * KIB):
        raise BoardError(f"A limit in KB is a finite number. Received: {kilobytes}. Leave it out for no limit.")
    return int(kilobytes * KIB)
