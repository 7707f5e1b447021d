"""The numbers of the space, and how deep a window shape makes it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from micronas_tf.errors import SpaceError
from micronas_tf.ops import MOST_EXTENT
from micronas_tf.space import SpaceConfig, build_space, halvings, largest, lower


def test_the_defaults_are_those_of_the_paper() -> None:
    config = SpaceConfig()
    assert config.time_widths == (4, 8, 12, 16)
    assert config.fusion_widths == (8, 16, 24, 32, 40, 48, 56, 64)
    assert config.time_kernels == config.fusion_kernels == (3, 5, 7)
    assert (config.min_time, config.min_sensors, config.extra_cells) == (16, 5, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time_filters_max": 18}, "time_filters_max must be a positive multiple of time_granularity"),
        ({"time_granularity": 0}, "time_filters_max must be a positive multiple"),
        ({"time_granularity": -4}, "time_filters_max must be a positive multiple"),
        ({"time_filters_max": 0}, "time_filters_max must be a positive multiple"),
        ({"fusion_filters_max": 4}, r"fusion_filters_max must be .* Received: 4, 8"),
        ({"fusion_filters_max": -8}, "fusion_filters_max must be a positive multiple"),
        ({"time_kernels": ()}, "time_kernels must be odd, at least 3 and ascending"),
        ({"time_kernels": (3, 4)}, "time_kernels must be odd"),
        ({"time_kernels": (-3, 3)}, "time_kernels must be odd"),
        ({"time_kernels": (1, 3)}, "time_kernels must be odd, at least 3"),
        ({"fusion_kernels": (5, 3)}, "fusion_kernels must be odd"),
        ({"fusion_kernels": (3, 3)}, r"fusion_kernels must be .* Received: \(3, 3\)"),
        ({"time_filters_max": 16.0}, r"time_filters_max of the search space must be a whole number. Received: 16.0"),
        ({"extra_cells": (1, 2)}, r"extra_cells of the search space must be a whole number"),
        ({"time_kernels": 3}, "time_kernels of the search space must be a list of whole numbers. Received: 3"),
        ({"fusion_kernels": (3.0, 5.0)}, "fusion_kernels of the search space must be a list"),
        ({"min_time": 0}, "at least 1"),
        ({"min_sensors": 0}, "at least 1"),
        ({"extra_cells": -1}, r"extra_cells at least 0\. Received: 16, 5, -1"),
    ],
)
def test_impossible_numbers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SpaceConfig(**fields)


@pytest.mark.parametrize(
    "config",
    [
        SpaceConfig(),
        SpaceConfig(min_time=8, min_sensors=2, time_kernels=(3, 9), time_filters_max=6, time_granularity=3),
        SpaceConfig(fusion_kernels=(5,), fusion_filters_max=20, fusion_granularity=10, extra_cells=0),
    ],
)
def test_config_survives_json(config: SpaceConfig) -> None:
    back = SpaceConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert back == config
    assert hash(back) == hash(config)


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpaceError, match=r"Unknown field\(s\) of the search space: min_tim\. Known: .*'min_time'"):
        SpaceConfig.from_json({"min_tim": 8})


@pytest.mark.parametrize(
    ("extent", "least", "expected"),
    [
        # DESIGN, section 3: with min_time 16 and min_sensors 5.
        (128, 16, 3),
        (64, 16, 2),
        (9, 5, 1),
        (30, 5, 2),
        # At the edges: the halved extent just reaches the minimum, or just does not.
        (31, 16, 1),
        (32, 16, 1),
        (61, 16, 2),
        (60, 16, 1),
        (256, 16, 4),
        (17, 5, 2),
        (16, 5, 1),
        # Never less than 1, even where nothing can be halved.
        (16, 16, 1),
        (2, 16, 1),
        (1, 5, 1),
        (1, 1, 1),
        (3, 1, 2),
    ],
)
def test_halvings_by_hand(extent: int, least: int, expected: int) -> None:
    assert halvings(extent, least) == expected


def test_halvings_against_the_closed_form() -> None:
    # Halving n times, rounding up each time, is ceil(extent / 2^n).
    for extent in range(1, 400):
        for least in range(1, 40):
            useful = [n for n in range(1, 12) if -(-extent // 2**n) >= least and -(-extent // 2 ** (n - 1)) > 1]
            assert halvings(extent, least) == max([*useful, 1]), (extent, least)


@pytest.mark.parametrize(("window", "sensors", "classes"), [(1, 3, 2), (0, 3, 2), (16, 0, 2), (16, 3, 1), (16, 3, 0)])
def test_windows_without_a_space_are_refused(window: int, sensors: int, classes: int) -> None:
    with pytest.raises(SpaceError, match=f"Received: {window} samples, {sensors} sensors, {classes} classes"):
        build_space(window, sensors, classes)


@pytest.mark.parametrize(
    ("window", "sensors", "last"),
    # Extent before the output cell, worked by hand: the window is halved once, the sensors once unless 1.
    [(2, 1, (1, 1)), (3, 1, (2, 1)), (2, 2, (1, 1)), (3, 2, (2, 1)), (2, 3, (1, 2)), (5, 4, (3, 2))],
)
def test_tiny_windows(window: int, sensors: int, last: tuple[int, int]) -> None:
    space = build_space(window, sensors, 2)
    network = lower(space, largest(space))
    assert network.input_shape == (window, sensors, 1)
    assert network.nodes[-3].op.inputs == ((*last, 64),)
    assert network.output_shape == (1, 1, 2)


def test_one_sensor_means_stride_1_everywhere() -> None:
    space = build_space(128, 1, 3)
    fusion = [site for site in space.sites if site.name.startswith("fusion")]
    assert fusion
    assert {site.strides for site in fusion} == {(1, 1)}
    # The widths of the time cell (4…16) differ from those of the fusion cell (8…64): no identity there.
    assert [group.name for group in space.groups if group.kind == "identity"] == [
        "fusion0.1.identity",
        "fusion0.2.identity",
    ]


def test_one_sensor_and_equal_width_lists_allow_an_identity_in_the_first_cell() -> None:
    config = SpaceConfig(time_filters_max=16, time_granularity=8, fusion_filters_max=16, extra_cells=0)
    assert "fusion0.0.identity" in build_space(32, 1, 2, config).group_by_name
    assert "fusion0.0.identity" not in build_space(32, 2, 2, config).group_by_name  # its stride is 2


def test_numpy_numbers_are_as_good_as_others() -> None:
    given: dict[str, Any] = {"min_time": np.int64(8), "time_kernels": tuple(np.array([3, 5]))}
    config = SpaceConfig(**given)
    assert config == SpaceConfig(min_time=8, time_kernels=(3, 5))
    assert SpaceConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_windows_beyond_the_kernels_counters_are_refused() -> None:
    assert build_space(MOST_EXTENT, 1, 2).window == MOST_EXTENT
    with pytest.raises(SpaceError, match=r"at most 32,767 samples.* Received: 32,768 samples"):
        build_space(MOST_EXTENT + 1, 1, 2)
