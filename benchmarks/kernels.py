"""Instructions per multiplication or element of the firmware's kernels on an emulated core, beside CMSIS-NN's.

    python benchmarks/kernels.py [--board qemu_cortex_m33] [--csv counts.csv]

Builds the image with the system's compiler and counts in QEMU; nothing is timed. The CMSIS-NN column comes from a table
of instruction counts (columns core, flags, op, input_t ... stride_s, macs, instructions), which is no part of the
project; without one, it stays empty.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.firmware.emulator import MACHINES, Emulator  # noqa: E402
from tests.firmware.images import build_image  # noqa: E402

Shape = tuple[int, int, int]
Row = tuple[str, Shape, Shape, tuple[int, int], tuple[int, int]]

CORES = {"qemu_cortex_m4": ("cortex-m4", "-O2"), "qemu_cortex_m33": ("cortex-m33", "-Ofast")}

ROWS: list[tuple[Row, float | None]] = [
    (("conv2d", (16, 15, 64), (16, 15, 64), (3, 1), (1, 1)), None),
    (("conv2d", (16, 15, 64), (16, 15, 64), (5, 1), (1, 1)), 1.3),
    (("conv2d", (16, 15, 64), (16, 15, 64), (7, 1), (1, 1)), None),
    (("conv2d", (16, 5, 64), (16, 5, 64), (5, 1), (1, 1)), 1.3),
    (("conv2d", (16, 5, 64), (16, 5, 64), (1, 1), (1, 1)), 1.5),
    (("conv2d", (16, 5, 8), (16, 5, 8), (1, 1), (1, 1)), None),
    (("conv2d", (16, 5, 8), (16, 5, 8), (3, 1), (1, 1)), None),
    (("conv2d", (16, 5, 64), (16, 5, 64), (1, 5), (1, 1)), None),
    (("conv2d", (16, 9, 16), (16, 5, 64), (1, 9), (1, 2)), None),
    (("conv2d", (64, 9, 16), (32, 9, 16), (5, 1), (2, 1)), 1.8),
    (("conv2d", (32, 30, 16), (16, 30, 16), (5, 1), (2, 1)), 1.8),
    (("conv2d", (64, 9, 4), (32, 9, 4), (3, 1), (2, 1)), None),
    (("conv2d", (128, 9, 1), (64, 9, 16), (5, 1), (2, 1)), 5.0),
    (("conv2d", (128, 9, 1), (64, 9, 8), (3, 1), (2, 1)), 8.0),
    (("conv2d", (128, 9, 1), (64, 9, 4), (3, 1), (2, 1)), None),
    (("add", (16, 5, 64), (16, 5, 64), (1, 1), (1, 1)), 14.0),
    (("add", (16, 5, 8), (16, 5, 8), (1, 1), (1, 1)), 14.0),
    (("mean", (16, 5, 6), (1, 1, 6), (1, 1), (1, 1)), 4.0),
    (("mean", (16, 8, 10), (1, 1, 10), (1, 1), (1, 1)), 4.0),
    (("softmax", (1, 1, 6), (1, 1, 6), (1, 1), (1, 1)), None),
]
"""Operators with our target, in instructions per step, where there is one."""


def _text(shape: tuple[int, ...]) -> str:
    return "(" + ",".join(map(str, shape)) + ")"


def spec_of(row: Row) -> str:
    kind, source, target, kernel, strides = row
    inputs = f"{_text(source)}+{_text(source)}" if kind == "add" else _text(source)
    text = f"{kind} {inputs}->{_text(target)}"
    return f"{text} k{_text(kernel)} s{_text(strides)} same relu" if kind == "conv2d" else text


def steps_of(row: Row) -> int:
    """Multiplications of a convolution, input elements of anything else."""
    kind, source, target, kernel, _ = row
    time, sensors, filters = target if kind == "conv2d" else source
    return time * sensors * filters * (kernel[0] * kernel[1] * source[2] if kind == "conv2d" else 1)


def reference(table: pd.DataFrame | None, row: Row, board: str) -> float | None:
    """CMSIS-NN's instructions for the same operator; its mean is an average pool over everything."""
    if table is None:
        return None
    kind, source, target, kernel, strides = row
    core, flags = CORES[board]
    wanted = {"core": core, "flags": flags, "op": "average_pool2d" if kind == "mean" else kind, "input_c": source[2]}
    if kind != "softmax":
        wanted |= {"input_t": source[0], "input_s": source[1], "output_c": target[2]}
    if kind == "conv2d":
        wanted |= {"kernel_t": kernel[0], "kernel_s": kernel[1], "stride_t": strides[0], "stride_s": strides[1]}
    found = table.loc[(table[list(wanted)] == pd.Series(wanted)).all(axis=1), "instructions"]
    return None if found.empty else float(found.iloc[0])


def read_counts(csv: Path) -> pd.DataFrame:
    """The table of instruction counts. Ends the program with a sentence where there is none."""
    if not csv.is_file():
        sys.exit(f"There is no table of CMSIS-NN's instructions at {csv}. Name one by --csv.")
    return pd.read_csv(csv)


def _cell(value: float | None, steps: int) -> str:
    return f"{value / steps:9.2f}" if value is not None else f"{'-':>9}"


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", choices=MACHINES, default="qemu_cortex_m4")
    parser.add_argument("--csv", type=Path, help="CMSIS-NN's instructions; its column stays empty when left out")
    arguments = parser.parse_args(given)
    table = None if arguments.csv is None else read_counts(arguments.csv)
    with Emulator(arguments.board, build_image(arguments.board)) as board:
        print(board.hello.removeprefix("OK "))
        print(
            f"{'instructions per multiplication or element':62} {'ours':>9} {'target':>9} {'CMSIS-NN':>9} {'ratio':>6}"
        )
        for row, target in ROWS:
            steps, ours = steps_of(row), board.instructions(spec_of(row))[0]
            theirs = reference(table, row, arguments.board)
            ratio = f"{ours / theirs:6.2f}" if theirs else f"{'-':>6}"
            print(f"{spec_of(row):62} {_cell(ours, steps)} {_cell(target, 1)} {_cell(theirs, steps)} {ratio}")


if __name__ == "__main__":
    main()
