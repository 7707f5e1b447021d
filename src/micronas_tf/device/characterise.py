"""Measure operators on a board into a lookup table that is complete on disk at every moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from statistics import median
from typing import Final

from micronas_tf.cost import Measurement, Table, macs, write_table
from micronas_tf.device.bench import Bench
from micronas_tf.device.link import Link, SilenceError
from micronas_tf.device.protocol import Banner, GarbledError, RefusedError, parse_counts
from micronas_tf.errors import CostError, DeviceError, RunError
from micronas_tf.ops import OpSpec
from micronas_tf.progress import Progress, silent

REPEATS: Final = 3
LARGEST_SPREAD: Final = 0.01
"""Repeats that lie further apart, relative to their median, are measured again, and flagged if that does not help."""

_SAVE_EVERY_S: Final = 3.0
_LEAST_PATIENCE_S: Final = 5.0
_SLOWEST_STEP_CYCLES: Final = 100.0


@dataclass(frozen=True, slots=True)
class Characterisation:
    """What came of it.

    Attributes:
        table: everything measured, by this run and the ones it goes on with.
        measured: how many operators this run measured.
        refused: operators that do not fit the board, and its error code.
        flagged: operators whose repeats lie more than `LARGEST_SPREAD` apart, twice.
        seconds: how long the measuring took, without build and upload.
    """

    table: Table
    measured: int
    refused: dict[OpSpec, str]
    flagged: tuple[OpSpec, ...]
    seconds: float


def characterise(
    bench: Bench,
    operators: Sequence[OpSpec],
    path: Path,
    *,
    former: Table | None = None,
    repeats: int = REPEATS,
    progress: Progress = silent,
) -> Characterisation:
    """Measure each operator and keep the table in `path` up to date.

    Args:
        bench: the board.
        operators: what to measure; what `former` holds is not measured again.
        path: CSV file of the table.
        former: a table to go on with.
        repeats: runs of each operator, from 1.
        progress: hears of the stage `measuring`.

    Raises:
        DeviceError: the board fails; the table holds what was measured until then.
        CostError: `former` is of another board, other kernels, or another compiler.
        RunError: interrupted, or the file cannot be written.
    """
    return _Run(bench, path, repeats, progress, former).measure(operators)


@dataclass(slots=True)
class _Run:
    bench: Bench
    path: Path
    repeats: int
    progress: Progress
    former: Table | None
    rows: dict[OpSpec, Measurement] = field(default_factory=dict)
    refused: dict[OpSpec, str] = field(default_factory=dict)
    table: Table | None = None
    saved_at: float = 0.0

    def measure(self, operators: Sequence[OpSpec]) -> Characterisation:
        known = {row.op: row for row in self.former.measurements} if self.former else {}
        self.rows = dict(known)
        pending = [op for op in dict.fromkeys(operators) if op not in known]
        total, began = len(pending), time.monotonic()
        self.progress("measuring", 0, total, {})
        try:
            self._measure_all(pending, total)
        except DeviceError as error:
            raise DeviceError(f"{error} {self._kept(len(pending))}") from error
        except KeyboardInterrupt:
            raise RunError(f"Interrupted. {self._kept(len(pending))}") from None
        finally:
            self._save()
        assert self.table is not None
        return Characterisation(
            table=self.table,
            measured=total - len(self.refused),
            refused=self.refused,
            flagged=tuple(row.op for row in self.table.measurements if row.spread > LARGEST_SPREAD),
            seconds=time.monotonic() - began,
        )

    def _measure_all(self, pending: list[OpSpec], total: int) -> None:
        """Empties `pending`. A board that falls silent is opened (if emulated: started) anew, once for an operator."""
        silent_at: OpSpec | None = None
        while pending or self.table is None:
            with self.bench.connect() as link:
                cycles_per_count = self._start(link.connect())
                try:
                    while pending:
                        self._measure_one(link, pending[0], cycles_per_count)
                        del pending[0]
                        self.progress("measuring", total - len(pending), total, {})
                        if time.monotonic() - self.saved_at > _SAVE_EVERY_S:
                            self._save()
                except SilenceError:
                    if silent_at == pending[0]:
                        raise
                    silent_at = pending[0]

    def _start(self, banner: Banner) -> float:
        self.bench.check(banner)
        header = self.bench.header(banner)
        if self.former is not None:
            _check_same(self.former, replace(header, date=self.former.header.date), self.path)
        self.table = self.table or Table(header, ())
        return self.bench.cycles_per_count(banner)

    def _measure_one(self, link: Link, op: OpSpec, cycles_per_count: float) -> None:
        try:
            self.rows[op] = measure(link, op, self.repeats, cycles_per_count, self.bench.board.clock_hz)
        except RefusedError as error:
            self.refused[op] = error.code

    def _save(self) -> None:
        """Nothing to save before the board has said who it is, and no empty table in place of one that is there."""
        if self.table is not None:
            self.table = Table(self.table.header, tuple(self.rows[op] for op in sorted(self.rows)))
            if self.rows or not self.path.exists():
                write_table(self.path, self.table)
            self.saved_at = time.monotonic()

    def _kept(self, left: int) -> str:
        if self.table is None:
            return "Nothing was measured."
        if not self.rows:
            return f"Nothing was measured, {left} operators are left."
        return f"{self.path} holds {len(self.rows)} operators, {left} are left. Go on with --resume."


def _check_same(former: Table, header: object, path: Path) -> None:
    if former.header != header:
        raise CostError(
            f"A table is of one board, one firmware and one way to count. {path} has {former.header}. "
            f"Received: {header}. Leave out --resume, or choose another --out."
        )


def measure(link: Link, op: OpSpec, repeats: int, cycles_per_count: float, clock_hz: int) -> Measurement:
    """One operator, measured again where its repeats disagree; the pass that agrees better is kept.

    Raises:
        RefusedError: it does not fit the board.
    """
    first = _measurement(op, counts(link, op, repeats, clock_hz), cycles_per_count)
    if first.spread <= LARGEST_SPREAD:
        return first
    second = _measurement(op, counts(link, op, repeats, clock_hz), cycles_per_count)
    return min(first, second, key=lambda row: row.spread)


def counts(link: Link, op: OpSpec, repeats: int, clock_hz: int) -> tuple[int, ...]:
    """What the board's counter says of each repeat."""
    steps = max(macs(op), prod(op.inputs[0]), prod(op.output))
    found = parse_counts(link.ask(f"OP {op} n={repeats}", timeout_s=patience_s(steps, repeats, clock_hz)))
    if len(found) != repeats:
        raise GarbledError(f"{op} n={repeats} is answered with {repeats} counts. Received: {len(found)}.")
    return found


def patience_s(steps: int, repeats: int, clock_hz: int) -> float:
    """How long to wait for so many inner steps, and once more for the run that does not count."""
    return _LEAST_PATIENCE_S + (repeats + 1) * steps * _SLOWEST_STEP_CYCLES / clock_hz


def _measurement(op: OpSpec, found: Iterable[int], cycles_per_count: float) -> Measurement:
    ordered = sorted(found)
    middle = median(ordered)
    if not middle > 0:
        raise DeviceError(f"The board's counter stands still: {op} took {ordered} counts. Upload the firmware again.")
    return Measurement(op, middle * cycles_per_count, len(ordered), (ordered[-1] - ordered[0]) / middle)
