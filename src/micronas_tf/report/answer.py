"""The answer first: what was reached, against what was asked for, and how sure that is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from micronas_tf.boards import load_board
from micronas_tf.errors import BoardError
from micronas_tf.report.accuracy import wilson_interval
from micronas_tf.report.run import Run
from micronas_tf.report.text import KIB, kilobytes, milliseconds, percent


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the answer.

    Attributes:
        label: what it is.
        value: as text with its unit.
        limit: the budget's, as text; None: no limit.
        share: value / limit; None without a limit.
        notes: how sure, and by which source.
    """

    label: str
    value: str
    limit: str | None
    share: float | None
    notes: tuple[str, ...]

    @property
    def kept(self) -> bool:
        return self.share is None or self.share <= 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands on top of the report.

    Attributes:
        kept: whether every promise holds, as far as anything was measured.
        verdict: the same in a sentence.
        tiles: accuracy, latency, memory, flash.
        checks: (holds, sentence) of everything that was checked.
    """

    kept: bool
    verdict: str
    tiles: tuple[Tile, ...]
    checks: tuple[tuple[bool, str], ...]


def answer(run: Run) -> Answer:
    tiles = (accuracy_tile(run), latency_tile(run), memory_tile(run), flash_tile(run))
    checks = tuple(_checks(run))
    over = [f"{tile.label.lower()} {tile.value} is above {tile.limit}" for tile in tiles if not tile.kept]
    measured = measured_ms(run) is not None
    # What was measured decides over what was predicted; every other limit that does not hold counts.
    others = [name for name in run.metrics["excess"] if not (measured and name == "latency_ms")]
    failed = [sentence for holds, sentence in checks if not holds]
    if over:
        verdict = f"Does not fit: {'; '.join(over)}."
    elif others:
        verdict = f"Does not fit: {', '.join(others)} above the limit."
    elif failed:
        verdict = f"Not verified. {failed[0]}"
    elif not any(tile.limit for tile in tiles):
        verdict = "No limit was set."
    elif run.metrics["budget"]["latency_ms"] is None or (measured and _measured(run)["board"] == run.board.id):
        verdict = "Fits the budget."
    elif measured:
        verdict = "Fits the budget. The latency was measured on an emulated board."
    else:
        verdict = "Fits the budget. The latency is predicted, not measured."
    return Answer(not (over or others or failed), verdict, tiles, checks)


def accuracy_tile(run: Run) -> Tile:
    confusions, int8 = run.confusions, run.metrics["int8"]
    low, high = wilson_interval(confusions.right, confusions.total)
    name, share = confusions.most_frequent
    return Tile(
        "Accuracy",
        percent(int8["accuracy"]),
        None,
        None,
        (
            f"int8, {confusions.total:,} test windows, 95 % interval {percent(low)} to {percent(high)}",
            f"macro-F1 {percent(int8['macro_f1'])}; always “{name}” would give {percent(share)}",
        ),
    )


def latency_tile(run: Run) -> Tile:
    predicted, limit = run.metrics["latency_ms"], run.metrics["budget"]["latency_ms"]
    value, error = predicted["value"], predicted["rel_error"]
    band = f"{milliseconds(value)} ± {milliseconds(value * error)} ({percent(error)})"
    if (measured := measured_ms(run)) is None:
        notes = (f"predicted: {band}", f"by: {predicted['source']}")
    else:
        notes = (
            f"measured on {_measured(run)['board']}: {_measured(run)['device']}",
            f"predicted: {band}",
        )
        value = measured
    share = None if limit is None else value / limit
    return Tile("Latency", milliseconds(value), None if limit is None else f"{limit:g} ms", share, notes)


def memory_tile(run: Run) -> Tile:
    metrics, budget = run.metrics, run.metrics["budget"]
    arena, peak, limit = metrics["arena_bytes"], metrics["peak_memory_bytes"], budget["memory_bytes"]
    paper = budget["memory_figure"] == "peak"
    value, other = (peak, f"arena {kilobytes(arena)}") if paper else (arena, f"the paper's peak {kilobytes(peak)}")
    note = f"{percent(arena / run.board.ram_bytes)} of the board's RAM"
    return Tile(
        "Peak memory" if paper else "Memory (arena)",
        kilobytes(value),
        None if limit is None else f"{limit / KIB:g} KB",
        None if limit is None else value / limit,
        (note, other),
    )


def flash_tile(run: Run) -> Tile:
    size, limit = run.metrics["flatbuffer_bytes"], run.metrics["budget"]["flash_bytes"]
    notes = [f"model.tflite; in float32 it would be {kilobytes(run.float_flatbuffer_bytes)}"]
    bundle = (run.measured or {}).get("bundle") or run.metrics.get("bundle")
    if bundle and bundle["flash_bytes"] is not None:
        notes.append(f"C bundle, code and weights: {kilobytes(bundle['flash_bytes'])}")
    return Tile(
        "Flash (model)",
        kilobytes(size),
        None if limit is None else f"{limit / KIB:g} KB",
        None if limit is None else size / limit,
        tuple(notes),
    )


def measured_ms(run: Run) -> float | None:
    """Milliseconds by the run's own board, or the emulated one that stands for it, under the run's runtime."""
    if run.measured is None or run.measured["runtime"] != run.metrics["latency_ms"]["runtime"]:
        return None
    counts = run.measured["board"] == run.board.id
    with suppress(BoardError):
        counts = counts or load_board(run.measured["board"]).stands_for(run.board.id)
    return float(run.measured["latency_ms"]["measured"]) if counts else None


def _measured(run: Run) -> dict[str, Any]:
    if run.measured is None:
        raise ValueError("a run that was verified on a board has its verify.json")
    return run.measured


def _difference(found: dict[str, Any]) -> str:
    place = f"window {found['window']}, {found['what']} {found['index']}"
    return f"{place}: expected {found['expected']}, received {found['received']}"


def _checks(run: Run) -> list[tuple[bool, str]]:
    host = run.metrics["verification"]
    equal = "equal bit for bit" if host["bit_equal"] else f"different: {host['first_difference']}"
    checks = [(host["bit_equal"], f"TFLM and LiteRT on the host, {host['windows']:,} windows: {equal}.")]
    head, planned = host["arena_head_bytes"], host["planned_head_bytes"]
    checks.append((head == planned, f"Arena plan by TFLM on the host: {head:,} B, planned {planned:,} B."))
    if run.measured is not None:
        found = run.measured
        exact = "bit-exact" if found["bit_exact"] else f"different: {_difference(found['first_difference'])}"
        drawn = found.get("drawn_windows", 0)
        windows = f"{found['windows']:,} windows" + (f" ({drawn:,} of them of random samples)" if drawn else "")
        checks.append((found["bit_exact"], f"{found['board']}, {found['runtime']}, {windows}: {exact}."))
        arena = found["arena"]
        same = arena["planned_bytes"] == arena["high_water_bytes"]
        mark = f"high-water mark of the arena {arena['high_water_bytes']:,} B, planned {arena['planned_bytes']:,} B."
        checks.append((same, f"{found['board']}: {mark}"))
    return checks
