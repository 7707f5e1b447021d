"""The pure part of a Pareto front, by hand and against brute force."""

from __future__ import annotations

from itertools import combinations
from math import log

import numpy as np
import pytest

from micronas_tf.errors import RunError
from micronas_tf.front import Pareto, Point, knee, ladder, non_dominated, spread


def beaten(point: Point, other: Point) -> bool:
    """The definition: as cheap and as accurate, and better in one."""
    return other[0] <= point[0] and other[1] >= point[1] and other != point


@pytest.mark.parametrize("seed", range(30))
def test_the_front_is_what_nothing_beats(seed: int) -> None:
    """Coarse values, so that many are equal."""
    rng = np.random.default_rng(seed)
    points = [(float(c), float(a)) for c, a in zip(rng.integers(1, 9, 25), rng.integers(0, 9, 25), strict=True)]
    front = non_dominated(points)
    expected = {p for p in points if not any(beaten(p, q) for q in points)}
    # Equal points once.
    assert sorted(points[i] for i in front) == sorted(expected)
    costs = [points[i][0] for i in front]
    assert costs == sorted(costs)


def test_no_points_have_no_front() -> None:
    assert non_dominated([]) == []
    assert knee([]) is None


def test_the_knee_by_hand() -> None:
    """Scaled: (0, 0), (1/9, 0.6), (4/9, 0.8), (1, 1); accuracy - cost is 0, 0.489, 0.356, 0. One point is beaten."""
    assert knee([(20.0, 0.9), (10.0, 0.8), (5.0, 0.5), (50.0, 1.0), (30.0, 0.7)]) == 1


@pytest.mark.parametrize(
    "points",
    [
        [(1.0, 0.5)],
        [(1.0, 0.5), (2.0, 0.6)],
        [(1.0, 0.9), (2.0, 0.8), (3.0, 0.7)],
        [(1.0, 0.5), (2.0, 0.6), (3.0, 0.9)],
    ],
)
def test_a_front_that_is_short_or_bends_the_other_way_has_no_knee(points: list[Point]) -> None:
    assert knee(points) is None


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("seed", range(10))
def test_spread_takes_both_ends_and_is_even(count: int, seed: int) -> None:
    costs = sorted(np.exp(np.random.default_rng(seed).uniform(0, 5, 8)).tolist())
    chosen = spread(costs, count)
    assert len(set(chosen)) == count
    assert chosen == sorted(chosen)
    assert 7 in chosen
    if count > 1:
        assert 0 in chosen
    if count == 3:
        middle = (log(costs[0]) + log(costs[-1])) / 2
        best = min(abs(log(costs[i]) - middle) for i in range(1, 7))
        assert abs(log(costs[chosen[1]]) - middle) == pytest.approx(best)


def test_spread_of_few_is_all() -> None:
    assert spread([1.0, 2.0], 4) == [0, 1]
    assert spread([], 3) == []
    assert spread([1.0, 2.0], 0) == []


def test_a_ladder_is_even_wherever_it_is_left() -> None:
    """1 to 256 in ratios; by hand: the ends, then the middle, then the quarters."""
    assert ladder(1.0, 256.0, 5)[:3] == pytest.approx([256.0, 1.0, 16.0])
    assert sorted(ladder(1.0, 256.0, 5)) == pytest.approx([1.0, 4.0, 16.0, 64.0, 256.0])
    for count in range(2, 12):
        logs = sorted(log(limit) for limit in ladder(3.0, 700.0, count))
        assert (logs[0], logs[-1]) == pytest.approx((log(3.0), log(700.0)))
        gaps = np.diff(logs)
        # A gap is halved only when none is wider.
        assert gaps.max() <= 2 * gaps.min() * (1 + 1e-9)


@pytest.mark.parametrize(("low", "high"), [(5.0, 5.0), (6.0, 5.0), (0.0, 5.0)])
def test_a_ladder_without_room_is_its_upper_end(low: float, high: float) -> None:
    assert ladder(low, high, 6) == [high]


@pytest.mark.parametrize("fields", [("speed", 5), ("latency", 1), ("memory", 0)])
def test_an_impossible_front_is_refused(fields: tuple[str, int]) -> None:
    with pytest.raises(RunError, match=r"A Pareto front is of latency or memory, with 2 points at least\. Received"):
        Pareto(*fields)  # type: ignore[arg-type]


def test_spread_is_near_the_best_possible() -> None:
    """Brute force over all choices with both ends: the widest gap is at most twice the least possible."""
    for seed in range(10):
        costs = sorted(np.exp(np.random.default_rng(seed).uniform(0, 5, 9)).tolist())
        logs = np.log(costs)
        widest = min(np.diff(logs[[0, *inner, 8]]).max() for inner in combinations(range(1, 8), 2))
        assert np.diff(logs[spread(costs, 4)]).max() <= 2 * widest + 1e-9
