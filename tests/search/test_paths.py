"""The best paths of small random graphs, against trying every path."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from micronas_tf.search import paths
from micronas_tf.search.descent import Resource, Task
from micronas_tf.search.paths import best_paths
from micronas_tf.search.trellis import FloatArray, Path, Trellis

STATES = (1, 3, 2, 3)
CHOICES = (4, 5, 6, 4)


def random_trellis(rng: np.random.Generator) -> Trellis:
    following = (*STATES[1:], 1)
    return Trellis(
        tuple(rng.integers(0, after, (n, k)) for n, k, after in zip(STATES, CHOICES, following, strict=True))
    )


def random_values(rng: np.random.Generator, low: float, high: float) -> list[FloatArray]:
    return [rng.uniform(low, high, (n, k)) for n, k in zip(STATES, CHOICES, strict=True)]


def random_task(seed: int, *, scores: list[FloatArray] | None = None, below: bool = False) -> Task:
    """Two limits of which the first also counts a peak, and possibly one from below, at what some path takes."""
    rng = np.random.default_rng(seed)
    trellis = random_trellis(rng)
    first, second, peaks = (random_values(rng, 0, high) for high in (2, 10, 6))
    path = tuple(int(rng.integers(k)) for k in CHOICES)
    resources = [Resource(first, trellis.total(first, path) + 4.0), Resource(second, trellis.total(second, path) * 1.1)]
    if below:
        resources.append(Resource([-value for value in second], -trellis.total(second, path) * 0.8))
    return Task(trellis, scores or random_values(rng, -1, 0), tuple(resources), peaks)


def brute_force(task: Task) -> dict[Path, float]:
    """Scores of all paths within the limits."""
    fitting = {}
    all_peaks = task.peaks or [np.zeros(after.shape) for after in task.trellis.after]
    for path in np.ndindex(*CHOICES):
        state, peak = 0, 0.0
        for after, peaks, choice in zip(task.trellis.after, all_peaks, path, strict=True):
            peak = max(peak, float(peaks[state, choice]))
            state = after[state, choice]
        used = [task.trellis.total(resource.amounts, path) for resource in task.resources]
        if task.peaks is not None:
            used[0] += peak
        if all(value <= resource.limit for value, resource in zip(used, task.resources, strict=True)):
            fitting[path] = task.trellis.total(task.scores, path)
    return fitting


def check(task: Task) -> int:
    """All paths, in order, each once. Returns their number."""
    expected, found = brute_force(task), list(best_paths(task))
    assert {path for _, path in found} == set(expected)
    assert len(found) == len(expected)
    # Sums in another order: rounding only.
    np.testing.assert_allclose([score for score, _ in found], [expected[path] for _, path in found], atol=1e-12)
    np.testing.assert_allclose([score for score, _ in found], sorted(expected.values(), reverse=True), atol=1e-8)
    return len(found)


@pytest.mark.parametrize("below", [False, True])
def test_all_paths_within_the_limits_in_order(below: bool) -> None:
    numbers = [check(random_task(seed, below=below)) for seed in range(6)]
    assert min(numbers) < max(numbers)
    assert sum(numbers) > 100


def test_paths_parted_by_their_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_PATIENCE", 3)
    monkeypatch.setattr("micronas_tf.search.descent._NARROW", 1.0)
    assert sum(check(random_task(seed)) for seed in range(3)) > 10


@pytest.mark.parametrize("patience", [3, 20, 5000])
def test_equal_scores_and_more_paths_than_are_kept(patience: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_FIRST_KEPT", 4)
    monkeypatch.setattr(paths, "_PATIENCE", patience)
    monkeypatch.setattr("micronas_tf.search.descent._NARROW", 1.0)
    rng = np.random.default_rng(0)
    for seed in range(3):
        check(random_task(seed, scores=[np.zeros((n, k)) for n, k in zip(STATES, CHOICES, strict=True)]))
        check(random_task(seed, scores=[np.round(value) for value in random_values(rng, -2, 0)]))


def test_the_first_paths_do_not_wait_for_the_others() -> None:
    """10¹² paths of equal score: a hundred of them."""
    after = tuple(np.zeros((1, 1000), np.intp) for _ in range(4))
    task = Task(Trellis(after), [np.zeros((1, 1000)) for _ in after])
    found = [path for _, path in islice(best_paths(task), 100)]
    assert len(set(found)) == 100


def test_no_path_within_the_limits() -> None:
    task = random_task(0)
    assert not list(best_paths(Task(task.trellis, task.scores, (Resource(task.resources[0].amounts, -1.0),))))


def test_without_limits_the_best_path_is_the_longest() -> None:
    for seed in range(5):
        task = random_task(seed)
        free = Task(task.trellis, task.scores)
        score, path = next(best_paths(free))
        assert score == pytest.approx(max(brute_force(free).values()), abs=1e-12)
        assert path == task.trellis.best(task.scores)
