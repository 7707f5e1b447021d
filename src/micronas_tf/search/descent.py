"""All paths of a layered graph within limits that score at least a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas_tf.search.bounds import best_prices, priced
from micronas_tf.search.trellis import BoolArray, FloatArray, IntArray, Path, Trellis, Values

_PRICES = 6
"""Bounds in use at a time: the best, and others that are sharper for paths that use the resources otherwise."""

_BATCH = 50_000
"""Arcs that are tried at a time."""

_TOLERANCE = 1e-9
"""Relative: the exact costs, which have the last word, are summed in another order."""


_NARROW = 128
"""Bytes between peaks that are not parted any further: half of what an operator adds."""


class TooManyError(Exception):
    """More partial paths than the patience allows."""


@dataclass(frozen=True)
class Resource:
    """Something limited: Σ amounts is `limit` at most."""

    amounts: Values
    limit: float


@dataclass(frozen=True)
class Task:
    """Which paths are asked for.

    Attributes:
        trellis: all paths.
        scores: Σ is maximised.
        resources: what limits the paths.
        peaks: the greatest of them along a path counts against the first resource; None counts nothing.
    """

    trellis: Trellis
    scores: Values
    resources: tuple[Resource, ...] = ()
    peaks: Values | None = None


@dataclass(frozen=True)
class _Partial:
    """n paths from the start to one stage.

    Attributes:
        state: [n]
        score: [n]
        value: score - Σ price · used + Σ price · limit, [n, prices].
        used: [n, resources]
        peak: [n]
        choices: [n, stage]
    """

    state: IntArray
    score: FloatArray
    value: FloatArray
    used: FloatArray
    peak: FloatArray
    choices: IntArray


class Descent:
    """The paths of a task whose peak is above `floor` and at most `ceiling`, with bounds on their scores.

    Attributes:
        feasible: whether any arcs are left.
        bound: no path within the limits scores more.
        lowest: no path scores less.
        separable: whether other peaks would leave other amounts.
    """

    def __init__(self, task: Task, floor: float, ceiling: float, *, lowest_part: bool) -> None:
        """`lowest_part`: a peak may also be at the floor."""
        self.task, self.trellis, self.floor, self.lowest_part = task, task.trellis, floor, lowest_part
        nothing = [np.zeros(after.shape) for after in self.trellis.after]
        self.amounts = [resource.amounts for resource in task.resources]
        self.limits = np.array([resource.limit for resource in task.resources])
        self.limits = self.limits + _TOLERANCE * np.abs(self.limits)
        if task.peaks is not None:
            self.limits[0] -= floor
        peaks = task.peaks or nothing
        # What an arc's peak adds to the floor, against the first resource.
        self.over = [np.maximum(peak - floor, 0.0) for peak in peaks]
        self.scores = self._masked(task.scores, [peak <= ceiling for peak in peaks])
        self.scores = self._masked(self.scores, self._fitting(self.scores))
        best = float(self.trellis.to_end(self.scores)[0][0])
        self.feasible = best > -np.inf
        self.ceiling = max(
            float(peak[score > -np.inf].max(initial=floor)) for peak, score in zip(peaks, self.scores, strict=True)
        )
        coupled = task.peaks is not None and any(np.ptp(amount) > 0 for amount in self.amounts[0])
        self.separable = coupled and self.ceiling - floor > _NARROW
        if self.feasible:
            self.lowest = -float(self.trellis.to_end([np.where(s > -np.inf, -s, s) for s in self.scores])[0][0])
            spread = best - self.lowest
            tried = best_prices(self.trellis, self.scores, self.amounts, self.limits, spread)
            self.bound = tried[0][0]
            self.prices = np.array([prices for _, prices in tried[:_PRICES]])
            self.slack = _TOLERANCE * max(spread, 1.0)

    def halves(self) -> list[Descent]:
        """The same paths, parted by their peak."""
        middle = (self.floor + self.ceiling) / 2
        low = Descent(self.task, self.floor, middle, lowest_part=self.lowest_part)
        high = Descent(self.task, middle, self.ceiling, lowest_part=False)
        return [part for part in (low, high) if part.feasible]

    def above(self, threshold: float, kept: int, patience: float = np.inf) -> list[tuple[float, Path]]:
        """The paths that score `threshold` or more, best first; the `kept` best of them.

        Raises:
            TooManyError: it would take more than `patience` partial paths.
        """
        if self.bound < threshold - self.slack:
            return []
        self.threshold, self.kept, self.patience = threshold - self.slack, kept, patience
        self.found: list[tuple[FloatArray, IntArray]] = []
        self._reduce()
        start = _Partial(
            np.zeros(1, np.intp),
            np.zeros(1),
            (self.prices @ self.limits)[None],
            np.zeros((1, len(self.limits))),
            np.zeros(1),
            np.zeros((1, 0), np.intp),
        )
        self._descend(start)
        scores, choices = self._best_found()
        return [(float(score), tuple(path)) for score, path in zip(scores, choices.tolist(), strict=True)]

    def _reduce(self) -> None:
        """Which arcs are left, and what is behind each: the best value at each price, the least of each resource."""
        scores = self.scores
        for _ in range(2):
            left = self._fitting(scores)
            for prices in self.prices:
                values = self.trellis.through(priced(scores, self.amounts, prices))
                for stage, value in enumerate(values):
                    bound = value + prices @ self.limits - prices[:1].sum() * self.over[stage]
                    left[stage] &= bound >= self.threshold
            scores = self._masked(scores, left)
        self.left = left
        self.ahead = [self._behind(priced(scores, self.amounts, prices)) for prices in self.prices]
        needs = [self._masked([-amount for amount in amounts], left) for amounts in self.amounts]
        self.needs = [[-value for value in self._behind(need)] for need in needs]

    def _behind(self, values: Values) -> list[FloatArray]:
        """The greatest sum from each arc on."""
        ends = self.trellis.to_end(values)[1:]
        return [value + end[after] for value, end, after in zip(values, ends, self.trellis.after, strict=True)]

    def _fitting(self, scores: Values) -> list[BoolArray]:
        """The arcs that lie on a path within each limit on its own."""
        fitting = [score > -np.inf for score in scores]
        for number, (amounts, limit) in enumerate(zip(self.amounts, self.limits, strict=True)):
            values = self.trellis.through(self._masked([-amount for amount in amounts], fitting))
            for stage, value in enumerate(values):
                fitting[stage] &= (self.over[stage] if number == 0 else 0.0) - value <= limit
        return fitting

    def _masked(self, values: Values, left: Sequence[BoolArray]) -> list[FloatArray]:
        return [np.where(mask, value, -np.inf) for value, mask in zip(values, left, strict=True)]

    def _descend(self, partial: _Partial) -> None:
        """Extend the partial paths by one stage, the most promising first, and so on to the end."""
        stage = partial.choices.shape[1]
        if stage == len(self.left):
            self._keep(partial)
            return
        parents, choices, bounds = self._extensions(partial, stage)
        self.patience -= len(parents)
        if self.patience < 0:
            raise TooManyError
        order = np.argsort(-bounds, kind="stable")
        batch = self._batch(stage + 1)
        for first in range(0, len(order), batch):
            taken = order[first : first + batch]
            # It rises where more paths are found than are kept.
            taken = taken[bounds[taken] >= self.threshold]
            if len(taken):
                self._descend(self._extended(partial, parents[taken], choices[taken]))

    def _batch(self, stage: int) -> int:
        """How many partial paths are extended at a time."""
        widest = int(self.left[stage].sum(1).max()) if stage < len(self.left) else 1
        return max(1, _BATCH // max(1, widest))

    def _extensions(self, partial: _Partial, stage: int) -> tuple[IntArray, IntArray, FloatArray]:
        """Partial paths and choices that may still reach the threshold within the limits, and their bounds."""
        parents, choices, bounds = [], [], []
        for state in np.unique(partial.state):
            rows, arcs = np.flatnonzero(partial.state == state), np.flatnonzero(self.left[stage][state])
            over = np.maximum(partial.peak[rows, None], self.over[stage][state, arcs])
            bound = np.full(over.shape, np.inf)
            for j, prices in enumerate(self.prices):
                value = partial.value[rows, j, None] + self.ahead[j][stage][state, arcs] - prices[:1].sum() * over
                bound = np.minimum(bound, value)
            for i, (limit, needs) in enumerate(zip(self.limits, self.needs, strict=True)):
                need = partial.used[rows, i, None] + needs[stage][state, arcs] + (over if i == 0 else 0.0)
                bound[need > limit] = -np.inf
            row, arc = np.nonzero(bound >= self.threshold)
            parents.append(rows[row])
            choices.append(arcs[arc])
            bounds.append(bound[row, arc])
        return np.concatenate(parents), np.concatenate(choices), np.concatenate(bounds)

    def _extended(self, partial: _Partial, parents: IntArray, choices: IntArray) -> _Partial:
        stage = partial.choices.shape[1]
        at = (partial.state[parents], choices)
        score = self.scores[stage][at]
        amounts = np.array([amount[stage][at] for amount in self.amounts]).reshape(-1, len(parents)).T
        return _Partial(
            self.trellis.after[stage][at],
            partial.score[parents] + score,
            partial.value[parents] + score[:, None] - amounts @ self.prices.T,
            partial.used[parents] + amounts,
            np.maximum(partial.peak[parents], self.over[stage][at]),
            np.column_stack([partial.choices[parents], choices]),
        )

    def _keep(self, complete: _Partial) -> None:
        """Remember complete paths; where there are more than enough, only better ones are still of interest."""
        inside = (complete.peak > 0) | self.lowest_part
        self.found.append((complete.score[inside], complete.choices[inside]))
        if sum(len(scores) for scores, _ in self.found) > 2 * self.kept:
            self.found = [self._best_found()]
            self.threshold = max(self.threshold, self.found[0][0][-1] + self.slack)

    def _best_found(self) -> tuple[FloatArray, IntArray]:
        """The best `kept` of the complete paths, in order."""
        if not self.found:
            return np.zeros(0), np.zeros((0, len(self.left)), np.intp)
        scores, choices = (np.concatenate(parts) for parts in zip(*self.found, strict=True))
        order = np.argsort(-scores, kind="stable")[: self.kept]
        return scores[order], choices[order]
