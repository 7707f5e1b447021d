"""The costs of a space as values of the arcs of a layered graph: a stage is a cell, an arc the choices in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget
from micronas_tf.cost import align
from micronas_tf.search.descent import Resource, Task
from micronas_tf.search.figures import SpaceFigures
from micronas_tf.search.trellis import FloatArray, Path, Trellis, Values
from micronas_tf.space import Site, Stage, chain_of, constant_sites
from micronas_tf.space.tabulate import SiteFigures


class Arcs:
    """All architectures of a space as paths, and what each arc costs.

    Attributes:
        trellis: the paths; each distinct decision is one.
        nothing: 0 for each arc.
        latency_ms, flash_bytes, persistent_bytes: added up along a path, for each stage [states, choices]; without
            what every network has.
        working_set: for each stage [states, choices], the greatest of its operators, with what waits meanwhile.
    """

    def __init__(self, figures: SpaceFigures) -> None:
        self.figures = figures
        self.stages = chain_of(figures.space)
        self.trellis = Trellis(tuple(stage.after for stage in self.stages))
        self.nothing: Values = [np.zeros(stage.after.shape) for stage in self.stages]
        self.latency_ms = self._sums(figures.latency_ms)
        self.flash_bytes = self._sums(figures.flash_bytes)
        self.persistent_bytes = self._sums(figures.persistent_bytes)
        self.working_set = self._greatest_working_sets()

    def scores(self, log_odds: Mapping[str, Sequence[float]]) -> list[FloatArray]:
        """Σ log-odds of the live choices, for each stage [states, choices]."""
        result = []
        for stage in self.stages:
            odds = [np.array(log_odds[group.name])[stage.choices[:, k]] for k, group in enumerate(stage.groups)]
            score = np.where(stage.live, np.column_stack(odds), 0.0).sum(1)
            result.append(np.broadcast_to(score, stage.after.shape))
        return result

    def architecture(self, path: Path) -> Architecture:
        """The choices along a path; dead groups canonical."""
        choices = {}
        for stage, taken in zip(self.stages, path, strict=True):
            for group, position in zip(stage.groups, stage.choices[taken], strict=True):
                choices[group.name] = group.choices[position]
        return Architecture(choices)

    def within(self, budget: Budget, scores: Values, *, least_latency_ms: float | None = None) -> Task:
        """The task to maximise `scores` within the limits of a budget; for the arena, within a lower bound on it.

        Args:
            budget: a limit that is None does not hold.
            scores: of the arcs.
            least_latency_ms: a limit from below.
        """
        figures, resources, peaks = self.figures, [], None
        if budget.memory_bytes is not None:
            base = figures.persistent_base + self._constant(figures.persistent_bytes)
            resources.append(Resource(self.persistent_bytes, budget.memory_bytes - base))
            peaks = self.working_set
        latency = self._constant(figures.latency_ms)
        if budget.latency_ms is not None:
            resources.append(Resource(self.latency_ms, budget.latency_ms - latency))
        if least_latency_ms is not None:
            resources.append(Resource([-values for values in self.latency_ms], latency - least_latency_ms))
        if budget.flash_bytes is not None:
            base = figures.flash_base + self._constant(figures.flash_bytes)
            resources.append(Resource(self.flash_bytes, budget.flash_bytes - base))
        return Task(self.trellis, scores, tuple(resources), peaks)

    def least_memory_bound(self) -> int:
        """No network takes less memory: the least of working set + persistent part, before the plan."""
        persistent = [-amount for amount in self.persistent_bytes]
        least_persistent = -self.trellis.to_end(persistent)[0][0]
        least = np.inf
        for peak in np.unique(np.concatenate([values.ravel() for values in self.working_set])):
            if peak + least_persistent >= least:
                break
            below = [np.where(w <= peak, p, -np.inf) for w, p in zip(self.working_set, persistent, strict=True)]
            least = min(least, peak - self.trellis.to_end(below)[0][0])
        return int(least + self.figures.persistent_base + self._constant(self.figures.persistent_bytes))

    def _constant(self, figures: SiteFigures) -> float:
        return float(sum(figures[index] for index in constant_sites(self.figures.space)))

    def _sums(self, figures: SiteFigures) -> list[FloatArray]:
        """A figure of the operators, added up over each cell."""
        result = []
        for stage in self.stages:
            total = np.zeros(stage.after.shape)
            for site in stage.sites:
                total += self._figure(figures, stage, site)
            result.append(total)
        return result

    def _greatest_working_sets(self) -> list[FloatArray]:
        """Of the operators of each cell; the first one's also counts those that every network has."""
        figures = self.figures
        constant = [float(figures.working_set[index]) for index in constant_sites(figures.space)]
        result: list[FloatArray] = []
        for stage in self.stages:
            greatest = np.full(stage.after.shape, 0.0 if result else max(constant, default=0.0))
            for site in stage.sites:
                waiting = self._waiting(stage, figures.space.sites[site]) if figures.counts_held else 0.0
                needed = self._figure(figures.working_set, stage, site)
                greatest = np.maximum(greatest, np.where(needed > 0, needed + waiting, 0.0))
            result.append(greatest)
        return result

    def _figure(self, figures: SiteFigures, stage: Stage, site: int) -> FloatArray:
        """Of one row, 0 where it does not exist, [states, choices]."""
        row = self.figures.space.sites[site]
        values = figures[site][tuple(stage.position(name) for name in row.width_groups)]
        return np.where(stage.exists(row), values, 0.0)

    def _waiting(self, stage: Stage, site: Site) -> FloatArray:
        """Bytes of the tensors that are kept while a row runs although it does not touch them."""
        waiting = np.zeros(stage.after.shape)
        for held in site.holds:
            bytes_of = [
                align(held.extent[0] * held.extent[1] * width) for width in self.figures.space.widths(held.width)
            ]
            which = stage.position(held.width) if isinstance(held.width, str) else np.zeros((1, 1), np.intp)
            present = np.any([np.broadcast_to(stage.holds(one), waiting.shape) for one in held.any_of], axis=0)
            waiting += np.where(present, np.array(bytes_of)[which], 0)
        return waiting
