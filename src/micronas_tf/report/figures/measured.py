"""Predicted against measured, operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from micronas_tf.report.drawing import Drawing, canvas
from micronas_tf.report.text import shorten, signed
from micronas_tf.report.theme import LIGHT

_ROW_IN = 0.19


def differences(operators: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    """(operator, predicted / measured - 1); without those that no source predicts, or that took no cycle."""
    return [
        (item["name"], item["predicted_cycles"] / item["measured_cycles"] - 1)
        for item in operators
        if item["measured_cycles"] and item["predicted_cycles"] is not None
    ]


def measured_drawing(measured: dict[str, Any]) -> Drawing:
    found = differences(measured["operators"])
    worst = max(found, key=lambda pair: abs(pair[1]))
    latency = measured["latency_ms"]
    # Where every operator is predicted, so is the whole.
    whole = latency["predicted"] / latency["measured"] - 1
    furthest = f"{worst[0]}, {signed(100 * worst[1], 1, '%')}"
    said = f"The whole inference: {signed(100 * whole, 1, '%')}. Furthest off: {furthest}."
    return Drawing(
        name="measured",
        title="Predicted against measured",
        alt=f"Difference of {len(found)} operators' predicted from their measured cycles. {said}",
        caption=f"How far each operator's prediction is from what {measured['board']} measured. {said}",
        draw=lambda narrow: _draw(found, narrow),
    )


def _draw(found: Sequence[tuple[str, float]], narrow: bool) -> Figure:
    figure = canvas(narrow, 0.6 + _ROW_IN * len(found))
    axes = figure.add_subplot()
    values = [100 * value for _, value in found]
    axes.hlines(range(len(found)), 0, values, color=LIGHT["conv"], linewidth=1.2)
    axes.plot(values, range(len(found)), "o", color=LIGHT["conv"], markersize=4)
    axes.axvline(0, color=LIGHT["ink"], linewidth=1)
    reach = 1.15 * max(1.0, *map(abs, values))
    axes.set(xlim=(-reach, reach), ylim=(len(found) - 0.4, -0.6), xlabel="predicted above measured, %")
    names = [shorten(name, 20 if narrow else 46) for name, _ in found]
    axes.set_yticks(range(len(found)), names)
    axes.tick_params(axis="y", labelsize=7.2, labelcolor=LIGHT["ink"], length=0)
    axes.grid(axis="x")
    return figure
