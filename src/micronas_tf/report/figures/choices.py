"""How each decision group was decided: the probability of every choice, epoch by epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from micronas_tf.report.drawing import NARROW_IN, WIDE_IN, Drawing
from micronas_tf.report.theme import LIGHT

_COLUMN: Final = re.compile(r"p\((?P<group>.+)=(?P<choice>-?\d+)\)")
_ROW_IN = 0.125
_HEADING_IN = 0.24
_LABEL_IN = 0.86
_COLUMNS = 4
_GAP_IN = 0.04


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of the picture.

    Attributes:
        label: value, or the name of what is on.
        column: of the history.
        chosen: whether the final architecture has it; None where its group does not matter there.
    """

    label: str
    column: str
    chosen: bool | None


@dataclass(frozen=True, slots=True)
class Cell:
    """The groups of one cell: name, then for each group its rows (label of the group, choices)."""

    name: str
    groups: tuple[tuple[str, tuple[Choice, ...]], ...]

    @property
    def height_in(self) -> float:
        rows = sum(len(choices) for _, choices in self.groups)
        return _HEADING_IN + rows * _ROW_IN + len(self.groups) * _GAP_IN + 0.08


def cells_of(columns: Sequence[str], architecture: Mapping[str, int] | None, live: frozenset[str]) -> tuple[Cell, ...]:
    """The columns `p(group=choice)` of a history, by cell and group, in their order; a switch is one row, its "on"."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for column in columns:
        if found := _COLUMN.fullmatch(column):
            groups.setdefault(found["group"], []).append((int(found["choice"]), column))
    cells: dict[str, list[tuple[str, tuple[Choice, ...]]]] = {}
    for name, choices in groups.items():
        cell, _, short = name.rpartition(".")
        taken = None if architecture is None or name not in live else architecture.get(name)
        switch = [value for value, _ in choices] == [0, 1]
        rows = tuple(
            Choice("on" if switch else str(value), column, None if taken is None else taken == value)
            for value, column in choices
            if not (switch and value == 0)
        )
        cells.setdefault(cell, []).append((short, rows))
    return tuple(Cell(name, tuple(groups)) for name, groups in cells.items())


def choices_drawing(history: pd.DataFrame, architecture: Mapping[str, int] | None, live: frozenset[str]) -> Drawing:
    cells = cells_of([str(name) for name in history.columns], architecture, live)
    count = sum(len(cell.groups) for cell in cells)
    return Drawing(
        name="choices",
        title="How the choices fell",
        alt=f"Probabilities of the choices of {count} decision groups in {len(cells)} cells, over {len(history)} "
        "epochs; architecture.json has the final ones.",
        caption="One strip per choice, from the first epoch (left) to the last: the stronger, the more probable. "
        "● marks what the final network has; groups without one do not matter in it, such as those of a skipped cell.",
        draw=lambda narrow: _draw(cells, history, narrow),
    )


def _draw(cells: Sequence[Cell], history: pd.DataFrame, narrow: bool) -> Figure:
    stacks = stacked(cells, 1 if narrow else _COLUMNS)
    width = NARROW_IN if narrow else WIDE_IN
    height = max(sum(cell.height_in for cell in stack) for stack in stacks)
    figure = Figure(figsize=(width, height))
    pitch = width / len(stacks)
    for column, stack in enumerate(stacks):
        axes = figure.add_axes((column / len(stacks), 0, 1 / len(stacks), 1))
        axes.set(xlim=(0, pitch), ylim=(height, 0))
        axes.set_axis_off()
        top = 0.0
        for cell in stack:
            _draw_cell(axes, cell, history, top, pitch)
            top += cell.height_in
    return figure


def stacked(cells: Sequence[Cell], columns: int) -> list[list[Cell]]:
    """The cells in order, in at most `columns` columns, the highest of them as low as can be."""
    heights = [cell.height_in for cell in cells]
    ends = range(len(cells) + 1)
    for height in sorted({sum(heights[first:end]) for first in ends for end in ends if first < end}):
        if max(heights) <= height and len(stacks := _filled(cells, height)) <= columns:
            return stacks
    return [list(cells)]


def _filled(cells: Sequence[Cell], height: float) -> list[list[Cell]]:
    stacks: list[list[Cell]] = []
    for cell in cells:
        if not stacks or sum(other.height_in for other in [*stacks[-1], cell]) > height + 1e-9:
            stacks.append([])
        stacks[-1].append(cell)
    return stacks


def _draw_cell(axes: Axes, cell: Cell, history: pd.DataFrame, top: float, width: float) -> None:
    axes.text(0.02, top + 0.13, cell.name, fontsize=8, weight="bold", va="center")
    y, right = top + _HEADING_IN, width - 0.2
    for name, choices in cell.groups:
        axes.text(0.02, y + _ROW_IN / 2, name, fontsize=6.8, va="center", color=LIGHT["muted"])
        values = history[[choice.column for choice in choices]].to_numpy().T
        pixels = np.empty((*values.shape, 4))
        pixels[..., :3] = to_rgb(LIGHT["accent"])
        # One of eight equal choices is to be seen, too.
        pixels[..., 3] = values.clip(0, 1) ** 0.7
        bottom = y + len(choices) * _ROW_IN
        axes.imshow(pixels, extent=(_LABEL_IN, right, bottom, y), aspect="auto", interpolation="nearest")
        axes.plot([_LABEL_IN, right, right, _LABEL_IN, _LABEL_IN], [y, y, bottom, bottom, y],
                  color=LIGHT["line"], linewidth=0.6)  # fmt: skip
        for row, choice in enumerate(choices):
            middle = y + (row + 0.5) * _ROW_IN
            axes.text(_LABEL_IN - 0.05, middle, choice.label, fontsize=6.4, ha="right", va="center")
            if choice.chosen:
                axes.plot(right + 0.09, middle, marker="o", markersize=3.2, color=LIGHT["ink"])
        y = bottom + _GAP_IN
    axes.set(xlim=(0, width), ylim=axes.get_ylim())
