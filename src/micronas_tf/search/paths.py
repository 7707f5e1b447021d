"""The best paths of a layered graph within limits, best first: exact.

1. Prices on the resources give an upper bound on the score of whatever a partial path can become (`bounds`).
2. For a threshold just below the bound of the whole graph, every arc is removed through which no path can reach the
   threshold within the limits. Of thousands of arcs a handful is left.
3. What is left is searched depth first: every path at or above the threshold is found.
4. The paths are handed out in order. Where more are asked for, the threshold falls.

A peak is no sum, and what it leaves of its resource is known late. Where that makes the bounds too weak, the paths
are parted by their peak.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from micronas_tf.search.descent import Descent, Task, TooManyError
from micronas_tf.search.trellis import Path

_FIRST_STEP, _STEP_GROWTH = 1e-4, 3.0
"""From the bound of the whole graph down to the threshold, in shares of the spread of scores."""

_FIRST_KEPT, _KEPT_GROWTH = 256, 8
"""Paths that one enumeration keeps: millions may have the same score, and few of them are asked for."""

_PATIENCE = 5_000
"""Partial paths, after which paths that can be parted by their peak are: better bounds are cheaper than more paths."""


def best_paths(task: Task) -> Iterator[tuple[float, Path]]:
    """All paths within the limits with their scores, best first; scores closer than 1e-9 come in any order."""
    parts = _Parts(task)
    given: set[Path] = set()
    step, kept = parts.spread * _FIRST_STEP, _FIRST_KEPT
    while parts.parts:
        threshold = max(parts.bound - step, parts.lowest)
        found = parts.above(threshold, kept)
        if found is None:
            step /= _STEP_GROWTH**3
            continue
        for score, path in found:
            if path not in given:
                given.add(path)
                yield score, path
        if len(found) == kept:
            kept *= _KEPT_GROWTH
        elif threshold == parts.lowest:
            return
        else:
            step *= _STEP_GROWTH


class _Parts:
    """A task, parted by the peaks of its paths where that pays."""

    def __init__(self, task: Task) -> None:
        least, greatest = 0.0, 0.0
        if task.peaks is not None:
            least, greatest = task.trellis.smallest_peak(task.peaks), max(float(peak.max()) for peak in task.peaks)
        whole = Descent(task, least, greatest, lowest_part=True)
        self.parts = [whole] if whole.feasible else []
        self.lowest = whole.lowest if whole.feasible else 0.0
        self.spread = whole.bound - whole.lowest if whole.feasible else 0.0

    @property
    def bound(self) -> float:
        """No path within the limits scores more."""
        return max((part.bound for part in self.parts), default=-np.inf)

    def above(self, threshold: float, kept: int) -> list[tuple[float, Path]] | None:
        """As `Descent.above`, of all parts; None if one had to be parted, so that the bounds are others."""
        found: list[tuple[float, Path]] = []
        for part in sorted(self.parts, key=lambda part: -part.bound):
            # What is below the paths found so far is of no interest where these are enough.
            least = found[-1][0] if len(found) == kept else threshold
            try:
                found += part.above(least, kept, _PATIENCE if part.separable else np.inf)
            except TooManyError:
                self.parts = [one for one in self.parts if one is not part] + part.halves()
                return None
            found = sorted(found, key=lambda item: -item[0])[:kept]
        return found
