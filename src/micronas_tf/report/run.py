"""Reading what a finished run left in its directory (docs/file-formats.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Board
from micronas_tf.errors import RunError
from micronas_tf.ops import Network
from micronas_tf.report.accuracy import Confusions
from micronas_tf.report.baselines import Baseline, answer_of, gather, remembered
from micronas_tf.report.operators import Operator, operators_of
from micronas_tf.report.trials import Trial, trials_of
from micronas_tf.run_directory import RunDirectory, read_json, resume_command


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One finished run; what not every run has is None.

    Attributes:
        directory: where it lies.
        record: `run.json`: command, settings, versions, hash of the data.
        metrics: `metrics.json`: accuracies, costs, budget, verification on the host.
        data: what is known of the data set, as `micronas-tf datasets --json` describes it.
        board: what the milliseconds are of.
        network: the operators.
        operators: with their costs, in order.
        overhead_cycles: of the runtime, around all operators together.
        confusions: of the int8 model on the test part.
        float_flatbuffer_bytes: the same network as a float32 .tflite file.
        ptq: accuracy and macro-F1 of post-training quantisation; None where that was the run's own way.
        architecture: the choices.
        history: the search, one row per epoch.
        candidates: what was compared after the search, best first.
        trials: those of the candidates that were trained for the last round; none where the supernet compared them.
        baselines: other runs that it is compared with.
        pareto: limits and what was found under each.
        measured: what a board, or an emulated one, said.
    """

    directory: Path
    record: dict[str, Any]
    metrics: dict[str, Any]
    data: dict[str, Any]
    board: Board
    network: Network
    operators: tuple[Operator, ...]
    overhead_cycles: int
    confusions: Confusions
    float_flatbuffer_bytes: int
    ptq: dict[str, float] | None
    architecture: Architecture | None
    history: pd.DataFrame | None
    candidates: list[dict[str, Any]]
    trials: tuple[Trial, ...]
    baselines: tuple[Baseline, ...]
    pareto: list[dict[str, Any]]
    measured: dict[str, Any] | None

    @property
    def settings(self) -> dict[str, Any]:
        """What decided the run besides the data."""
        settings: dict[str, Any] = self.record["settings"]
        return settings

    @property
    def answer(self) -> Baseline:
        """The run itself, as it would be another one's baseline."""
        return answer_of(self.record, self.metrics, ".")

    @property
    def overhead_ms(self) -> float:
        return self.board.milliseconds(self.overhead_cycles)


def read_run(directory: Path, baselines: Sequence[Path] | None = None) -> Run:
    """The run in this directory.

    Args:
        directory: of the run.
        baselines: other runs that it is compared with; None: those that it remembers.

    Raises:
        RunError: no run there, one that is not finished, a damaged file, or a baseline that cannot be compared.
    """
    files = RunDirectory(directory)
    record, metrics, details = _finished(files)
    try:
        network = Network.from_json(read_json(files.network))
        candidates = _optional(files.candidates) or []
        return Run(
            directory=directory,
            record=record,
            metrics=metrics,
            data=details["data"],
            board=Board(**details["board"]),
            network=network,
            operators=operators_of(network, details["operators"], metrics["latency_ms"]["runtime"]),
            overhead_cycles=details["overhead_cycles"],
            confusions=Confusions.of(record["data"]["classes"], metrics["confusions"]),
            float_flatbuffer_bytes=details["float_flatbuffer_bytes"],
            ptq=details["ptq"],
            architecture=_architecture(files.architecture),
            history=_history(files.history),
            candidates=candidates,
            trials=trials_of(candidates),
            baselines=remembered(directory) if baselines is None else gather(directory, record, metrics, baselines),
            pareto=_points(_optional(files.pareto)),
            measured=_optional(files.verify),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"A file of the run in {directory} is damaged or of another version: {error!r}. "
            f"`{resume_command(directory)}` writes what is missing."
        ) from error


def _finished(files: RunDirectory) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    record = read_json(files.run)
    if not isinstance(record, dict) or record.get("status") != "done" or not files.details.exists():
        raise RunError(
            f"A report is of a finished run, with metrics.json and details.json. The one in {files.path} goes on with: "
            f"{resume_command(files.path)}"
        )
    return record, read_json(files.metrics), read_json(files.details)


def _optional(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _points(pareto: Any) -> list[dict[str, Any]]:
    return [] if pareto is None else [{"axis": pareto["axis"], **point} for point in pareto["points"]]


def _architecture(path: Path) -> Architecture | None:
    return Architecture.from_json(read_json(path)) if path.exists() else None


def _history(path: Path) -> pd.DataFrame | None:
    """Raises ValueError if the file is no table of numbers with a column `epoch`."""
    if not path.exists():
        return None
    table = pd.read_csv(path).astype(float)
    if "epoch" not in table or table.empty:
        raise ValueError(f"{path} has a column epoch and at least one row")
    return table
