"""The one constant of an emulated board, fitted on cycles that were measured on the board it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from micronas_tf.cost import Measurement, Table
from micronas_tf.device.bench import Bench
from micronas_tf.device.characterise import counts
from micronas_tf.device.emulator import machine_of
from micronas_tf.device.protocol import RefusedError
from micronas_tf.errors import CostError

OPERATORS: Final = 20


@dataclass(frozen=True, slots=True)
class Calibration:
    """
    Attributes:
        cycles_per_instruction: the median over the operators.
        mean_error: mean relative error of that constant on the same operators.
        operators: how many.
    """

    cycles_per_instruction: float
    mean_error: float
    operators: int


def calibrate(bench: Bench, table: Table) -> Calibration:
    """Run operators of a real board's table on the emulated one and compare.

    Raises:
        CostError: the table is of another board or runtime than the emulated one stands for, or none of it fits.
    """
    expected = (bench.board.emulates, bench.runtime)
    if (table.header.board, table.header.runtime) != expected:
        raise CostError(
            f"{bench.board.id} is calibrated by a table of {expected[0]} with the runtime {expected[1]}. "
            f"Received: {table.header.board} and {table.header.runtime}."
        )
    ratios = _ratios(bench, _spread_out(table.measurements))
    if not ratios:
        raise CostError("No operator of the table fits the emulated board. Choose a table with smaller ones.")
    constant = float(f"{median(ratios):.6g}")
    return Calibration(constant, fmean(abs(constant / ratio - 1) for ratio in ratios), len(ratios))


def _spread_out(measurements: Sequence[Measurement]) -> list[Measurement]:
    """A few operators from cheap to dear."""
    ordered = sorted(measurements, key=lambda row: row.cycles)
    step = max(len(ordered) / OPERATORS, 1.0)
    return [ordered[int(step * index)] for index in range(min(OPERATORS, len(ordered)))]


def _ratios(bench: Bench, measurements: Sequence[Measurement]) -> list[float]:
    """Measured cycles per emulated instruction."""
    ratios = []
    with bench.connect() as link:
        banner = link.connect()
        bench.check(banner)
        per_count = machine_of(bench.board.id).instructions_per_tick(banner)
        for row in measurements:
            try:
                found = counts(link, row.op, 1, bench.board.clock_hz)
            except RefusedError:
                continue
            ratios.append(row.cycles / (found[0] * per_count))
    return ratios
