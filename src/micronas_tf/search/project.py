"""Projection: the most probable architectures that satisfy the budget, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from math import ceil
from typing import TypeAlias

import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget, MemoryFigure
from micronas_tf.cost import NetworkCosts
from micronas_tf.errors import BudgetError
from micronas_tf.ops import Network
from micronas_tf.progress import Progress, silent
from micronas_tf.search.arcs import Arcs
from micronas_tf.search.descent import Task
from micronas_tf.search.figures import SpaceFigures
from micronas_tf.search.odds import log_odds, random_probabilities, score
from micronas_tf.search.paths import best_paths
from micronas_tf.space import lower

Probabilities: TypeAlias = Mapping[str, Sequence[float]]
"""Of the choices of each group."""


_TIE = 1e-7
"""Scores that are closer count as equal."""


@dataclass(frozen=True, slots=True)
class Solution:
    """One network of the space.

    Attributes:
        architecture: dead groups canonical.
        network: lowered.
        costs: exact.
    """

    architecture: Architecture
    network: Network
    costs: NetworkCosts


@dataclass(frozen=True, slots=True)
class Candidate(Solution):
    """A network within budget, or one that is to be looked at for it.

    Attributes:
        score: Σ log p(choice)/p(most probable choice) over its live groups, recomputed from the choices; 0 at most.
    """

    score: float


@dataclass(frozen=True, slots=True)
class Least:
    """The networks with the least figures of a space, each regardless of the others.

    Attributes:
        latency, memory, flash: the network with the least of it.
        memory_figure: what memory means.
    """

    latency: Solution
    memory: Solution
    flash: Solution
    memory_figure: MemoryFigure

    @property
    def latency_ms(self) -> float:
        return self.latency.costs.latency.latency_ms

    @property
    def memory_bytes(self) -> int:
        return self.memory.costs.memory_bytes(self.memory_figure)

    @property
    def flash_bytes(self) -> int:
        return self.flash.costs.flash_bytes


class Projector:
    """Projects probabilities onto a budget.

    Args:
        figures: tabulated costs of the space.
        exact: the exact costs of a network, which have the last word.
        margin: latency is kept below limit / (1 + margin).
    """

    def __init__(self, figures: SpaceFigures, exact: Callable[[Network], NetworkCosts], margin: float = 0.0) -> None:
        self.figures = figures
        self.exact = exact
        self.margin = margin

    @cached_property
    def _arcs(self) -> Arcs:
        return Arcs(self.figures)

    def candidates(self, probabilities: Probabilities) -> Iterator[Candidate]:
        """Distinct networks within budget, most probable first; scores closer than 1e-6 come in any order.

        Args:
            probabilities: of each group's choices.

        Raises:
            BudgetError: not one architecture fits.
        """
        first = next(found := self._probable(probabilities), None)
        if first is None:
            raise self.refusal()
        yield first
        yield from found

    def best(self, probabilities: Probabilities, count: int = 1, progress: Progress = silent) -> list[Candidate]:
        """The `count` most probable distinct networks within budget, or as many as there are."""
        found: list[Candidate] = []
        progress("projecting", 0, count, {})
        for candidate in islice(self.candidates(probabilities), count):
            found.append(candidate)
            progress("projecting", len(found), count, _shown(candidate))
        # There may be fewer networks than asked for; the stage has still ended.
        progress("projecting", count, count, _shown(found[-1]))
        return sorted(found, key=lambda candidate: -candidate.score)

    def ladder(self, probabilities: Probabilities, count: int, progress: Progress = silent) -> list[Candidate]:
        """The most probable network within budget that reaches each of `count` rungs of latency.

        The first rung is the latency of the most probable network within budget, which may leave most of the budget
        unused where the gates are undecided. The others follow in equal steps below the latency limit or, where
        this is less, below the greatest latency that the other limits permit.

        Returns:
            Distinct networks, in order of latency: `count` of them, or fewer where one reaches several rungs.

        Raises:
            BudgetError: not one architecture fits.
        """
        progress("projecting", 0, count, {})
        found = [next(self.candidates(probabilities))]
        lowest = found[0].costs.latency.latency_ms
        step = (self._greatest_latency_ms() - lowest) / count
        for done in range(1, count):
            progress("projecting", done, count, _shown(found[-1]))
            rung = lowest + done * step
            if found[-1].costs.latency.latency_ms >= rung:
                continue
            candidate = next(self._probable(probabilities, rung), None)
            if candidate is None:
                break
            found.append(candidate)
        progress("projecting", count, count, _shown(found[-1]))
        return found

    def explore(self, count: int, share: float, seed: int, progress: Progress = silent) -> list[Candidate]:
        """Distinct random networks within budget whose latency is `share` of the greatest possible one or more.

        Each is the most probable network under random probabilities, which are uniform over those of every group.
        """
        rng = np.random.default_rng(seed)
        least_latency_ms = share * self._greatest_latency_ms()
        found: dict[Architecture, Candidate] = {}
        for number in range(count):
            progress("projecting", number, count, {})
            drawn = random_probabilities(self.figures.space, rng)
            candidate = next(self._probable(drawn, least_latency_ms), None)
            if candidate is not None:
                found.setdefault(candidate.architecture, candidate)
        progress("projecting", count, count, {})
        return list(found.values())

    def candidate(self, architecture: Architecture, probabilities: Probabilities) -> Candidate:
        """An architecture with its costs and its score; the caller knows whether it is within budget."""
        network = lower(self.figures.space, architecture)
        total = score(self.figures.space, log_odds(probabilities), architecture)
        return Candidate(architecture, network, self.exact(network), total)

    def within(self, costs: NetworkCosts) -> bool:
        return not costs.excess(self.figures.budget, self.margin)

    def check(self) -> None:
        """Refuse an impossible budget, before anything is trained.

        Raises:
            BudgetError: names the least achievable figures and what would make the budget possible.
        """
        task = self._arcs.within(self._limits(), self._arcs.nothing)
        if not any(self.within(found.costs) for found in self._solutions(_roomy(task, 1.0))):
            raise self.refusal()

    def least(self) -> Least:
        """Least latency, memory and flash of the space, each regardless of the others."""
        arcs = self._arcs
        fastest, smallest = (
            next(self._solutions(Task(arcs.trellis, [-amount for amount in amounts])))
            for amounts in (arcs.latency_ms, arcs.flash_bytes)
        )
        return Least(fastest, self._least_memory(), smallest, self.figures.budget.memory_figure)

    def refusal(self) -> BudgetError:
        """What the budget asks, the least the space can do, and what would help."""
        budget, least, space = self.figures.budget, self.least(), self.figures.space
        reasons = []
        # A limit of what is said here is one that something fits.
        latency_ms = ceil(least.latency_ms * (1 + self.margin) * 100) / 100
        if budget.latency_ms is not None and least.latency_ms * (1 + self.margin) > budget.latency_ms:
            margin = f", with a margin of {self.margin:.1%}" if self.margin else ""
            reasons.append(f"latency {budget.latency_ms:g} ms (least achievable: {latency_ms:.2f} ms{margin})")
        if budget.memory_bytes is not None and least.memory_bytes > budget.memory_bytes:
            name = f"{budget.memory_figure} memory"
            reasons.append(f"{name} {budget.memory_bytes:,} B (least achievable: {least.memory_bytes:,} B)")
        if budget.flash_bytes is not None and least.flash_bytes > budget.flash_bytes:
            reasons.append(f"flash {budget.flash_bytes:,} B (least achievable: {least.flash_bytes:,} B)")
        what = " and ".join(reasons) or (
            f"the limits together (alone, {latency_ms:.2f} ms, {least.memory_bytes:,} B of memory "
            f"and {least.flash_bytes:,} B of flash are achievable)"
        )
        return BudgetError(
            f"No architecture for {space.window}×{space.sensors} windows fits the budget on "
            f"{self.figures.board.id}: {what}. Raise the limit, use shorter windows or fewer channels, "
            f"{'a smaller --margin, ' if self.margin and budget.latency_ms is not None else ''}a faster board, or a "
            "space with finer widths (SpaceConfig)."
        )

    def _probable(self, probabilities: Probabilities, least_latency_ms: float | None = None) -> Iterator[Candidate]:
        """Distinct networks within budget that take `least_latency_ms` or more, most probable first."""
        odds = log_odds(probabilities)
        task = self._arcs.within(self._limits(), self._arcs.scores(odds), least_latency_ms=least_latency_ms)
        seen: set[tuple[object, ...]] = set()
        for found in self._solutions(_roomy(task, _TIE)):
            # Skipping the second of two cells gives the same operators as skipping the first.
            identity = tuple((node.op, node.inputs) for node in found.network.nodes)
            fast = least_latency_ms is not None and found.costs.latency.latency_ms < least_latency_ms
            if identity in seen or fast or not self.within(found.costs):
                continue
            seen.add(identity)
            total = score(self.figures.space, odds, found.architecture)
            yield Candidate(found.architecture, found.network, found.costs, total)

    def _solutions(self, task: Task) -> Iterator[Solution]:
        """Architectures within the limits as tabulated, best first."""
        for _, path in best_paths(task):
            architecture = self._arcs.architecture(path)
            network = lower(self.figures.space, architecture)
            yield Solution(architecture, network, self.exact(network))

    def _limits(self) -> Budget:
        """The budget, with the margin taken off."""
        budget = self.figures.budget
        return (
            budget if budget.latency_ms is None else replace(budget, latency_ms=budget.latency_ms / (1 + self.margin))
        )

    def _greatest_latency_ms(self) -> float:
        """Of the networks within the other limits, but the latency limit at most."""
        limit = self._limits().latency_ms
        others = replace(self.figures.budget, latency_ms=None)
        slowest = self._solutions(self._arcs.within(others, self._arcs.latency_ms))
        greatest = next(one.costs.latency.latency_ms for one in slowest if not one.costs.excess(others))
        return greatest if limit is None else min(greatest, limit)

    def _least_memory(self) -> Solution:
        """The least of the exact figure: whatever may still be below the best one found is tried."""
        figure = self.figures.budget.memory_figure
        smallest = [-amount for amount in self._arcs.persistent_bytes]

        def memory(one: Solution) -> int:
            return one.costs.memory_bytes(figure)

        def fitting(limit: int) -> Iterator[Solution]:
            return self._solutions(self._arcs.within(Budget(memory_bytes=limit, memory_figure=figure), smallest))

        best = next(fitting(self._arcs.least_memory_bound()))
        while better := next((one for one in fitting(memory(best) - 1) if memory(one) < memory(best)), None):
            best = better
        return best


def _roomy(task: Task, weight: float) -> Task:
    """Of paths with the same score the one that leaves most of the limits first: the likeliest to fit the exact plan.

    A path within the limits loses `weight` for each limit at most.
    """
    scores = task.scores
    for resource in task.resources:
        if resource.limit > 0:
            share = weight / resource.limit
            scores = [score - share * amount for score, amount in zip(scores, resource.amounts, strict=True)]
    return replace(task, scores=scores)


def _shown(candidate: Candidate) -> dict[str, float]:
    """What the progress shows beside the count."""
    return {"latency_ms": candidate.costs.latency.latency_ms}
