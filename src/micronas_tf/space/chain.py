"""The site table as a chain of cells: what a cell costs depends on its own choices and on one state before it.

A row belongs to the last cell that it mentions. What the cells before have decided matters to the rows still to come
only through what is left of these rows once the decided choices are filled in: prefixes that leave the same rows are
one *state*. In this space a state is the width that the next cell reads, whichever cell has produced it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from micronas_tf.architecture import DecisionGroup
from micronas_tf.space.table import Literal, SearchSpace, Site

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.intp]
Prefix: TypeAlias = Mapping[str, int]
"""Choices of groups of the cells before."""


@dataclass(frozen=True)
class Stage:
    """One cell.

    Attributes:
        groups: the cell's own.
        before: groups of the cells before that are still mentioned.
        choices: every valid combination of the own groups that differs in a live one, as positions
            [choices, groups]; dead groups are at their first choice.
        live: [choices, groups].
        states: one prefix for each state; all prefixes of a state agree where it matters.
        after: [states, choices] → state of the next stage.
        sites: numbers of the rows that this cell completes.
    """

    groups: tuple[DecisionGroup, ...]
    before: Mapping[str, DecisionGroup]
    choices: IntArray
    live: BoolArray
    states: tuple[Prefix, ...]
    after: IntArray
    sites: tuple[int, ...]

    def position(self, name: str) -> IntArray:
        """Position of the choice that a group takes, [states or 1, choices or 1]."""
        for column, group in enumerate(self.groups):
            if group.name == name:
                return self.choices[None, :, column]
        choices = self.before[name].choices
        return np.array([[choices.index(state[name])] for state in self.states])

    def holds(self, literal: Literal) -> BoolArray:
        """[states or 1, choices or 1]"""
        group = next((group for group in self.groups if group.name == literal.group), None)
        choices = (group or self.before[literal.group]).choices
        return np.asarray(self.position(literal.group) == choices.index(literal.value))

    def exists(self, site: Site) -> BoolArray:
        """[states, choices]"""
        result = np.ones(self.after.shape, bool)
        for literal in site.when:
            result &= self.holds(literal)
        return result


def chain_of(space: SearchSpace) -> tuple[Stage, ...]:
    """One stage per cell, in order."""
    last = _last_cells(space)
    stages = []
    states: list[Prefix] = [{}]
    for number, cell in enumerate(space.cells):
        groups = tuple(space.group(name) for name in cell)
        later = [site for site, at in zip(space.sites, last, strict=True) if at > number]
        choices, live = _combinations(space, groups)
        after, following = _after(later, groups, choices, states)
        before = {name: space.group(name) for name in states[0]}
        own = tuple(index for index, at in enumerate(last) if at == number)
        stages.append(Stage(groups, before, choices, live, tuple(states), after, own))
        states = following
    return tuple(stages)


def constant_sites(space: SearchSpace) -> tuple[int, ...]:
    """Numbers of the rows that exist, and are the same, in every architecture."""
    return tuple(index for index, cell in enumerate(_last_cells(space)) if cell < 0)


def _last_cells(space: SearchSpace) -> list[int]:
    """For each row the last cell that it mentions; -1 if it mentions none."""
    cell_of = {name: number for number, cell in enumerate(space.cells) for name in cell}
    return [max((cell_of[name] for name in _mentioned(site)), default=-1) for site in space.sites]


def _mentioned(site: Site) -> set[str]:
    held = {held.width for held in site.holds if isinstance(held.width, str)}
    literals = (*site.when, *(literal for held in site.holds for literal in held.any_of))
    return {literal.group for literal in literals} | set(site.width_groups) | held


def _combinations(space: SearchSpace, groups: Sequence[DecisionGroup]) -> tuple[IntArray, BoolArray]:
    """Valid canonical combinations of one cell's groups, and which groups are live in each.

    The rule of `live_groups` for all combinations at once. It is decided inside a cell, so that literals of other
    cells count as true.
    """
    column = {group.name: k for k, group in enumerate(groups)}
    grid = np.array(list(product(*(range(len(group)) for group in groups))), np.intp)

    def false(literal: Literal) -> BoolArray:
        k = column[literal.group]
        return np.asarray(grid[:, k] != groups[k].choices.index(literal.value))

    live = np.zeros(grid.shape, bool)
    for site in space.sites:
        own = [literal for literal in site.when if literal.group in column]
        wrong = [false(literal) for literal in own]
        count = np.sum(wrong, axis=0, dtype=np.intp) if wrong else np.zeros(len(grid), np.intp)
        for literal, is_wrong in zip(own, wrong, strict=True):
            live[:, column[literal.group]] |= (count == 0) | ((count == 1) & is_wrong)
        for name in column.keys() & set(site.width_groups):
            live[:, column[name]] |= count == 0
    keep = np.all((grid == 0) | live, axis=1)
    for conjunction in space.forbidden:
        if column.keys() >= {literal.group for literal in conjunction}:
            keep &= np.any([false(literal) for literal in conjunction], axis=0)
    return grid[keep], live[keep]


def _after(
    later: Sequence[Site], groups: Sequence[DecisionGroup], choices: IntArray, states: Sequence[Prefix]
) -> tuple[IntArray, list[Prefix]]:
    """[states, choices] → number of the state after this cell, and these states."""
    asked: set[str] = set().union(*map(_mentioned, later))
    columns = [k for k, group in enumerate(groups) if group.name in asked]
    distinct, which = np.unique(choices[:, columns], axis=0, return_inverse=True)
    known: dict[frozenset[object], int] = {}
    following: list[Prefix] = []
    after = np.zeros((len(states), len(distinct)), np.intp)
    for row, state in enumerate(states):
        for entry, values in enumerate(distinct):
            own = {groups[k].name: groups[k].choices[value] for k, value in zip(columns, values, strict=True)}
            prefix = {name: value for name, value in {**state, **own}.items() if name in asked}
            left = frozenset(_left(later, prefix))
            if left not in known:
                known[left] = len(following)
                following.append(prefix)
            after[row, entry] = known[left]
    return after[:, which.ravel()], following


def _left(sites: Sequence[Site], prefix: Prefix) -> Iterator[object]:
    """The rows that may still exist, with the decided choices filled in."""
    for site in sites:
        if all(prefix.get(group, value) == value for group, value in site.when):
            still_open = tuple(literal for literal in site.when if literal.group not in prefix)
            widths = tuple(prefix.get(str(width), width) for width in (*site.inputs, site.output))
            yield site.name, site.kernel, still_open, widths, tuple(held.width for held in site.holds)
