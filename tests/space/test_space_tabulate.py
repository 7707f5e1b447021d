"""Tabulated figures, against asking the figure of each node of the lowered network."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from tests.oracles import total

from micronas_tf.ops import OpSpec
from micronas_tf.space import build_space, largest, lower, random_architecture
from micronas_tf.space.tabulate import tabulate


def figure(op: OpSpec) -> float:
    """An integer that tells operators apart, so that sums in float64 are exact (below 2^53)."""
    (time, sensors, filters), source = op.output, op.inputs[0][2]
    return float(len(op.kind) + 7 * time + 31 * sensors + 1009 * filters + 100_003 * source + 13 * sum(op.kernel))


@pytest.mark.parametrize("shape", [(128, 9, 6), (51, 24, 6), (17, 1, 2)], ids=str)
def test_total_is_the_sum_over_the_network(shape: tuple[int, int, int]) -> None:
    space, rng = build_space(*shape), np.random.default_rng(0)
    figures = tabulate(space, figure)
    for architecture in [largest(space), *(random_architecture(space, rng) for _ in range(30))]:
        expected = sum(figure(node.op) for node in lower(space, architecture).nodes)
        assert total(space, figures, architecture) == expected


def test_each_distinct_operator_is_asked_for_once() -> None:
    space, asked = build_space(128, 9, 6), Counter[OpSpec]()

    def counted(op: OpSpec) -> int:
        asked[op] += 1
        return 1

    figures = tabulate(space, counted)
    assert set(asked) == set(space.operators())
    assert set(asked.values()) == {1}
    for site, table in zip(space.sites, figures, strict=True):
        assert table.shape == tuple(len(space.group(name)) for name in site.width_groups)
