"""The one constant of an emulated board, fitted on cycles that were measured on the board it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from micronas_tf.boards import Board, board_ids, load_board
from micronas_tf.cost import Measurement, Runtime
from micronas_tf.device.bench import Bench
from micronas_tf.device.characterise import counts
from micronas_tf.device.emulator import MACHINES, machine_of
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


def check_emulated(board: Board) -> None:
    """Raises CostError for a real board: there is nothing to fit."""
    if not board.emulated:
        able = [name for name in board_ids() if load_board(name).emulates == board.id]
        raise CostError(
            f"Cycles of a real board fit the constant of an emulated one (--calibrate). Received: {board.id}, a real "
            f"board, which counts cycles itself. Leave that out, or choose --board {' or '.join(able or MACHINES)}."
        )


def check_calibrates(board: Board, runtime: Runtime, measured: tuple[str, Runtime]) -> None:
    """Raises CostError unless what was measured is what the emulated board stands for.

    Args:
        board: emulated.
        runtime: whose kernels it is to run.
        measured: id of the board, and whose kernels it ran.
    """
    if measured != (board.emulates, runtime):
        raise CostError(
            f"{board.id} is calibrated by cycles of {board.emulates} with the runtime {runtime}. "
            f"Received: {measured[0]} and {measured[1]}. Choose another table, --board or --runtime."
        )


def calibrate(bench: Bench, measurements: Sequence[Measurement]) -> Calibration:
    """Run operators that were measured on a real board on the emulated one that stands for it, and compare.

    Raises:
        CostError: none of them fits the emulated board.
    """
    ratios = _ratios(bench, _spread_out(measurements))
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
