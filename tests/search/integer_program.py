"""An oracle of the projection: the site table as a mixed-integer program, solved by HiGHS.

Choices are binary, costs are linear in products of choices.

Variables: x[g, k] = 1 if group g takes choice k; live[g] = 0 if group g does not matter; q[g, k] = x · live,
which carries the objective; y[s] = 1 if row s exists; z[s, i, j] = 1 if row s exists with width choices i, j.
Rows of one layer with the same widths and figures (they differ only in *why* the layer exists) share their z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import csr_array

from micronas_tf.architecture import Architecture
from micronas_tf.cost import align
from micronas_tf.search.figures import SpaceFigures
from micronas_tf.space import Literal, SearchSpace, live_groups

Terms = dict[int, float]
"""A linear expression: variable → coefficient."""

FloatArray = npt.NDArray[np.float64]


@dataclass
class _Rows:
    """Constraints `low ≤ Σ coefficient · variable ≤ high` while they are collected."""

    expressions: list[Terms] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, terms: Terms, low: float, high: float) -> None:
        self.expressions.append(terms)
        self.low.append(low)
        self.high.append(high)

    def constraint(self, variables: int) -> LinearConstraint:
        entries = [(row, v, c) for row, terms in enumerate(self.expressions) for v, c in terms.items()]
        rows, columns, values = zip(*entries, strict=True)
        matrix = csr_array((values, (rows, columns)), shape=(len(self.expressions), variables))
        return LinearConstraint(matrix, np.array(self.low), np.array(self.high))


@dataclass(frozen=True)
class _Pair:
    """Rows of one layer that share widths and figures, and their first z variable."""

    sites: tuple[int, ...]
    first: int
    shape: tuple[int, ...]

    def terms(self, table: FloatArray) -> Terms:
        """Σ table[i, j] · z[i, j]"""
        return {self.first + k: float(value) for k, value in enumerate(table.ravel()) if value}


class Program:
    """The program of one space: variables and structure fixed, budget rows and cuts added by the caller."""

    def __init__(self, figures: SpaceFigures) -> None:
        self.figures = figures
        self.space: SearchSpace = figures.space
        self.rows = _Rows()
        self.variables = 0
        self.binary: list[int] = []
        groups = self.space.groups
        self.x = {group.name: self._new(len(group), binary=True) for group in groups}
        self.q = {group.name: self._new(len(group)) for group in groups}
        self.live = {group.name: self._new(1) for group in groups}
        self.y = [self._new(1) for _ in self.space.sites]
        self._choices()
        self._existence()
        self.pairs = self._pairs()
        self.latency = self._sum(figures.latency_ms)
        self.flash = self._sum(figures.flash_bytes)
        self.persistent = self._sum(figures.persistent_bytes)

    def _new(self, count: int, *, binary: bool = False) -> int:
        first = self.variables
        self.variables += count
        if binary:
            self.binary += range(first, first + count)
        return first

    def literal(self, literal: Literal) -> int:
        """The variable that is 1 if the literal is true."""
        return self.x[literal.group] + self.space.group(literal.group).choices.index(literal.value)

    def _choices(self) -> None:
        """One choice per group; a dead group takes its first choice at no cost in the objective."""
        for group in self.space.groups:
            x, q, live = self.x[group.name], self.q[group.name], self.live[group.name]
            self.rows.add({x + k: 1.0 for k in range(len(group))}, 1.0, 1.0)
            self.rows.add({x: 1.0, q: -1.0, live: 1.0}, 1.0, 1.0)
            for k in range(1, len(group)):
                self.rows.add({x + k: 1.0, q + k: -1.0}, 0.0, 0.0)
        for conjunction in self.space.forbidden:
            self.rows.add({self.literal(lit): 1.0 for lit in conjunction}, -np.inf, len(conjunction) - 1.0)

    def _existence(self) -> None:
        """y is the conjunction of its literals; a group is live if a row exists with it, or would but for it."""
        for y, site in zip(self.y, self.space.sites, strict=True):
            literals = [self.literal(lit) for lit in site.when]
            self.rows.add({y: 1.0, **dict.fromkeys(literals, -1.0)}, 1.0 - len(literals), np.inf)
            for literal in literals:
                self.rows.add({y: 1.0, literal: -1.0}, -np.inf, 0.0)
            for group in site.width_groups:
                self.rows.add({self.live[group]: 1.0, y: -1.0}, 0.0, np.inf)
            for decided in site.when:
                others = [self.literal(lit) for lit in site.when if lit != decided]
                terms = {self.live[decided.group]: 1.0, **dict.fromkeys(others, -1.0)}
                self.rows.add(terms, 1.0 - len(others), np.inf)

    def _pairs(self) -> list[_Pair]:
        """z: which widths an existing row has."""
        alike: dict[tuple[object, ...], list[int]] = {}
        for index, site in enumerate(self.space.sites):
            alike.setdefault((site.name, site.kernel, site.width_groups), []).append(index)
        pairs = []
        for members in alike.values():
            groups = self.space.sites[members[0]].width_groups
            shape = tuple(len(self.space.group(name)) for name in groups)
            count = int(np.prod(shape))
            first = self._new(count)
            exists = {self.y[member]: -1.0 for member in members}
            self.rows.add({**{first + k: 1.0 for k in range(count)}, **exists}, 0.0, 0.0)
            ids = np.arange(first, first + count).reshape(shape)
            for axis, name in enumerate(groups):
                for k in range(shape[axis]):
                    taken = ids.take(k, axis).ravel().tolist()
                    self.rows.add({**dict.fromkeys(taken, 1.0), self.x[name] + k: -1.0}, -np.inf, 0.0)
            pairs.append(_Pair(tuple(members), first, shape))
        return pairs

    def _sum(self, tables: Sequence[FloatArray]) -> Terms:
        terms: Terms = {}
        for pair in self.pairs:
            terms.update(pair.terms(tables[pair.sites[0]]))
        return terms

    def limit_latency(self, latency_ms: float, *, least: bool = False) -> None:
        """`least`: from below."""
        self.rows.add(_scaled(self.latency, latency_ms), *((1.0, np.inf) if least else (-np.inf, 1.0)))

    def limit_flash(self, flash_bytes: float) -> None:
        room = flash_bytes - self.figures.flash_base
        self.rows.add(_scaled(self.flash, flash_bytes), -np.inf, room / flash_bytes)

    def limit_memory(self, memory_bytes: float) -> None:
        """Every operator's working set, with what waits meanwhile and what the runtime keeps, fits."""
        room = (memory_bytes - self.figures.persistent_base) / memory_bytes
        for terms, slack in self.working_sets():
            self.rows.add(_scaled(terms, memory_bytes), -np.inf, room + slack / memory_bytes)

    def working_sets(self) -> list[tuple[Terms, float]]:
        """Linear expressions, each at most memory - persistent base + slack in every valid solution.

        A tensor of h bytes that waits while row s runs if literal l is true counts when y[s] = l = 1:
        working set + h ≤ room + h_max · (2 - y[s] - l).
        """
        result = []
        for pair in self.pairs:
            base = _add(self.persistent, pair.terms(self.figures.working_set[pair.sites[0]]))
            result.append((base, 0.0))
            site = self.space.sites[pair.sites[0]]
            for held in site.holds if self.figures.counts_held else ():
                widths = self.space.widths(held.width)
                sizes = [align(held.extent[0] * held.extent[1] * width) for width in widths]
                waiting = _add(base, self._held(held.width, sizes))
                exists = {self.y[member]: float(max(sizes)) for member in pair.sites}
                for literal in held.any_of:
                    terms = _add(_add(waiting, exists), {self.literal(literal): float(max(sizes))})
                    result.append((terms, 2.0 * max(sizes)))
        return result

    def _held(self, width: str | int, sizes: list[int]) -> Terms:
        if isinstance(width, int):
            return {}
        return {self.x[width] + k: float(size) for k, size in enumerate(sizes)}

    def cut(self, architecture: Architecture) -> None:
        """Exclude this network: everything that agrees with it in its live groups."""
        live = live_groups(self.space, architecture)
        terms = {self.literal(Literal(name, architecture[name])): 1.0 for name in live}
        self.rows.add(terms, -np.inf, len(live) - 1.0)

    def solve(self, objective: Terms, time_limit_s: float) -> OptimizeResult:
        """Minimise; relative gap 0."""
        weights = np.zeros(self.variables)
        for variable, value in objective.items():
            weights[variable] = value
        scale = float(np.abs(weights).max()) or 1.0
        integrality = np.zeros(self.variables)
        integrality[self.binary] = 1
        return milp(
            weights / scale,
            integrality=integrality,
            bounds=Bounds(0.0, 1.0),
            constraints=self.rows.constraint(self.variables),
            options={"mip_rel_gap": 0.0, "time_limit": time_limit_s},
        )

    def architecture(self, solution: FloatArray) -> Architecture:
        """The rounded choices."""
        choices = {}
        for group in self.space.groups:
            taken = solution[self.x[group.name] : self.x[group.name] + len(group)]
            choices[group.name] = group.choices[int(np.argmax(taken))]
        return Architecture(choices)


def _scaled(terms: Terms, scale: float) -> Terms:
    return {variable: value / scale for variable, value in terms.items()}


def _add(left: Terms, right: Terms) -> Terms:
    result = dict(left)
    for variable, value in right.items():
        result[variable] = result.get(variable, 0.0) + value
    return result
