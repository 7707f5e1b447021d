"""The network, drawn: operators as boxes from the window down to the scores."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from micronas_tf.ops import Network
from micronas_tf.report.drawing import NARROW_IN, WIDE_IN, Drawing
from micronas_tf.report.figures.layout import Place, place_tensors
from micronas_tf.report.operators import Operator, shape_text
from micronas_tf.report.text import kilobytes, milliseconds, thousands
from micronas_tf.report.theme import LIGHT

_ROW_IN = {False: 0.94, True: 0.86}
_BOX_IN = {False: 0.66, True: 0.62}
_GAP_IN = {False: 0.16, True: 0.08}
_WIDEST_IN = 2.1
_NARROW_NAME = 12


def network_drawing(network: Network, operators: Sequence[Operator]) -> Drawing:
    dearest = max(operators, key=lambda operator: operator.latency_ms)
    depth = max(place.row for place in place_tensors(network))
    return Drawing(
        name="network",
        title="The network",
        alt=f"{len(operators)} operators in {depth} layers from a window of {shape_text(network.input_shape)} to "
        f"{network.output_shape[2]} classes; the table below lists them. The dearest is {dearest.node.name}.",
        caption="Each box: name, operation with kernel and stride, the shape it writes (time × sensors × filters), "
        "its latency, multiply-accumulates, and the memory in use while it runs (on narrow screens the last two are "
        "in the table only). The stronger the tint, the more milliseconds.",
        draw=lambda narrow: _draw(network, operators, narrow),
    )


def _draw(network: Network, operators: Sequence[Operator], narrow: bool) -> Figure:
    places = place_tensors(network)
    columns, rows = max(p.column for p in places) + 1, max(p.row for p in places) + 1
    width, gap = (NARROW_IN if narrow else WIDE_IN), _GAP_IN[narrow]
    pitch = min(_WIDEST_IN + gap, (width - 0.08) / columns)
    height = rows * _ROW_IN[narrow]
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    left = 0.04 if narrow or columns > 2 else (width - columns * pitch) / 2
    boxes = [_Box(place, left + place.column * pitch, pitch - gap, narrow) for place in places]
    for node in network.nodes:
        for tensor in node.inputs:
            _connect(axes, boxes[tensor], boxes[node.output])
    boxes[0].draw(axes, ("window", shape_text(network.input_shape)), LIGHT["other"], 0.1)
    largest = max(operator.latency_ms for operator in operators)
    for operator, box in zip(operators, boxes[1:], strict=True):
        box.draw(axes, _lines(operator, narrow), LIGHT[operator.family], 0.06 + 0.44 * operator.latency_ms / largest)
    return figure


def _lines(operator: Operator, narrow: bool) -> tuple[str, ...]:
    name, latency = operator.node.name, milliseconds(operator.latency_ms)
    if narrow:
        short = name if len(name) <= _NARROW_NAME else name.rpartition("/")[2]
        return short, operator.label, operator.shape, latency
    macs = f"{thousands(operator.macs)} MACs" if operator.macs else "no MACs"
    return (
        name,
        f"{operator.label} → {operator.shape}",
        f"{latency} · {macs}",
        f"{kilobytes(operator.live_bytes)} in use",
    )


class _Box:
    """An operator's rectangle, in inches from the top left."""

    def __init__(self, place: Place, x: float, width: float, narrow: bool) -> None:
        self.place, self.x, self.width, self.narrow = place, x, width, narrow
        self.height = _BOX_IN[narrow]
        self.top = place.row * _ROW_IN[narrow] + 0.08

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def draw(self, axes: Axes, lines: tuple[str, ...], colour: str, strength: float) -> None:
        style = "round,pad=0,rounding_size=0.06"
        # Lines behind a box would show through its tint.
        for face in (LIGHT["surface"], (colour, strength)):
            box = FancyBboxPatch((self.x, self.top), self.width, self.height, style, facecolor=face, edgecolor=colour)
            axes.add_patch(box)
        margin = 0.05
        for number, line in enumerate(lines):
            y = self.top + margin + (self.height - 2 * margin) * (number + 0.5) / len(lines)
            # A letter of DejaVu Sans is about 0.6 of its size wide, 0.68 in bold.
            fits = min(7.2, 72 * (self.width - margin) / ((0.6 if number else 0.68) * len(line)))
            weight = "bold" if number == 0 else "normal"
            axes.text(self.middle, y, line, ha="center", va="center", fontsize=fits, weight=weight)


def _connect(axes: Axes, source: _Box, target: _Box) -> None:
    """Straight down in a column; a branch leaves sideways above its rows, and comes back at its reader's side."""
    if source.place.column == target.place.column:
        path = [(source.middle, source.bottom), (target.middle, target.top)]
    elif source.place.column < target.place.column:
        bend = source.bottom + (_ROW_IN[source.narrow] - source.height) * 0.45
        path = [
            (source.middle, source.bottom),
            (source.middle, bend),
            (target.middle, bend),
            (target.middle, target.top),
        ]
    else:
        side, height = target.x + target.width, target.top + target.height / 2
        path = [(source.middle, source.bottom), (source.middle, height), (side, height)]
    axes.plot(*zip(*path, strict=True), color=LIGHT["muted"], linewidth=1.0, solid_joinstyle="round", zorder=0.5)
    arrow = {"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "color": LIGHT["muted"], "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", path[-1], path[-2], arrowprops={**arrow, "linewidth": 1.0}, zorder=0.6)
