"""From the site table to searchable layers."""

from __future__ import annotations

import keras

from micronas_tf.errors import SpaceError
from micronas_tf.space import SearchSpace, Site
from micronas_tf.supernet.cells import SensorFusionCell, TimeReduceCell

OUTPUT = "output/conv"
"""The one conv without gates: 1×1 to the classes."""


def searchable_cells(space: SearchSpace) -> list[keras.layers.Layer]:
    """One layer per cell of the space, in order, named as the cell."""
    return [_cell(space, groups) for groups in space.cells]


def cell_of(group: str) -> str:
    """`fusion0.1.width` belongs to the cell `fusion0.1`."""
    return group.rpartition(".")[0]


def within_cell(group: str) -> str:
    """`fusion0.1.width` is `width` within its cell."""
    return group.rpartition(".")[2]


def _cell(space: SearchSpace, groups: tuple[str, ...]) -> keras.layers.Layer:
    name = cell_of(groups[0])
    rows = [site for site in space.sites if site.name.startswith(f"{name}/") and site.kind == "conv2d"]
    names = {within_cell(group) for group in groups}
    if names == {"kernel", "width"}:
        kernels = sorted({site.kernel for site in rows})
        return TimeReduceCell(kernels, space.group(f"{name}.width").choices, rows[0].strides, name=name)
    if {"bottleneck", "width", "skip"} <= names:
        return _fusion(space, name, {site.name.rpartition("/")[2]: site for site in rows}, "identity" in names)
    raise SpaceError(f"No searchable layer for a cell with the groups {groups}.")


def _fusion(space: SearchSpace, name: str, rows: dict[str, Site], has_identity: bool) -> SensorFusionCell:
    bottleneck, skip = rows.pop("bottleneck"), rows.pop("skip")
    return SensorFusionCell(
        branches={branch: site.kernel for branch, site in rows.items()},
        bottleneck_kernel=bottleneck.kernel,
        skip_kernel=skip.kernel,
        strides=bottleneck.strides,
        bottleneck_widths=space.group(f"{name}.bottleneck").choices,
        widths=space.group(f"{name}.width").choices,
        has_identity=has_identity,
        name=name,
    )
