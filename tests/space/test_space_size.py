"""How many architectures a space holds: pinned, in closed form, and by enumerating small spaces whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from tests.oracles import NormalForm, normal_form

from micronas_tf.architecture import Architecture
from micronas_tf.errors import SpaceError
from micronas_tf.space import SearchSpace, SpaceConfig, build_space, canonical, lower, size, valid_size


def test_sizes_of_the_papers_spaces() -> None:
    """The paper prints ≈10¹³ for UCI-HAR and ≈10²² for SkodaR."""
    assert size(build_space(128, 9, 6)) == 7_421_703_487_488
    assert {size(build_space(64, 30, classes)) for classes in (2, 11)} == {2_656_331_146_614_175_432_704}


def test_sizes_by_hand() -> None:
    time = 3 * 4
    cell = 8 * 8 * 2**4
    assert size(build_space(128, 9, 6)) == time**3 * cell * (2 * cell) ** 2
    assert size(build_space(64, 30, 6)) == time**2 * (cell * (2 * cell) ** 2) ** 2


def test_valid_sizes_by_hand() -> None:
    # A cell with any conv on (7 of 8 subsets, skip on or off) decides two widths; with the skip conv alone,
    # one: the bottleneck is dead. Skipping an optional cell is one more choice.
    time = 3 * 4
    cell = 2 * 7 * 8 * 8 + 8
    assert valid_size(build_space(128, 9, 6)) == time**3 * cell * (cell + 1) ** 2
    assert valid_size(build_space(64, 30, 6)) == time**2 * (cell * (cell + 1) ** 2) ** 2


def tiny(**fields: int | tuple[int, ...]) -> SpaceConfig:
    """Two widths and one or two kernels everywhere, unless told otherwise."""
    defaults: dict[str, int | tuple[int, ...]] = {
        "time_kernels": (3,),
        "time_filters_max": 4,
        "fusion_kernels": (3,),
        "fusion_filters_max": 16,
        "extra_cells": 0,
    }
    return SpaceConfig.from_json({**defaults, **fields})


def whole(space: SearchSpace) -> Iterator[Architecture]:
    for values in product(*(group.choices for group in space.groups)):
        yield Architecture({group.name: value for group, value in zip(space.groups, values, strict=True)})


ONE_WIDTH = {"time_filters_max": 8, "time_granularity": 8, "fusion_filters_max": 8}
TWO_EQUAL_WIDTHS = {"time_filters_max": 16, "time_granularity": 8}

SMALL = {
    "one cell": (4, 2, tiny()),
    "two time kernels, two widths": (8, 3, tiny(time_kernels=(3, 5), time_filters_max=8)),
    "two fusion kernels": (4, 2, tiny(fusion_kernels=(3, 7))),
    "three fusion kernels": (4, 2, tiny(fusion_kernels=(3, 5, 9))),
    "two time cells": (64, 2, tiny(time_filters_max=8, time_kernels=(3, 5))),
    "one extra cell": (4, 2, tiny(extra_cells=1)),
    "one sensor": (4, 1, tiny(extra_cells=1)),
    "one sensor, every cell optional": (4, 1, tiny(**TWO_EQUAL_WIDTHS, extra_cells=1)),
    "two extra cells, one width": (4, 2, tiny(**ONE_WIDTH, extra_cells=2)),
    "two blocks, one width": (4, 3, tiny(**ONE_WIDTH, min_sensors=1, extra_cells=1)),
}
LARGER = {
    "one extra cell, two kernels": (4, 2, tiny(extra_cells=1, fusion_kernels=(3, 5))),
    "two extra cells": (4, 2, tiny(extra_cells=2)),
    "two blocks": (4, 3, tiny(min_sensors=1, extra_cells=0, fusion_kernels=(3, 5))),
}


@pytest.mark.parametrize(("window", "sensors", "config"), [*SMALL.values(), *LARGER.values()], ids=[*SMALL, *LARGER])
def test_valid_size_against_counting(window: int, sensors: int, config: SpaceConfig) -> None:
    space = build_space(window, sensors, 2, config)
    everything = [normal_form(architecture) for architecture in whole(space)]
    assert len(everything) == size(space)
    assert len(set(everything) - {None}) == valid_size(space)


@pytest.mark.parametrize(("window", "sensors", "config"), SMALL.values(), ids=SMALL)
def test_small_spaces_whole(window: int, sensors: int, config: SpaceConfig) -> None:
    """Every architecture: refused exactly if invalid; equal networks exactly for equal normal forms."""
    space = build_space(window, sensors, 2, config)
    found: dict[NormalForm, set[object]] = {}
    operators = set()
    for architecture in whole(space):
        form = normal_form(architecture)
        if form is None:
            with pytest.raises(SpaceError, match="branch"):
                lower(space, architecture)
            continue
        network = lower(space, architecture)
        operators |= {node.op for node in network.nodes}
        found.setdefault(form, set()).update([network, lower(space, canonical(space, architecture))])
    assert all(len(networks) == 1 for networks in found.values())
    assert len({network for networks in found.values() for network in networks}) == len(found) == valid_size(space)
    # Each operator of the characterisation grid occurs in some architecture, and none is missing from it.
    assert space.operators() == tuple(sorted(operators))
