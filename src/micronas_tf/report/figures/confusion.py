"""The confusion matrix with class names."""

from __future__ import annotations

from math import radians, sin

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from micronas_tf.report.accuracy import Confusions
from micronas_tf.report.drawing import NARROW_IN, WIDE_IN, Drawing
from micronas_tf.report.text import shorten, two_lines
from micronas_tf.report.theme import LIGHT

_CELL_IN = 0.62
_LABEL_IN = {False: 2.0, True: 1.15}
_LETTER_IN = 0.083
_TURN = 40
_LABEL_CHARACTERS = {False: 24, True: 13}
_NAMED_COLUMNS = 10
_NAMED_ROWS = 10


def confusion_drawing(confusions: Confusions) -> Drawing:
    worst = max(
        ((count, true, label) for true, row in enumerate(confusions.counts) for label, count in enumerate(row)
         if true != label),
        default=(0, 0, 0),
    )  # fmt: skip
    names = confusions.names
    finding = (
        f"Most often, “{names[worst[1]]}” was taken for “{names[worst[2]]}” ({worst[0]} windows)."
        if worst[0]
        else "No window was mistaken."
    )
    return Drawing(
        name="confusion",
        title="What is taken for what",
        alt=f"Confusion matrix of {len(names)} classes, {confusions.right} of {confusions.total} windows right. "
        + finding,
        caption="Test windows by true class (rows) and by the int8 model's answer (columns). The darker a cell, the "
        "larger its share of the row; the diagonal is right. Numbers of classes are those of the table below. "
        + finding,
        draw=lambda narrow: _draw(confusions, narrow),
    )


def _draw(confusions: Confusions, narrow: bool) -> Figure:
    count = len(confusions.names)
    width = NARROW_IN if narrow else WIDE_IN
    # On a phone, the names of many classes would leave no room for the cells; the table has them by number.
    labelled = not narrow or count <= _NAMED_ROWS
    names = [two_lines(name, _LABEL_CHARACTERS[narrow]) for name in confusions.names]
    longest = max(len(line) for name in names for line in name.splitlines())
    label = min(_LABEL_IN[narrow], 0.3 + _LETTER_IN * longest) if labelled else 0.25
    headings = [shorten(name, _LABEL_CHARACTERS[False]) for name in confusions.names]
    cell = min(_CELL_IN, (width - label - 0.1) / count)
    named = not narrow and count <= _NAMED_COLUMNS
    top = 0.25 + _LETTER_IN * max(map(len, headings)) * sin(radians(_TURN)) if named else 0.3
    figure = Figure(figsize=(width, cell * count + top + 0.1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-label / cell, (width - label) / cell), ylim=(count + 0.1 / cell, -top / cell))
    axes.set_axis_off()
    digits = max(len(str(value)) for row in confusions.counts for value in row)
    size = min(9.0, 0.85 * 72 * cell / (0.62 * digits))
    for row, values in enumerate(confusions.counts):
        text = names[row] if named else f"{row + 1} · {names[row]}" if labelled else str(row + 1)
        axes.text(-0.1 / cell, row + 0.5, text, ha="right", va="center", fontsize=min(8.0, 36 * cell), linespacing=1.0)
        heading = headings[row] if named else str(row + 1)
        turn = {"rotation": _TURN, "rotation_mode": "anchor", "ha": "left"} if named else {"ha": "center"}
        axes.text(
            row + (0.4 if named else 0.5), -0.08 / cell, heading, va="bottom", fontsize=min(8.5, 36 * cell), **turn
        )
        _draw_row(axes, row, values, size)
    return figure


def _draw_row(axes: Axes, row: int, values: tuple[int, ...], size: float) -> None:
    total = sum(values)
    for column, value in enumerate(values):
        colour = LIGHT["good" if row == column else "bad"]
        # Even one window in a thousand can be seen; more than half would hide the number.
        strength = 0.12 + 0.48 * value / total if value else 0.0
        axes.add_patch(
            Rectangle((column, row), 1, 1, facecolor=(colour, strength), edgecolor=LIGHT["line"], linewidth=0.7)
        )
        if value:
            axes.text(column + 0.5, row + 0.5, f"{value}", ha="center", va="center", fontsize=size)
