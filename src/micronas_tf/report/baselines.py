"""Other runs on the same data and board: what a run's answer is compared with.

`baselines.json` keeps their figures, not only where they lie: the report is written again after a verification, when
the other runs may have been moved.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from micronas_tf.errors import RunError
from micronas_tf.report.text import KIB
from micronas_tf.run_directory import RunDirectory, command, read_json, resume_command

BASELINES_SCHEMA: Final = 1

STRATEGIES: Final = {
    "dnas": "search",
    "random": "random",
    "darts-softmax": "DARTS softmax",
    "darts-gumbel": "DARTS Gumbel-softmax",
}
"""What people call the strategies of `--strategy`."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The answer of a finished run.

    Attributes:
        folder: of the run, relative to that of the run it is compared with.
        strategy: how its architecture was found, as `--strategy` takes it.
        runtime: whose kernels its latency is of.
        seed: of everything random.
        budget: its limits, as in `metrics.json`.
        int8_accuracy: on the test part.
        latency_ms: predicted.
        arena_bytes, peak_memory_bytes: the two memory figures.
    """

    folder: str
    strategy: str
    runtime: str
    seed: int
    budget: Mapping[str, Any]
    int8_accuracy: float
    latency_ms: float
    arena_bytes: int
    peak_memory_bytes: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return Path(self.folder).name

    @property
    def label(self) -> str:
        """Strategy and budget, for example `random · 50 ms, 32 KB`."""
        kernels = "" if self.runtime == "tflm" else f" · {self.runtime}"
        return f"{STRATEGIES.get(self.strategy, self.strategy)} · {limits_text(self.budget)}{kernels}"

    def memory_bytes(self, figure: str) -> int:
        """The memory figure of this name, `arena` or `peak`."""
        return self.peak_memory_bytes if figure == "peak" else self.arena_bytes


def limits_text(budget: Mapping[str, Any]) -> str:
    """A budget in a few characters, for example `50 ms, 32 KB`."""
    peak = " peak" if budget["memory_figure"] == "peak" else ""
    limits = (
        (budget["latency_ms"], 1, " ms"),
        (budget["memory_bytes"], KIB, f" KB{peak}"),
        (budget["flash_bytes"], KIB, " KB flash"),
    )
    return ", ".join(f"{value / unit:.4g}{name}" for value, unit, name in limits if value is not None) or "no limit"


def answer_of(record: Mapping[str, Any], metrics: Mapping[str, Any], folder: str) -> Baseline:
    """What a run delivered, from its `run.json` and `metrics.json`.

    Raises:
        KeyError, TypeError: these are of another version.
    """
    settings = record["settings"]
    return Baseline(
        folder=folder,
        # Runs of versions without other strategies do not name theirs.
        strategy=settings.get("strategy", "dnas"),
        runtime=metrics["latency_ms"]["runtime"],
        seed=settings["seed"],
        budget=metrics["budget"],
        int8_accuracy=metrics["int8"]["accuracy"],
        latency_ms=metrics["latency_ms"]["value"],
        arena_bytes=metrics["arena_bytes"],
        peak_memory_bytes=metrics["peak_memory_bytes"],
    )


def gather(
    directory: Path, record: Mapping[str, Any], metrics: Mapping[str, Any], others: Sequence[Path]
) -> tuple[Baseline, ...]:
    """The answers of other runs, each run once.

    Args:
        directory: of the run that is compared.
        record, metrics: its `run.json` and `metrics.json`.
        others: folders of the other runs.

    Raises:
        RunError: one of them is the run itself, is not finished, or is on other data or another board.
    """
    found: dict[Path, Baseline] = {}
    for other in others:
        place = other.resolve()
        if place == directory.resolve():
            raise RunError(f"A baseline is another run. Received: {other}, the run itself. Leave it out.")
        found[place] = _read(other, directory, record, metrics)
    return tuple(found.values())


def _read(other: Path, directory: Path, own: Mapping[str, Any], own_metrics: Mapping[str, Any]) -> Baseline:
    files = RunDirectory(other)
    record = read_json(files.run)
    if not isinstance(record, dict) or record.get("status") != "done":
        raise RunError(f"A baseline is a finished run. The one in {other} goes on with: {resume_command(other)}")
    metrics = read_json(files.metrics)
    try:
        _check_same_task(other, record, metrics, own, own_metrics)
        return answer_of(record, metrics, Path(os.path.relpath(other, directory)).as_posix())
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"A file of the run in {other} is damaged or of another version: {error!r}. Search again for a baseline."
        ) from error


def _check_same_task(
    other: Path,
    record: Mapping[str, Any],
    metrics: Mapping[str, Any],
    own: Mapping[str, Any],
    own_metrics: Mapping[str, Any],
) -> None:
    """Only accuracies on one test part, and milliseconds of one board, are comparable."""
    data, own_data = record["data"], own["data"]
    if data["sha256"] != own_data["sha256"]:
        raise RunError(
            f"A baseline has the run's own data, split alike: {own_data['name']}, SHA-256 {own_data['sha256'][:12]}…. "
            f"Received: {other}, on {data['name']}, SHA-256 {data['sha256'][:12]}…. Search on the run's data, with its "
            "--seed where the split is drawn."
        )
    if metrics["board"] != own_metrics["board"]:
        raise RunError(
            f"A baseline is for the run's own board, {own_metrics['board']}. Received: {other}, for "
            f"{metrics['board']}. Search with --board {own_metrics['board']}."
        )


def remembered(directory: Path) -> tuple[Baseline, ...]:
    """What the report was written with last.

    Raises:
        RunError: `baselines.json` is damaged or of another version.
    """
    path = RunDirectory(directory).baselines
    if not path.exists():
        return ()
    content = read_json(path)
    try:
        if content["schema"] != BASELINES_SCHEMA:
            raise ValueError(f"schema {content['schema']}")
        return tuple(Baseline(**one) for one in content["baselines"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is damaged or of another version: {error!r}. Name the baselines again: "
            f"`{command('report', directory, '--baseline OTHER_RUN')}`, or delete the file."
        ) from error


def to_json(baselines: Sequence[Baseline]) -> dict[str, Any]:
    """The content of `baselines.json`."""
    return {"schema": BASELINES_SCHEMA, "baselines": [asdict(one) for one in baselines]}
