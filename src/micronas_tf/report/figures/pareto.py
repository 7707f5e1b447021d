"""Accuracy against cost: what was found under each limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from micronas_tf.report.drawing import Drawing, canvas
from micronas_tf.report.text import KIB, kilobytes, milliseconds
from micronas_tf.report.theme import LIGHT


def pareto_drawing(points: Sequence[dict[str, Any]]) -> Drawing:
    latency = points[0]["axis"] == "latency"
    chosen = next((point for point in points if point["chosen"]), None)
    said = "" if chosen is None else f" Chosen: {_cost_text(chosen, latency)}."
    knee = next((point for point in points if point["knee"]), None)
    said += "" if knee is None else f" The knee, beyond which accuracy gets dear: {_cost_text(knee, latency)}."
    return Drawing(
        name="pareto",
        title="Accuracy against cost",
        alt=f"{len(points)} networks, each the best found under its own limit of {'latency' if latency else 'memory'}."
        + said,
        caption="Each point is the network found under its own limit: filled where it was trained and quantised, with "
        "its int8 accuracy on the test part; hollow with the supernet's accuracy on the windows of the choices, which "
        f"ranks networks but is not theirs.{said}",
        draw=lambda narrow: _draw(points, latency, narrow),
    )


def _cost_text(point: dict[str, Any], latency: bool) -> str:
    return milliseconds(point["latency_ms"]) if latency else kilobytes(point["arena_bytes"])


def _cost(point: dict[str, Any], latency: bool) -> float:
    return float(point["latency_ms"] if latency else point["arena_bytes"] / KIB)


def _draw(points: Sequence[dict[str, Any]], latency: bool, narrow: bool) -> Figure:
    figure = canvas(narrow, 2.6 if narrow else 3.4)
    axes = figure.add_subplot()
    ordered = sorted(points, key=lambda point: _cost(point, latency))
    trained = [point for point in ordered if point["int8_accuracy"] is not None]
    axes.plot(
        [_cost(point, latency) for point in ordered],
        [100 * point["supernet_accuracy"] for point in ordered],
        color=LIGHT["muted"], linewidth=1, linestyle=":", marker="o", markerfacecolor=LIGHT["surface"],
        label="supernet, not trained",
    )  # fmt: skip
    if trained:
        axes.plot(
            [_cost(point, latency) for point in trained],
            [100 * point["int8_accuracy"] for point in trained],
            color=LIGHT["conv"], marker="o", label="int8, trained",
        )  # fmt: skip
    for name, colour, marker in (("knee", "warn", "D"), ("chosen", "bad", "o")):
        for point in ordered:
            if point[name]:
                value = point["int8_accuracy"] if point["int8_accuracy"] is not None else point["supernet_accuracy"]
                ring: dict[str, Any] = {"markersize": 11, "markeredgewidth": 1.6, "markeredgecolor": LIGHT[colour]}
                x = _cost(point, latency)
                axes.plot(x, 100 * value, marker, linestyle="none", markerfacecolor="none", label=name, **ring)
    axes.set(xlabel="latency, ms" if latency else "arena, KB", ylabel="accuracy, %")
    axes.grid()
    axes.legend(loc="lower right")
    return figure
