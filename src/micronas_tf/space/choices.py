"""Which architectures a space holds: validity, dead groups, counting, drawing at random."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.errors import SpaceError
from micronas_tf.space.chain import chain_of
from micronas_tf.space.table import Literal, SearchSpace


def check(space: SearchSpace, architecture: Mapping[str, int]) -> None:
    """Raises SpaceError unless the architecture decides exactly the groups of the space, and validly."""
    if set(architecture) != set(space.group_by_name):
        missing = sorted(set(space.group_by_name) - set(architecture))
        unknown = sorted(set(architecture) - set(space.group_by_name))
        raise SpaceError(f"An architecture decides each group of its space. Missing: {missing}; unknown: {unknown}.")
    for group in space.groups:
        if architecture[group.name] not in group.choices:
            raise SpaceError(f"{group.name} must be one of {group.choices}. Received: {architecture[group.name]}.")
    if literals := _violated(space, architecture):
        switches = ", ".join(group for group, _ in literals)
        raise SpaceError(f"A cell needs a branch or its identity: not all of {switches} can be off.")


def is_valid(space: SearchSpace, architecture: Mapping[str, int]) -> bool:
    """Whether no cell is left without any branch."""
    return not _violated(space, architecture)


def _violated(space: SearchSpace, architecture: Mapping[str, int]) -> tuple[Literal, ...]:
    """The first forbidden conjunction that holds; empty if none does."""
    return next((c for c in space.forbidden if all(architecture[group] == value for group, value in c)), ())


def live_groups(space: SearchSpace, architecture: Mapping[str, int]) -> frozenset[str]:
    """The groups whose choice matters for this architecture.

    A width is live if an existing operator has it. A switch or kernel is live if it alone decides whether
    some row exists, every other literal of that row being true.
    """
    live: set[str] = set()
    for site in space.sites:
        false = [literal.group for literal in site.when if architecture[literal.group] != literal.value]
        if not false:
            live.update(site.width_groups, (literal.group for literal in site.when))
        elif len(false) == 1:
            live.add(false[0])
    return frozenset(live)


def canonical(space: SearchSpace, architecture: Mapping[str, int]) -> Architecture:
    """The same network with every dead group at its first choice; groups in the order of the space."""
    live = live_groups(space, architecture)
    return Architecture(
        {group.name: architecture[group.name] if group.name in live else group.choices[0] for group in space.groups}
    )


def size(space: SearchSpace) -> int:
    """Number of architectures as the paper counts them, dead and invalid choices included."""
    return prod(len(group) for group in space.groups)


def valid_size(space: SearchSpace) -> int:
    """Number of valid architectures that differ in a live group.

    Liveness and validity are decided inside a cell, so the count is the product over the cells.
    """
    return prod(len(stage.choices) for stage in chain_of(space))


def largest(space: SearchSpace) -> Architecture:
    """Every branch on, every width and kernel at its maximum, no cell skipped."""
    return Architecture({group.name: 0 if group.kind == "identity" else group.choices[-1] for group in space.groups})


def random_architecture(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """A uniform draw from the valid choices, dead groups canonical."""
    while True:
        drawn = Architecture({group.name: int(rng.choice(group.choices)) for group in space.groups})
        if is_valid(space, drawn):
            return canonical(space, drawn)
