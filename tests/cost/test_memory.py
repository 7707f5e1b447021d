"""The arena plan against its rules, worked examples and boards; TFLM itself is asked in tests/quantize."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from micronas_tf.cost.memory import (
    Buffer,
    arena_bytes,
    arena_head_bytes,
    network_buffers,
    peak_memory_bytes,
    persistent_bytes,
    plan_arena,
    scratch_bytes,
    working_set_bytes,
)
from micronas_tf.cost.records import read_measurements
from micronas_tf.errors import CostError
from micronas_tf.ops import Network, Node, OpSpec

from .networks import branched, conv, mean, single, softmax


@pytest.mark.parametrize(
    ("buffers", "offsets", "total"),
    [
        pytest.param([Buffer(1, 0, 0)], (0,), 16, id="rounded-up-to-16"),
        pytest.param([], (), 0, id="nothing"),
        pytest.param([Buffer(32, 0, 1), Buffer(64, 1, 2)], (64, 0), 96, id="largest-first"),
        pytest.param([Buffer(32, 0, 1), Buffer(32, 1, 2)], (32, 0), 64, id="tie-later-first"),
        pytest.param([Buffer(32, 0, 0), Buffer(32, 1, 1)], (0, 0), 32, id="disjoint-lifetimes-share"),
        # 2 goes on top of 0; 1 lives with neither... except 2, so it takes the gap that 0 leaves.
        pytest.param([Buffer(48, 0, 2), Buffer(16, 3, 4), Buffer(32, 2, 3)], (0, 0, 48), 80, id="fills-the-gap"),
        pytest.param(
            [Buffer(48, 0, 2), Buffer(64, 3, 4), Buffer(32, 2, 3)], (0, 0, 64), 96, id="gap-decides-the-total"
        ),
    ],
)
def test_worked_plans(buffers: list[Buffer], offsets: tuple[int, ...], total: int) -> None:
    plan = plan_arena(buffers)
    assert plan.offsets == offsets
    assert plan.total_bytes == total


def _lowest_free_offset(buffer: Buffer, size: int, neighbours: list[tuple[int, int]]) -> int:
    """Lowest multiple of 16 at which `size` bytes touch no neighbour (offset, size): by trying them all."""
    offset = 0
    while any(offset < other + length and other < offset + size for other, length in neighbours):
        offset += 16
    return offset


def test_random_plans_never_overlap_and_equal_a_search_of_every_offset() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        first = rng.integers(0, 8, size := int(rng.integers(1, 12)))
        buffers = [
            Buffer(int(rng.integers(1, 200)), int(f), int(f + length))
            for f, length in zip(first, rng.integers(0, 4, size), strict=True)
        ]
        plan = plan_arena(buffers)
        sizes = [(buffer.size + 15) // 16 * 16 for buffer in buffers]
        for i, j in combinations(range(size), 2):
            if buffers[i].first <= buffers[j].last and buffers[j].first <= buffers[i].last:
                assert plan.offsets[i] + sizes[i] <= plan.offsets[j] or plan.offsets[j] + sizes[j] <= plan.offsets[i]
        order = sorted(range(size), key=lambda i: (sizes[i], i), reverse=True)
        for position, i in enumerate(order):
            alive = [
                (plan.offsets[j], sizes[j])
                for j in order[:position]
                if buffers[i].first <= buffers[j].last and buffers[j].first <= buffers[i].last
            ]
            assert plan.offsets[i] == _lowest_free_offset(buffers[i], sizes[i], alive)
        assert plan.total_bytes == max(o + s for o, s in zip(plan.offsets, sizes, strict=True))


def test_lifetimes_of_a_branched_network() -> None:
    buffers = network_buffers(branched(), scratch=False)
    lives = [(buffer.size, buffer.first, buffer.last) for buffer in buffers]
    assert lives == [
        (128, 0, 1),
        (256, 1, 6),  # the skip conv reads it again
        (512, 2, 4),
        (256, 3, 5),
        (256, 4, 5),
        (256, 5, 7),
        (256, 6, 7),
        (256, 7, 8),
        (96, 8, 9),
        (3, 9, 10),
        (3, 10, 10),
        (12, 9, 9),  # sums, indices and axes of mean, with reference kernels too
        (16, 9, 9),
        (16, 9, 9),
    ]
    scratches = [(b.size, b.first, b.last) for b in network_buffers(branched(), scratch=True)[11:]]
    assert scratches == [
        (20, 1, 1),
        (64, 2, 2),
        (192, 3, 3),
        (320, 4, 4),
        (32, 6, 6),
        (12, 9, 9),
        (16, 9, 9),
        (16, 9, 9),
    ]


def test_the_arena_adds_scratch_and_the_persistent_part() -> None:
    network = branched()
    # By hand: bottleneck at 0, then from the last of 256 bytes to the first: add1 0, skip 256, add0 512 (above
    # both), k5 768, k3 1024, time 1280 (lives with all but add1). The tensors of step 4 are only 1,280 bytes.
    assert arena_head_bytes(network) == 1536
    # The scratch of k5 goes above the bottleneck, at 512, and lifts k5, k3 and time to 832, 1088 and 1344.
    assert arena_bytes(network, "bundle") == 1536  # its kernels take no scratch
    assert arena_bytes(network) == 1600 + persistent_bytes(network)


def test_the_persistent_part_worked_by_hand() -> None:
    convolutions = 6 * 176 + 2 * (16 + 64 + 32 + 32 + 32 + 16)  # of 4, 16, 8, 8, 8 and 3 filters
    assert persistent_bytes(branched()) == 464 + convolutions + 4 * 128


def test_a_flattened_tensor_is_copied_in_a_step_of_its_own() -> None:
    first, dense = conv((32, 2, 1), 8, (5, 1), (2, 1)), OpSpec("fully_connected", ((16, 2, 8),), (1, 1, 4))
    network = Network((32, 2, 1), (Node("time", first, (0,), 1), Node("dense", dense, (1,), 2)))
    lives = [(buffer.size, buffer.first, buffer.last) for buffer in network_buffers(network, scratch=False)]
    assert lives == [(64, 0, 1), (256, 1, 2), (4, 3, 3), (256, 2, 3)]
    # 464 of the interpreter, the convolution, the dense operator, and what stands between them.
    assert persistent_bytes(network) == 464 + (176 + 2 * 32) + (176 + 2 * 16) + 128


def test_peak_memory_is_the_largest_working_set() -> None:
    network = branched()
    assert peak_memory_bytes(network) == 512 + 256 + 320
    assert peak_memory_bytes(network) == max(working_set_bytes(node.op) for node in network.nodes)
    assert arena_bytes(network, "bundle") > peak_memory_bytes(network)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (conv((16, 5, 8), 8, (5, 1)), 4 * 5 * 8),
        (conv((16, 5, 8), 8, (1, 1)), 0),
        (conv((16, 5, 6), 8, (1, 1)), 4 * 6),
        (conv((16, 5, 8), 8, (1, 1), (1, 2)), 4 * 8),
        (OpSpec("depthwise_conv2d", ((16, 5, 8),), (16, 5, 8), (5, 1)), 2 * 5 * 8),
        (OpSpec("depthwise_conv2d", ((16, 5, 8),), (16, 5, 8), (3, 3)), 0),
        (OpSpec("average_pool2d", ((16, 5, 8),), (8, 5, 8), (2, 1), (2, 1)), 4 * 8),
        (mean((16, 5, 6)), 4 * 6 + 32),
        (softmax(6), 0),
    ],
    ids=str,
)
def test_scratch(op: OpSpec, expected: int) -> None:
    assert scratch_bytes(op) == expected


@pytest.mark.parametrize("board", ["nucleo_f446re", "nucleo_l552ze_q", "nicla_sense_me"])
def test_single_operator_arenas_measured_on_boards(shared: Path, board: str) -> None:
    """The arena is never below what a 32-bit board used, and at most 60 bytes above it."""
    path = shared / "lookup" / f"{board}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        used = [row["arena_used_bytes"] for row in csv.DictReader(file)]
    excess = {
        arena_bytes(single(row.op)) - float(bytes_)
        for row, bytes_ in zip(read_measurements(path), used, strict=True)
        if bytes_ and row.op.kind != "add"  # has two inputs, which the interpreter keeps: no network of ours
    }
    assert min(excess) >= 0
    assert max(excess) <= 60


def test_a_buffer_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(CostError, match="first <= last"):
        Buffer(16, 3, 2)
