"""Latency: sources of cycles, each with its error and its origin, and the latency of a network.

Cycles are the truth; milliseconds follow from the board's clock. A source says how many cycles one operator
takes, how far off that may be, and where the figure comes from.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from micronas_tf.boards import Board
from micronas_tf.cost.macs import macs
from micronas_tf.cost.memory import Runtime
from micronas_tf.errors import CostError
from micronas_tf.ops import Network, OpSpec


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cycles of one operator.

    Attributes:
        cycles: of the kernel, without the runtime's overhead around it.
        rel_error: expected |estimate - truth| / truth (a mean, not a bound); 0.03 is 3 %.
        provenance: where the figure comes from, for people.
    """

    cycles: float
    rel_error: float
    provenance: str

    def __post_init__(self) -> None:
        if not self.cycles >= 0 or not self.rel_error >= 0:
            raise CostError(f"Cycles and their error are at least 0. Received: {self}.")


class LatencySource(Protocol):
    """Something that knows what operators cost on one board under one runtime."""

    @property
    def name(self) -> str:
        """For reports, for example `fitted model of nucleo_f446re`."""

    @property
    def runtime(self) -> Runtime:
        """Whose kernels these cycles are of: `tflm` or `bundle`."""

    def knows(self, op: OpSpec) -> bool:
        """Whether `cycles` has an answer for this operator."""

    def cycles(self, op: OpSpec) -> Estimate:
        """The operator's cycles.

        Raises:
            CostError: the source does not know the operator.
        """


def unknown_operator(op: OpSpec, board_id: str) -> CostError:
    """The error that every source raises for an operator it does not know."""
    return CostError(f"No latency for {op} on {board_id}. {how_to_measure(board_id)}")


def how_to_measure(board_id: str) -> str:
    """The remedy where cycles are missing. Not every board has a firmware that measures them."""
    board = shlex.quote(board_id)
    return (
        f"Measure it: `micronas-tf characterize SOURCE --board {board}` for the windows of SOURCE if the board has a "
        f"firmware, else a table of your own and `micronas-tf fit-latency CSV --board {board}` (docs/own-board.md)."
    )


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Measured cycles by exact `OpSpec`.

    Attributes:
        board_id: board that was measured.
        runtime: whose kernels were measured.
        entries: operator → estimate.
        origin: what was measured, when, with which kernels.
    """

    board_id: str
    runtime: Runtime
    entries: Mapping[OpSpec, Estimate]
    origin: str = "measured"

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", MappingProxyType(dict(self.entries)))

    @property
    def name(self) -> str:
        return f"lookup table of {self.board_id} ({self.origin})"

    def knows(self, op: OpSpec) -> bool:
        return op in self.entries

    def cycles(self, op: OpSpec) -> Estimate:
        try:
            return self.entries[op]
        except KeyError:
            raise unknown_operator(op, self.board_id) from None


@dataclass(frozen=True, slots=True)
class OperationCount:
    """The proxy of MicroNets (Banbury et al., arXiv 2010.11267): latency proportional to the operations.

    Operators without MACs cost nothing here, whatever their size; that and the shape of the loops are why it
    errs by about a quarter (`rel_error`, the mean on measured convolutions).
    """

    board_id: str
    cycles_per_mac: float
    rel_error: float
    runtime: Runtime = "tflm"

    def __post_init__(self) -> None:
        if not self.cycles_per_mac > 0:
            raise CostError(f"Cycles per MAC must be positive. Received: {self.cycles_per_mac}.")

    @property
    def name(self) -> str:
        return f"operation count of {self.board_id} ({self.cycles_per_mac:.2f} cycles per MAC)"

    def knows(self, op: OpSpec) -> bool:
        return True

    def cycles(self, op: OpSpec) -> Estimate:
        return Estimate(self.cycles_per_mac * macs(op), self.rel_error, self.name)


@dataclass(frozen=True, slots=True)
class Chain:
    """Several sources of one runtime: the first that knows an operator answers for it."""

    sources: tuple[LatencySource, ...]

    def __post_init__(self) -> None:
        runtimes = sorted({source.runtime for source in self.sources})
        if len(runtimes) != 1:
            raise CostError(f"A chain has sources, all of one runtime. Received runtimes: {runtimes}.")

    @property
    def name(self) -> str:
        return ", then ".join(source.name for source in self.sources)

    @property
    def runtime(self) -> Runtime:
        return self.sources[0].runtime

    def knows(self, op: OpSpec) -> bool:
        return any(source.knows(op) for source in self.sources)

    def cycles(self, op: OpSpec) -> Estimate:
        for source in self.sources[:-1]:
            if source.knows(op):
                return source.cycles(op)
        return self.sources[-1].cycles(op)

    def counts(self, ops: Iterable[OpSpec]) -> dict[str, int]:
        """How many of the distinct operators each source answers for, by its name; unknown ones are left out."""
        counts = {source.name: 0 for source in self.sources}
        for op in set(ops):
            for source in self.sources:
                if source.knows(op):
                    counts[source.name] += 1
                    break
        return counts


def source_counts(source: LatencySource, ops: Iterable[OpSpec]) -> dict[str, int]:
    """How many of the distinct operators each part of a source answers for, by its name."""
    return (source if isinstance(source, Chain) else Chain((source,))).counts(ops)


def is_measured(source: LatencySource, op: OpSpec) -> bool:
    """Whether a lookup table answers for the operator."""
    parts = source.sources if isinstance(source, Chain) else (source,)
    first = next((part for part in parts if part.knows(op)), None)
    return isinstance(first, LookupTable)


@dataclass(frozen=True, slots=True)
class NetworkLatency:
    """Latency of one inference.

    Attributes:
        estimates: one per node, in order, without the runtime's overhead.
        total_cycles: with the runtime's overhead.
        latency_ms: at the board's clock.
        rel_error: see `network_latency`.
        source: name of the latency source.
        runtime: whose kernels and overhead these are.
    """

    estimates: tuple[Estimate, ...]
    total_cycles: float
    latency_ms: float
    rel_error: float
    source: str
    runtime: Runtime


def network_latency(network: Network, source: LatencySource, board: Board) -> NetworkLatency:
    """Σ cycles of the operators + `board.op_overhead_cycles` for each of them under TFLM; none in a bundle.

    The relative error is the mean of the operators' errors weighted by their cycles. By the triangle
    inequality the expected error of a sum is at most the sum of the expected errors, so this holds however
    the errors are correlated; and they are: one model errs alike on like layers, so the smaller
    root-sum-of-squares would promise too much.

    Raises:
        CostError: the source does not know an operator.
    """
    estimates = tuple(source.cycles(node.op) for node in network.nodes)
    overhead = board.op_overhead_cycles * len(estimates) if source.runtime == "tflm" else 0
    total = sum(estimate.cycles for estimate in estimates) + overhead
    error = sum(estimate.cycles * estimate.rel_error for estimate in estimates)
    return NetworkLatency(
        estimates=estimates,
        total_cycles=total,
        latency_ms=board.milliseconds(total),
        rel_error=error / total if total else 0.0,
        source=source.name,
        runtime=source.runtime,
    )
