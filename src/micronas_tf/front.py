"""The trade-off between one cost and accuracy: which points nothing beats, which to train, where it bends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal, TypeAlias, get_args

from micronas_tf.errors import RunError

Axis: TypeAlias = Literal["latency", "memory"]

Point: TypeAlias = tuple[float, float]
"""Cost and accuracy."""


@dataclass(frozen=True, slots=True)
class Pareto:
    """A trade-off that was asked for.

    Attributes:
        axis: the cost: latency, or the memory figure that the budget names.
        points: models that are trained at most, the answer to the budget included.
    """

    axis: Axis
    points: int = 5

    def __post_init__(self) -> None:
        if self.axis not in get_args(Axis) or self.points < 2:
            raise RunError(
                f"A Pareto front is of {' or '.join(get_args(Axis))}, with 2 points at least. Received: {self}."
            )


def non_dominated(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other one beats (as cheap and as accurate, and better in one), cheapest first."""
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i)):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def spread(costs: Sequence[float], count: int) -> list[int]:
    """Indices of `count` ascending costs, both ends among them, as evenly spaced in log(cost) as they come."""
    if len(costs) <= count:
        return list(range(len(costs)))
    if count < 2:
        return [len(costs) - 1][:count]
    low, high = log(costs[0]), log(costs[-1])
    chosen: list[int] = []
    for k in range(count):
        wanted = low + (high - low) * k / (count - 1)
        # Enough are left for the wishes to come.
        free = range(chosen[-1] + 1 if chosen else 0, len(costs) - (count - 1 - k))
        chosen.append(min(free, key=lambda i: abs(log(costs[i]) - wanted)))
    return chosen


def knee(points: Sequence[Point]) -> int | None:
    """Index of the point where more cost stops paying; None where the front has no such point.

    The front's costs and accuracies are scaled to 0..1; the knee is where accuracy - cost is greatest, that is,
    farthest above the line from the front's cheapest to its best point (Satopää et al., "Finding a Kneedle in a
    Haystack", 2011).
    """
    front = non_dominated(points)
    if len(front) < 3:
        return None
    (low, worst), (high, best) = points[front[0]], points[front[-1]]
    above = {i: (points[i][1] - worst) / (best - worst) - (points[i][0] - low) / (high - low) for i in front[1:-1]}
    bend = max(above, key=lambda i: above[i])
    return bend if above[bend] > 0 else None


def ladder(low: float, high: float, count: int) -> list[float]:
    """`count` limits from `high` to `low` in equal ratios: both ends, then always the middle of the widest gap.

    Whoever stops early has an even ladder all the same.
    """
    if not 0 < low < high or count < 2:
        return [high][:count]
    shares = [1.0, 0.0]
    while len(shares) < count:
        ordered = sorted(shares)
        gap = max(range(len(ordered) - 1), key=lambda i: ordered[i + 1] - ordered[i])
        shares.append((ordered[gap] + ordered[gap + 1]) / 2)
    return [low * (high / low) ** share for share in shares]
