"""Spaces small enough to try every architecture, and toy windows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Board, Budget, load_board
from micronas_tf.cost import LatencySource, default_source, network_costs
from micronas_tf.datasets import Windows
from micronas_tf.search import Projector, SpaceFigures, tabulate_figures
from micronas_tf.space import SearchSpace, SpaceConfig, build_space, is_valid

BOARD: Board = load_board("nucleo_f446re")
SOURCE: LatencySource = default_source("nucleo_f446re")  # the model that ships; no folder of the user is read


def config(**fields: int | tuple[int, ...]) -> SpaceConfig:
    small: dict[str, int | tuple[int, ...]] = {
        "time_kernels": (3, 7),
        "time_filters_max": 8,
        "fusion_kernels": (3,),
        "fusion_filters_max": 16,
        "extra_cells": 0,
    }
    return SpaceConfig.from_json({**small, **fields})


# Sizes are pinned in test_project.py.
SPACES: dict[str, SearchSpace] = {
    "one cell": build_space(16, 3, 3, config()),
    "a cell to skip": build_space(24, 6, 4, config(extra_cells=1)),
    "two time cells": build_space(64, 4, 2, config(fusion_kernels=(3, 5))),
    "two cells to skip": build_space(20, 5, 3, config(time_kernels=(3,), extra_cells=2, time_filters_max=4)),
    "three widths": build_space(33, 9, 6, config(fusion_filters_max=24, fusion_kernels=(3, 5, 7), extra_cells=0)),
}
LARGE = "a hundred thousand"
"""For the slow tests."""
ALL_SPACES = SPACES | {
    LARGE: build_space(20, 5, 3, config(time_kernels=(3, 5, 7), extra_cells=2)),
}


def whole(space: SearchSpace) -> Iterator[Architecture]:
    """Every valid architecture, dead choices included."""
    for values in product(*(group.choices for group in space.groups)):
        choices = {group.name: value for group, value in zip(space.groups, values, strict=True)}
        if is_valid(space, choices):
            yield Architecture(choices)


def projector(space: SearchSpace, budget: Budget, margin: float = 0.0) -> Projector:
    return Projector(
        tabulate_figures(space, BOARD, budget, SOURCE), lambda network: network_costs(network, SOURCE, BOARD), margin
    )


def figures_of(space: SearchSpace, budget: Budget | None = None) -> SpaceFigures:
    return tabulate_figures(space, BOARD, budget or Budget(), SOURCE)


def waves(count: int, seed: int = 0, **about: Any) -> Windows:
    """Three classes of noisy sines that differ in frequency; 16 samples, 3 channels that are one sensor."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    angle = 2 * np.pi * (1 + 2 * y[:, None, None]) * np.arange(16)[None, :, None] / 16
    x = np.sin(angle + rng.uniform(0, 2 * np.pi, (count, 1, 1))) + rng.normal(0, 0.2, (count, 16, 3))
    return Windows.of(x, y, channel_names=["acc_x", "acc_y", "acc_z"], **about)
