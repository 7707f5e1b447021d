"""The costs of a space on a board, tabulated once: what the supernet and the projection both read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from micronas_tf.boards import Board, Budget
from micronas_tf.cost import (
    FLATBUFFER_BASE_BYTES,
    PERSISTENT_BASE_BYTES,
    LatencySource,
    align,
    op_flash_bytes,
    operator_persistent_bytes,
    scratch_sizes,
    working_set_bytes,
)
from micronas_tf.ops import OpSpec
from micronas_tf.space import SearchSpace
from micronas_tf.space.tabulate import SiteFigures, tabulate


@dataclass(frozen=True)
class SpaceFigures:
    """Every cost of every site.

    Attributes:
        space: whose sites.
        board: whose clock.
        budget: decides which memory figure `working_set` is for.
        latency_ms: with the runtime's overhead per operator.
        flash_bytes: without the container's `flash_base`.
        persistent_bytes: what the runtime keeps per operator (zero for the paper's peak figure).
        working_set: inputs + output + scratch of the running operator; aligned for the arena.
        flash_base, persistent_base: the constant parts.
    """

    space: SearchSpace
    board: Board
    budget: Budget
    latency_ms: SiteFigures
    flash_bytes: SiteFigures
    persistent_bytes: SiteFigures
    working_set: SiteFigures
    flash_base: int
    persistent_base: int

    @property
    def counts_held(self) -> bool:
        """Whether tensors that wait for a later operator count: in the arena, not in the paper's peak."""
        return self.budget.memory_figure == "arena"


def tabulate_figures(space: SearchSpace, board: Board, budget: Budget, source: LatencySource) -> SpaceFigures:
    """The costs of all sites.

    Raises:
        CostError: the source does not know an operator of the space.
    """
    tflm = source.runtime == "tflm"
    arena = budget.memory_figure == "arena"
    overhead = board.op_overhead_cycles if tflm else 0
    persistent: Callable[[OpSpec], float] = operator_persistent_bytes if tflm and arena else lambda op: 0
    held = aligned_working_set_bytes if tflm else aligned_tensor_bytes
    return SpaceFigures(
        space=space,
        board=board,
        budget=budget,
        latency_ms=tabulate(space, lambda op: board.milliseconds(source.cycles(op).cycles + overhead)),
        flash_bytes=tabulate(space, op_flash_bytes),
        persistent_bytes=tabulate(space, persistent),
        working_set=tabulate(space, held if arena else working_set_bytes),
        flash_base=FLATBUFFER_BASE_BYTES,
        persistent_base=PERSISTENT_BASE_BYTES if tflm and arena else 0,
    )


def aligned_working_set_bytes(op: OpSpec) -> int:
    """Inputs + output + scratch of one operator as TFLM's arena holds them, each rounded up."""
    return aligned_tensor_bytes(op) + sum(map(align, scratch_sizes(op)))


def aligned_tensor_bytes(op: OpSpec) -> int:
    """Inputs + output of one operator, each rounded up: the kernels of a bundle take no scratch."""
    return sum(align(prod(shape)) for shape in (*op.inputs, op.output))
