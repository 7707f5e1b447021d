"""Projection: the most probable architectures that satisfy the budget, by an exact program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget
from micronas_tf.cost import NetworkCosts
from micronas_tf.errors import BudgetError
from micronas_tf.ops import Network
from micronas_tf.progress import Progress, silent
from micronas_tf.search.figures import SpaceFigures
from micronas_tf.search.program import Program, Terms, log_odds, score
from micronas_tf.space import canonical, lower

_TIME_LIMIT_S = 30.0
"""For one solution; what is best by then satisfies the budget, but may not be the most probable."""

_PATIENCE_S = 600.0
"""Where there is no solution by then: only a proof makes a refusal."""

_LIMIT_REACHED = 1
"""SciPy's status of a program that ran out of time."""

_MOST_CUTS = 2000


@dataclass(frozen=True, slots=True)
class Candidate:
    """An architecture within budget.

    Attributes:
        architecture: dead groups canonical.
        network: lowered.
        costs: exact.
        score: Σ log p(choice)/p(most probable choice) over its live groups, recomputed from the choices; 0 at most.
    """

    architecture: Architecture
    network: Network
    costs: NetworkCosts
    score: float


@dataclass(frozen=True, slots=True)
class Least:
    """The least achievable figures of a space, each on its own."""

    latency_ms: float
    memory_bytes: int
    flash_bytes: int


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

    def candidates(self, probabilities: Mapping[str, Sequence[float]]) -> Iterator[Candidate]:
        """Distinct networks within budget, most probable first.

        Args:
            probabilities: of each group's choices.

        Raises:
            BudgetError: not one architecture fits.
        """
        first = next(found := self._networks(probabilities), None)
        if first is None:
            raise self.refusal()
        yield first
        yield from found

    def _networks(
        self, probabilities: Mapping[str, Sequence[float]], least_latency_ms: float = 0.0
    ) -> Iterator[Candidate]:
        """Distinct networks within budget that take `least_latency_ms` or more, most probable first."""
        space = self.figures.space
        scores = log_odds(probabilities)
        program = Program(self.figures)
        self._limit(program, self.figures.budget)
        if least_latency_ms > 0:
            program.exceed_latency(least_latency_ms)
        objective = {program.q[name] + k: -value for name, group in scores.items() for k, value in enumerate(group)}
        seen: set[tuple[object, ...]] = set()
        for architecture in self._solutions(program, objective):
            network = lower(space, architecture)
            costs = self.exact(network)
            # Skipping the second of two cells gives the same operators as skipping the first.
            identity = tuple((node.op, node.inputs) for node in network.nodes)
            if identity in seen or costs.latency.latency_ms < least_latency_ms or not self.within(costs):
                continue
            seen.add(identity)
            yield Candidate(architecture, network, costs, score(space, scores, architecture))

    def best(
        self, probabilities: Mapping[str, Sequence[float]], count: int = 1, progress: Progress = silent
    ) -> list[Candidate]:
        """The `count` most probable distinct networks within budget, or as many as there are."""
        found: list[Candidate] = []
        progress("projecting", 0, count, {})
        for candidate in islice(self.candidates(probabilities), count):
            found.append(candidate)
            progress("projecting", len(found), count, _shown(candidate))
        # There may be fewer networks than asked for; the stage has still ended.
        progress("projecting", count, count, _shown(found[-1]))
        return found

    def ladder(
        self, probabilities: Mapping[str, Sequence[float]], count: int, progress: Progress = silent
    ) -> list[Candidate]:
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
            candidate = next(self._networks(probabilities, rung), None)
            if candidate is None:
                break
            found.append(candidate)
        progress("projecting", count, count, _shown(found[-1]))
        return found

    def explore(
        self, probabilities: Mapping[str, Sequence[float]], count: int, share: float, seed: int
    ) -> list[Candidate]:
        """Distinct random networks within budget whose latency is `share` of the greatest possible one or more.

        Each is the most probable network under random probabilities, which are uniform over those of every group.
        `probabilities` are what their scores are of.

        Raises:
            BudgetError: not one architecture fits.
        """
        rng = np.random.default_rng(seed)
        groups, odds = self.figures.space.groups, log_odds(probabilities)
        least_latency_ms = share * self._greatest_latency_ms()
        found: dict[Architecture, Candidate] = {}
        for _ in range(count):
            drawn = {group.name: rng.dirichlet(np.ones(len(group))).tolist() for group in groups}
            candidate = next(self._networks(drawn, least_latency_ms), None)
            if candidate is not None:
                likely = score(self.figures.space, odds, candidate.architecture)
                found.setdefault(candidate.architecture, replace(candidate, score=likely))
        return list(found.values())

    def _greatest_latency_ms(self) -> float:
        """Of the networks within the other limits, but the latency limit at most."""
        budget = self.figures.budget
        fitting = replace(budget, latency_ms=None)
        program = Program(self.figures)
        self._limit(program, fitting)
        slowest = {variable: -value for variable, value in program.latency.items()}
        costs = (self.exact(lower(self.figures.space, found)) for found in self._solutions(program, slowest))
        greatest = next(one.latency.latency_ms for one in costs if not one.excess(fitting))
        return greatest if budget.latency_ms is None else min(greatest, budget.latency_ms / (1 + self.margin))

    def within(self, costs: NetworkCosts) -> bool:
        return not costs.excess(self.figures.budget, self.margin)

    def check(self) -> None:
        """Refuse an impossible budget, before anything is trained.

        Raises:
            BudgetError: names the least achievable figures and what would make the budget possible.
        """
        uniform = {group.name: [1.0 / len(group)] * len(group) for group in self.figures.space.groups}
        next(self.candidates(uniform))

    def least(self) -> Least:
        """Least latency, memory and flash of the space, each regardless of the others."""
        latency, memory, flash = (self._least(objective) for objective in ("latency", "memory", "flash"))
        return Least(
            latency.latency.latency_ms, memory.memory_bytes(self.figures.budget.memory_figure), flash.flash_bytes
        )

    def _least(self, objective: str) -> NetworkCosts:
        """Exact costs of the minimiser; for the arena, of the minimiser of its lower bound."""
        program = Program(self.figures)
        if objective == "memory":
            # Adds rows, which would only slow the other two objectives down.
            terms = program.bound_memory()
        else:
            terms = program.latency if objective == "latency" else program.flash
        return self.exact(lower(self.figures.space, next(self._solutions(program, terms))))

    def refusal(self) -> BudgetError:
        """What the budget asks, the least the space can do, and what would help."""
        budget, least, space = self.figures.budget, self.least(), self.figures.space
        reasons = []
        if budget.latency_ms is not None and least.latency_ms * (1 + self.margin) > budget.latency_ms:
            reasons.append(f"latency {budget.latency_ms:g} ms (least achievable: {least.latency_ms:.2f} ms)")
        if budget.memory_bytes is not None and least.memory_bytes > budget.memory_bytes:
            name = f"{budget.memory_figure} memory"
            reasons.append(f"{name} {budget.memory_bytes:,} B (least achievable: {least.memory_bytes:,} B)")
        if budget.flash_bytes is not None and least.flash_bytes > budget.flash_bytes:
            reasons.append(f"flash {budget.flash_bytes:,} B (least achievable: {least.flash_bytes:,} B)")
        what = " and ".join(reasons) or (
            f"the limits together (alone, {least.latency_ms:.2f} ms, {least.memory_bytes:,} B of memory "
            f"and {least.flash_bytes:,} B of flash are achievable)"
        )
        return BudgetError(
            f"No architecture for {space.window}×{space.sensors} windows fits the budget on "
            f"{self.figures.board.id}: {what}. Raise the limit, use shorter windows or fewer channels, "
            "a faster board, or fewer extra_cells."
        )

    def _limit(self, program: Program, budget: Budget) -> None:
        if budget.latency_ms is not None:
            program.limit_latency(budget.latency_ms / (1 + self.margin))
        if budget.memory_bytes is not None:
            program.limit_memory(budget.memory_bytes)
        if budget.flash_bytes is not None:
            program.limit_flash(budget.flash_bytes)

    def _solutions(self, program: Program, objective: Terms) -> Iterator[Architecture]:
        """Solve, cut the solution off, solve again."""
        for _ in range(_MOST_CUTS):
            result = program.solve(objective, _TIME_LIMIT_S)
            if result.x is None and result.status == _LIMIT_REACHED:
                result = program.solve(objective, _PATIENCE_S)
            if result.x is None:
                return
            architecture = canonical(self.figures.space, program.architecture(result.x))
            yield architecture
            program.cut(architecture)


def _shown(candidate: Candidate) -> dict[str, float]:
    """What the progress shows beside the count."""
    return {"latency_ms": candidate.costs.latency.latency_ms}
