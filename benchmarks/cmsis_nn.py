"""Emulated cycles of CMSIS-NN's kernels against cycles measured on the real board that the emulated one stands for.

    python benchmarks/cmsis_nn.py --csv measured.csv [--board qemu_cortex_m33]

Every convolution of a measured table runs in QEMU. One constant, cycles per instruction, is fitted on a few of them,
from cheap to dear, and judged on all others. Needs a copy of CMSIS-NN, named in firmware_pio/platformio_override.ini
(docs/protocol.md, Backends), and the table, which is no part of the project; without them it says so and ends.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from micronas_tf.boards import load_board
from micronas_tf.cost import Measurement, read_measurements
from micronas_tf.cost.fit import best_constant
from micronas_tf.device import MACHINES, Bench, RefusedError, prepare_bench
from micronas_tf.device.build import firmware_directory
from micronas_tf.device.characterise import counts

Array = npt.NDArray[np.float64]


def why_not(csv: Path, override: Path) -> str:
    """Why there is nothing to compare; empty if there is."""
    if not csv.is_file():
        return f"there is no measured table {csv}; name one by --csv"
    if not override.is_file():
        return f"{override} names no copy of CMSIS-NN"
    return ""


def convolutions(csv: Path, most: int | None) -> list[Measurement]:
    """The measured convolutions, by cycles; at most so many of them, from cheap to dear."""
    rows = sorted((row for row in read_measurements(csv) if row.op.kind == "conv2d"), key=lambda row: row.cycles)
    return spread_out(rows, most) if most is not None else rows


def spread_out(rows: Sequence[Measurement], count: int) -> list[Measurement]:
    """`count` of the rows, evenly from the first to the last."""
    return [rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))]


def run(bench: Bench, rows: Sequence[Measurement]) -> tuple[str, list[Measurement], Array]:
    """The backend, the rows that fit the board, and their emulated instructions."""
    fitting, found = [], []
    with bench.connect() as link:
        banner = link.connect()
        bench.check(banner)
        for row in rows:
            try:
                found.append(counts(link, row.op, 1, bench.board.clock_hz)[0])
            except RefusedError:
                continue
            fitting.append(row)
    # The bench's constant is 1: its cycles are instructions.
    return (
        f"{banner.backend}, {banner.compiler} {banner.flags}",
        fitting,
        np.array(found) * bench.cycles_per_count(banner),
    )


def judge(rows: Sequence[Measurement], instructions: Array, fitted_on: int) -> tuple[float, Array, Array]:
    """(constant, relative errors, measured cycles) of the rows that the constant was not fitted on."""
    measured = np.array([row.cycles for row in rows])
    chosen = np.zeros(len(rows), bool)
    chosen[np.linspace(0, len(rows) - 1, fitted_on).round().astype(int)] = True
    constant, _ = best_constant(instructions[chosen].tolist(), measured[chosen].tolist())
    return constant, (constant * instructions / measured - 1)[~chosen], measured[~chosen]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", choices=MACHINES, default="qemu_cortex_m4")
    parser.add_argument("--csv", type=Path, required=True, help="measured cycles of the real board, under TFLM")
    parser.add_argument("--most", type=int, help="convolutions to run; all of the table when left out")
    parser.add_argument("--fitted-on", type=int, default=10)
    options = parser.parse_args(arguments)
    board = load_board(options.board)
    reason = why_not(options.csv, firmware_directory() / "platformio_override.ini")
    if reason:
        print(f"Skipped: {reason}.")
        return
    bench = prepare_bench(board, "tflm", cycles_per_instruction=1.0)
    backend, rows, instructions = run(bench, convolutions(options.csv, options.most))
    constant, errors, measured = judge(rows, instructions, options.fitted_on)
    absolute, predicted = np.abs(errors), measured * (1 + errors)
    r2 = 1 - ((predicted - measured) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()
    print(f"{board.id}, {backend}, against cycles measured on {board.emulates}")
    print(
        f"{constant:.3f} cycles per instruction, fitted on {options.fitted_on} convolutions; on {len(errors)} others:"
    )
    print(f"mean error {absolute.mean():.2%}, median {np.median(absolute):.2%}, 95th percentile ", end="")
    print(f"{np.quantile(absolute, 0.95):.2%}, largest {absolute.max():.2%}, R² {r2:.5f}")


if __name__ == "__main__":
    main()
