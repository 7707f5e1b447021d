"""All costs of one network on one board, and whether they fit a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from micronas_tf.boards import Board, Budget, MemoryFigure
from micronas_tf.cost.flash import flash_bytes
from micronas_tf.cost.latency import LatencySource, NetworkLatency, network_latency
from micronas_tf.cost.macs import network_macs
from micronas_tf.cost.memory import arena_bytes, peak_memory_bytes
from micronas_tf.ops import Network


@dataclass(frozen=True, slots=True)
class NetworkCosts:
    """Exact costs of a network, by the models of this room.

    Attributes:
        latency: with its source and error.
        arena_bytes: what the runtime must be given.
        peak_memory_bytes: the paper's figure.
        flash_bytes: of the flatbuffer.
        macs: multiply-accumulates.
    """

    latency: NetworkLatency
    arena_bytes: int
    peak_memory_bytes: int
    flash_bytes: int
    macs: int

    def memory_bytes(self, figure: MemoryFigure) -> int:
        return self.arena_bytes if figure == "arena" else self.peak_memory_bytes

    def excess(self, budget: Budget, margin: float = 0.0) -> dict[str, tuple[float, float]]:
        """The limits that do not hold: figure → (value, limit). Empty: within budget.

        Args:
            budget: a limit that is None holds.
            margin: the latency must stay below its limit / (1 + margin).
        """
        figures = {
            "latency_ms": (self.latency.latency_ms * (1.0 + margin), budget.latency_ms),
            "memory_bytes": (self.memory_bytes(budget.memory_figure), budget.memory_bytes),
            "flash_bytes": (self.flash_bytes, budget.flash_bytes),
        }
        return {name: (value, limit) for name, (value, limit) in figures.items() if limit is not None and value > limit}

    def to_json(self) -> dict[str, Any]:
        """The cost entries of `metrics.json`."""
        return {
            "latency_ms": {
                "value": self.latency.latency_ms,
                "rel_error": self.latency.rel_error,
                "source": self.latency.source,
                "runtime": self.latency.runtime,
            },
            "peak_memory_bytes": self.peak_memory_bytes,
            "arena_bytes": self.arena_bytes,
            "flash_bytes": self.flash_bytes,
            "macs": self.macs,
        }


def network_costs(network: Network, source: LatencySource, board: Board) -> NetworkCosts:
    """Latency, memory, flash and MACs of a network.

    Raises:
        CostError: the latency source does not know an operator.
    """
    return NetworkCosts(
        latency=network_latency(network, source, board),
        arena_bytes=arena_bytes(network, source.runtime),
        peak_memory_bytes=peak_memory_bytes(network),
        flash_bytes=flash_bytes(network),
        macs=network_macs(network),
    )
