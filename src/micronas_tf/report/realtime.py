"""Whether the board keeps up with the sensor, and what that costs in energy."""

from __future__ import annotations

from dataclasses import dataclass

from micronas_tf.boards import Board


@dataclass(frozen=True, slots=True)
class Pace:
    """One way to run the classifier.

    Attributes:
        hop: new samples between two inferences.
        period_ms: time between two inferences.
        duty: share of the time that the processor computes; above 1 it cannot keep up.
        energy_mj: of one inference; None where the board's current is unknown. So for the next.
        average_ma: current over time, asleep between the inferences.
    """

    hop: int
    period_ms: float
    duty: float
    energy_mj: float | None
    average_ma: float | None


def paces(latency_ms: float, board: Board, *, rate_hz: float, window: int, hop: int | None) -> tuple[Pace, ...]:
    """One pace where the hop is known; else without overlap, with half, and with three quarters of a window."""
    hops = [hop] if hop is not None else sorted({window, max(1, window // 2), max(1, window // 4)}, reverse=True)
    return tuple(_pace(latency_ms, board, hop, 1e3 * hop / rate_hz) for hop in hops)


def _pace(latency_ms: float, board: Board, hop: int, period_ms: float) -> Pace:
    duty = latency_ms / period_ms
    energy = average = None
    if board.supply_v is not None and board.active_ma is not None:
        energy = board.supply_v * board.active_ma * latency_ms * 1e-3
        if board.sleep_ma is not None and duty <= 1:
            average = duty * board.active_ma + (1 - duty) * board.sleep_ma
    return Pace(hop, period_ms, duty, energy, average)
