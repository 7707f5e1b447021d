"""The expected cost of a gate matrix: differentiable, and exact where the gates are one-hot.

For a site the expectation is p_outᵀ · L · p_in · P(site exists), with L the tabulated figure over the widths
(King et al., arXiv 2310.18384, equation 2). All sites are padded to one array and evaluated at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from micronas_tf.space import Literal, SearchSpace
from micronas_tf.space.tabulate import SiteFigures

_SHARPNESS = 50.0
"""Of the smooth maximum: a working set 10 % below the largest weighs e⁻⁵ as much."""


class GateIndex:
    """Where each group stands in a gate matrix [groups, choices], and what its switches forbid."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.row = {group.name: index for index, group in enumerate(space.groups)}
        self.columns = max(len(group) for group in space.groups)
        self.shape = (len(space.groups), self.columns)

    def one_hot(self, architecture: dict[str, int]) -> np.ndarray:
        """Gate matrix of an architecture, float32."""
        matrix = np.zeros(self.shape, "float32")
        for group in self.space.groups:
            matrix[self.row[group.name], group.choices.index(architecture[group.name])] = 1.0
        return matrix

    def flat(self, literal: Literal) -> int:
        """Position of a choice in the flattened gate matrix."""
        choices = self.space.group(literal.group).choices
        return self.row[literal.group] * self.columns + choices.index(literal.value)

    def by_group(self, gates: tf.Tensor) -> dict[str, tf.Tensor]:
        """Gate vector of each group."""
        rows = tf.unstack(gates)
        return {group.name: rows[index][: len(group)] for index, group in enumerate(self.space.groups)}


class ExpectedCosts:
    """Expected additive figures and expected memory of a gate matrix.

    Args:
        space: its site table.
        figures: additive figures, tabulated over the sites, by name (for example `latency_ms`).
        working_set: bytes of each operator's inputs, output and scratch, tabulated over the sites.
        persistent: bytes that the runtime keeps for each operator throughout, tabulated over the sites.
        constants: what is added to a figure regardless of the architecture.
        hold: whether tensors that wait for a later operator count (the arena), or not (the paper's peak).
    """

    def __init__(
        self,
        space: SearchSpace,
        figures: dict[str, SiteFigures],
        working_set: SiteFigures,
        persistent: SiteFigures,
        constants: dict[str, float] | None = None,
        *,
        hold: bool = True,
    ) -> None:
        self.index = GateIndex(space)
        self.space = space
        self.hold = hold
        self.constants = constants or {}
        self.names = tuple(figures)
        never = self.index.shape[0] * self.index.columns  # flat position of the constant 1 appended to the gates
        self.width_rows = np.array([self._width_rows(site.width_groups) for site in space.sites])
        self.literals = _padded([[self.index.flat(lit) for lit in site.when] for site in space.sites], never)
        self.tables = np.stack(
            [*(self._padded_tables(figures[name]) for name in self.names), self._padded_tables(persistent)]
        )
        self.working_set = self._padded_tables(working_set)
        layers = list(dict.fromkeys(site.name for site in space.sites))
        self.layer_of_site = np.array([layers.index(site.name) for site in space.sites], "int32")
        self.layers = len(layers)
        held = [(index, item) for index, site in enumerate(space.sites) for item in site.holds]
        self.held_site = np.array([index for index, _ in held], "int32")
        self.held_bytes = np.array([self._held_bytes(item.width, item.extent) for _, item in held], "float32")
        self.held_row = np.array([self._row(item.width) for _, item in held], "int32")
        zero = never + 1  # flat position of the constant 0
        self.held_any = _padded([[self.index.flat(lit) for lit in item.any_of] for _, item in held], zero)

    def _row(self, width: str | int) -> int:
        return self.index.row[width] if isinstance(width, str) else self.index.shape[0]

    def _width_rows(self, groups: tuple[str, ...]) -> list[int]:
        return [*(self.index.row[name] for name in groups), *[self.index.shape[0]] * (2 - len(groups))]

    def _padded_tables(self, tables: Sequence[np.ndarray]) -> np.ndarray:
        padded = np.zeros((len(tables), self.index.columns, self.index.columns), "float32")
        for target, table in zip(padded, tables, strict=True):
            rows, columns, *_ = (*table.shape, 1, 1)
            target[:rows, :columns] = table.reshape(rows, columns)
        return padded

    def _held_bytes(self, width: str | int, extent: tuple[int, int]) -> np.ndarray:
        widths = np.zeros(self.index.columns)
        choices = self.space.widths(width)
        widths[: len(choices)] = choices
        return widths * extent[0] * extent[1]

    def __call__(self, gates: tf.Tensor) -> dict[str, tf.Tensor]:
        """Expected figures by name, and `memory_bytes`: the smooth maximum of the layers' expected working
        sets and what the runtime keeps.

        Args:
            gates: [groups, choices] probabilities.
        """
        constant = tf.one_hot([0], self.index.columns, dtype=gates.dtype)  # a fixed width: one choice, taken
        rows = tf.concat([gates, constant], 0)
        flat = tf.concat([tf.reshape(gates, [-1]), [1.0, 0.0]], 0)
        exists = tf.reduce_prod(tf.gather(flat, self.literals), 1)
        first, second = tf.gather(rows, self.width_rows[:, 0]), tf.gather(rows, self.width_rows[:, 1])
        expected = tf.einsum("si,fsij,sj->fs", first, self.tables, second) * exists
        *sums, persistent = tf.unstack(tf.reduce_sum(expected, 1))
        result = {name: value + self.constants.get(name, 0.0) for name, value in zip(self.names, sums, strict=True)}
        needed = tf.einsum("si,sij,sj->s", first, self.working_set, second)
        if self.hold:
            alive = 1.0 - tf.reduce_prod(1.0 - tf.gather(flat, self.held_any), 1)
            waiting = tf.reduce_sum(tf.gather(rows, self.held_row) * self.held_bytes, 1) * alive
            needed += tf.math.unsorted_segment_sum(waiting, self.held_site, len(self.space.sites))
        by_layer = tf.math.unsorted_segment_sum(needed * exists, self.layer_of_site, self.layers)
        result["memory_bytes"] = smooth_maximum(by_layer) + persistent + self.constants.get("memory_bytes", 0.0)
        return result


def smooth_maximum(values: tf.Tensor) -> tf.Tensor:
    """Softmax-weighted mean of non-negative `values`: at most their maximum, and close to it."""
    weights = tf.nn.softmax(_SHARPNESS * values / tf.stop_gradient(tf.reduce_max(values)))
    return tf.reduce_sum(weights * values)


def _padded(rows: list[list[int]], filler: int) -> np.ndarray:
    length = max((len(row) for row in rows), default=0)
    return np.array([row + [filler] * (length - len(row)) for row in rows], "int32").reshape(len(rows), length)
