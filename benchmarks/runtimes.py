"""Instructions of whole networks with the bundle's kernels on an emulated core, beside CMSIS-NN's.

    python benchmarks/runtimes.py --csv counts.csv [--board qemu_cortex_m33] [--networks 10] [--seed 0]

Random architectures of the search space for windows of 128 x 9 and 6 classes that fit 50 ms and 32 KB on the
NUCLEO-F446RE with TensorFlow Lite Micro, and use at least half of the 50 ms. Ours are counted in QEMU, operator by
operator; CMSIS-NN's come from a table of instruction counts (its columns: kernels.py), which is no part of the
project. The interpreter's own work is in neither. Exits with 1 where the ratio over all networks
is above the target of 0.7.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.kernels import read_counts, reference  # noqa: E402
from tests.firmware.emulator import MACHINES, Emulator  # noqa: E402
from tests.firmware.images import build_image  # noqa: E402

from micronas_tf.boards import Budget, load_board  # noqa: E402
from micronas_tf.cost import load_operator_model, network_costs  # noqa: E402
from micronas_tf.ops import Network, OpSpec  # noqa: E402
from micronas_tf.space import build_space, lower, random_architecture  # noqa: E402

TARGET = 0.7
BUDGET = Budget(latency_ms=50.0, memory_bytes=32 * 1024)


def networks(count: int, seed: int) -> Iterator[Network]:
    """Random ones within the budget."""
    board, source = load_board("nucleo_f446re"), load_operator_model("nucleo_f446re")
    space, rng = build_space(128, 9, 6), np.random.default_rng(seed)
    while count:
        network = lower(space, random_architecture(space, rng))
        costs = network_costs(network, source, board)
        if not costs.excess(BUDGET) and costs.latency.latency_ms > 25.0:
            count -= 1
            yield network


def theirs(table: pd.DataFrame, op: OpSpec, board: str) -> float | None:
    """CMSIS-NN's instructions, None where the table lacks the operator."""
    return reference(table, (op.kind, op.inputs[0], op.output, op.kernel, op.strides), board)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", choices=MACHINES, default="qemu_cortex_m4")
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, required=True, help="CMSIS-NN's instructions, operator by operator")
    arguments = parser.parse_args(given)
    table, totals = read_counts(arguments.csv), np.zeros(2)
    with Emulator(arguments.board, build_image(arguments.board)) as board:
        print(board.hello.removeprefix("OK "))
        print(f"{'network':>7} {'operators':>9} {'ours':>12} {'CMSIS-NN':>12} {'ratio':>6}")
        for number, network in enumerate(networks(arguments.networks, arguments.seed)):
            ops = [node.op for node in network.nodes]
            others = [theirs(table, op, arguments.board) for op in ops]
            missing = [str(op) for op, other in zip(ops, others, strict=True) if other is None]
            if missing:
                print(f"{number:>7} left out: the table lacks {'; '.join(missing)}")
                continue
            pair = np.array([sum(board.instructions(str(op))[0] for op in ops), sum(filter(None, others))])
            totals += pair
            print(f"{number:>7} {len(ops):>9} {pair[0]:>12,.0f} {pair[1]:>12,.0f} {pair[0] / pair[1]:>6.3f}")
    ratio = totals[0] / totals[1]
    print(f"{'all':>7} {'':>9} {totals[0]:>12,.0f} {totals[1]:>12,.0f} {ratio:>6.3f}  (target {TARGET})")
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())
