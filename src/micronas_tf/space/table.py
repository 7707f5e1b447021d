"""The site table: the search space as data.

A *site* is one operator position. What looks like a disjunction ("this Add exists if any earlier branch is
on") is several rows, so that each row exists under a plain conjunction of choices; at most one of the rows
that share a name exists in any architecture. The supernet's layers, the expected cost, the exact cost and
`lower` all read this table, and no other place knows a shape rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from micronas_tf.architecture import DecisionGroup
from micronas_tf.errors import SpaceError
from micronas_tf.ops import Activation, OpKind, OpSpec, Pair, Shape
from micronas_tf.space.config import SpaceConfig

Width: TypeAlias = str | int
"""Filters of a tensor: the name of the width group that decides them, or a fixed number."""

INPUT = "input"
"""Name of the network's input among the values that sites read."""


class Literal(NamedTuple):
    """`group` takes the choice `value`."""

    group: str
    value: int


class Held(NamedTuple):
    """A tensor that must be kept while a site runs although the site does not touch it.

    Attributes:
        extent: (time, sensors).
        width: its filters.
        any_of: it is held if any of these literals is true.
    """

    extent: Pair
    width: Width
    any_of: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """One row: an operator position and the choices under which it exists.

    Attributes:
        name: layer this row stands for; rows with one name are alternatives.
        kind: operator.
        input_extent: (time, sensors) of every input.
        output_extent: (time, sensors).
        inputs: width of each input.
        output: width of the output.
        when: the row exists if all of these literals are true.
        reads: for each input, names of sites whose output it may be; the first one that exists is read.
        kernel, strides: (time, sensors); SAME padding throughout.
        activation: fused activation.
        holds: tensors alive beside inputs and output.
    """

    name: str
    kind: OpKind
    input_extent: Pair
    output_extent: Pair
    inputs: tuple[Width, ...]
    output: Width
    when: tuple[Literal, ...]
    reads: tuple[tuple[str, ...], ...]
    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    activation: Activation = "linear"
    holds: tuple[Held, ...] = ()

    def exists(self, choices: Mapping[str, int]) -> bool:
        return all(choices[literal.group] == literal.value for literal in self.when)

    def op(self, choices: Mapping[str, int]) -> OpSpec:
        """The operator for these widths; only the site's own width groups are looked up."""
        return OpSpec(
            kind=self.kind,
            inputs=tuple(tensor_shape(self.input_extent, width, choices) for width in self.inputs),
            output=tensor_shape(self.output_extent, self.output, choices),
            kernel=self.kernel,
            strides=self.strides,
            activation=self.activation,
        )

    @property
    def width_groups(self) -> tuple[str, ...]:
        """Names of the width groups that decide this operator's shapes, without repeats."""
        names = (width for width in (*self.inputs, self.output) if isinstance(width, str))
        return tuple(dict.fromkeys(names))


def tensor_shape(extent: Pair, width: Width, choices: Mapping[str, int]) -> Shape:
    filters = choices[width] if isinstance(width, str) else width
    return (*extent, filters)


@dataclass(frozen=True)
class SearchSpace:
    """The search space of one window shape.

    Attributes:
        window: samples in time, T.
        sensors: channels, S.
        classes: number of classes.
        config: the numbers it was built from.
        groups: every decision group, in the order of the network.
        cells: names of the groups of each cell; liveness of a group depends on its own cell only.
        sites: the rows, in execution order.
        forbidden: conjunctions that no valid architecture satisfies.
    """

    window: int
    sensors: int
    classes: int
    config: SpaceConfig
    groups: tuple[DecisionGroup, ...]
    cells: tuple[tuple[str, ...], ...]
    sites: tuple[Site, ...]
    forbidden: tuple[tuple[Literal, ...], ...] = field(default=())

    @property
    def input_shape(self) -> Shape:
        return (self.window, self.sensors, 1)

    @cached_property
    def group_by_name(self) -> dict[str, DecisionGroup]:
        return {group.name: group for group in self.groups}

    def group(self, name: str) -> DecisionGroup:
        try:
            return self.group_by_name[name]
        except KeyError:
            raise SpaceError(
                f"No decision group {name!r} in this space. Known: {', '.join(self.group_by_name)}."
            ) from None

    def widths(self, width: Width) -> tuple[int, ...]:
        """The filters that `width` can stand for."""
        return self.group(width).choices if isinstance(width, str) else (width,)

    def site_choices(self, site: Site) -> Iterator[dict[str, int]]:
        """Every combination of the site's own width groups."""
        combinations: list[dict[str, int]] = [{}]
        for name in site.width_groups:
            combinations = [{**partial, name: value} for partial in combinations for value in self.group(name).choices]
        yield from combinations

    def operators(self) -> tuple[OpSpec, ...]:
        """Every distinct operator of the space, sorted: the characterisation grid."""
        return tuple(sorted({site.op(choices) for site in self.sites for choices in self.site_choices(site)}))
