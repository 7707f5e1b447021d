"""The best paths of a layered graph within limits, best first: exact.

1. Prices on the resources give an upper bound on the score of whatever a partial path can become (`bounds`).
2. For a threshold just below the bound of the whole graph, every arc is removed through which no path can reach the
   threshold within the limits. Of thousands of arcs a handful is left.
3. What is left is searched depth first: every path at or above the threshold is found.
4. The paths are handed out in order. Where more are asked for, the threshold falls.

A peak is no sum, and what it leaves of its resource is known late. Where that makes the bounds too weak, the paths
are parted by their peak; but first the threshold is tried higher, for a step that is too wide looks the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np

from micronas_tf.search.descent import Descent, Task, TooManyError
from micronas_tf.search.trellis import Path

_FIRST_STEP, _STEP_GROWTH = 1e-4, 3.0
"""From the bound of the whole graph down to the threshold, in shares of the spread of scores."""

_CLOSE = 1.2
"""Of a step that takes too many paths and one that does not: there is nothing between them worth a try."""

_FIRST_KEPT, _KEPT_GROWTH = 256, 8
"""Paths that one enumeration keeps: millions may have the same score, and few of them are asked for."""

_PATIENCE = 5_000
"""Partial paths, after which a smaller step is tried, then parting by the peaks: both are cheaper than more paths."""


def best_paths(task: Task) -> Iterator[tuple[float, Path]]:
    """All paths within the limits with their scores, best first; scores closer than 1e-9 come in any order."""
    parts = _Parts(task)
    given: set[Path] = set()
    kept = _FIRST_KEPT
    # Down to a step of `done`, once that is taken, all paths are known; down to one of `late` there are too many.
    done, late = parts.spread * _FIRST_STEP / _STEP_GROWTH, np.inf
    while parts.parts:
        step = done * _STEP_GROWTH if late == np.inf else sqrt(done * late)
        thorough = late <= done * _CLOSE
        if thorough:
            step = late
        threshold = max(parts.bound - step, parts.lowest)
        found = parts.above(threshold, kept, thorough=thorough)
        if found is None:
            late = step
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
            done, late = step, np.inf if thorough else late


class _Parts:
    """A task, parted by the peaks of its paths where that pays.

    Attributes:
        parts: disjoint, all paths together.
        bound: no path within the limits scores more.
        lowest: no path scores less.
        spread: between the two.
    """

    def __init__(self, task: Task) -> None:
        least, greatest = 0.0, 0.0
        if task.peaks is not None:
            least, greatest = task.trellis.smallest_peak(task.peaks), max(float(peak.max()) for peak in task.peaks)
        whole = Descent(task, least, greatest, lowest_part=True)
        self.parts = [whole] if whole.feasible else []
        self.bound, self.lowest = (whole.bound, whole.lowest) if whole.feasible else (0.0, 0.0)
        self.spread = self.bound - self.lowest

    def above(self, threshold: float, kept: int, *, thorough: bool) -> list[tuple[float, Path]] | None:
        """As `Descent.above`, of all parts; None if that takes too many paths.

        Args:
            threshold: of the scores.
            kept: paths at most.
            thorough: part what takes too many, and then take them.
        """
        found: list[tuple[float, Path]] = []
        waiting = self.parts
        while waiting:
            part, *waiting = sorted(waiting, key=lambda part: -part.bound)
            # What is below the paths found so far is of no interest where these are enough.
            least = found[-1][0] if len(found) == kept else threshold
            try:
                found += part.above(least, kept, np.inf if thorough and not part.separable else _PATIENCE)
            except TooManyError:
                if not thorough:
                    return None
                halves = part.halves()
                self.parts = [one for one in self.parts if one is not part] + halves
                waiting += halves
            found = sorted(found, key=lambda item: -item[0])[:kept]
        return found
