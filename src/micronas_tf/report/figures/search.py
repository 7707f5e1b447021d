"""How the search went: expected costs against their limits, accuracy, temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from micronas_tf.report.drawing import Drawing, canvas
from micronas_tf.report.text import KIB
from micronas_tf.report.theme import LIGHT

_COSTS = (
    ("latency_ms", "expected latency, ms", 1.0, "conv"),
    ("memory_bytes", "expected memory, KB", KIB, "mean"),
    ("flash_bytes", "expected flash, KB", KIB, "softmax"),
)


def search_drawing(history: pd.DataFrame, budget: Mapping[str, Any]) -> Drawing:
    last = history.iloc[-1]
    latency, memory = last["latency_ms"], last["memory_bytes"] / KIB
    return Drawing(
        name="search",
        title="How the search went",
        alt=f"Curves over {len(history)} epochs: expected costs, accuracies, temperature. At the end {latency:.1f} ms "
        f"and {memory:.1f} KB are expected, over all architectures by their probability.",
        caption="Expected costs over all architectures, weighted by their probability, against the budget (dashed); "
        "accuracy of the drawn architectures on the windows that train the weights and on those that train the "
        "choices; temperature τ of the draws, and how undecided the choices are (1: uniform, 0: decided). In the "
        "shaded epochs only the weights learn. The end of these curves is not the result: the network is "
        "projected onto the budget afterwards.",
        draw=lambda narrow: _draw(history, budget, narrow),
    )


def _draw(history: pd.DataFrame, budget: Mapping[str, Any], narrow: bool) -> Figure:
    costs = [cost for cost in _COSTS if cost[0] != "flash_bytes" or budget["flash_bytes"] is not None]
    panels = len(costs) + 2
    columns = 1 if narrow else 2
    rows = -(-panels // columns)
    figure = canvas(narrow, (1.75 if narrow else 2.0) * rows)
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for name, title, unit, colour in costs:
        axes = next_axes(grid, title)
        _draw_cost(axes, history[["epoch", name]].set_axis(["epoch", "cost"], axis=1), unit, colour, budget[name])
    epochs, warm = history["epoch"], history["alpha_loss"] == 0
    axes = next_axes(grid, "accuracy, %")
    axes.plot(epochs, 100 * history["accuracy"], color=LIGHT["conv"], label="weights' windows")
    axes.plot(epochs, 100 * history["alpha_accuracy"].mask(warm), color=LIGHT["first"], label="choices' windows")
    axes.legend(loc="lower right")
    axes = next_axes(grid, "temperature and indecision")
    axes.plot(epochs, history["temperature"], color=LIGHT["softmax"], label="temperature τ")
    axes.plot(epochs, history["entropy"], color=LIGHT["mean"], label="indecision")
    axes.set_ylim(0, 1.05)
    axes.legend(loc="lower left")
    for axes in grid[:panels]:
        _finish(axes, history, warm)
    for axes in grid[panels:]:
        axes.set_visible(False)
    return figure


def next_axes(grid: Any, title: str) -> Axes:
    """The first panel without a title gets this one."""
    axes: Axes = next(axes for axes in grid if not axes.get_title(loc="left"))
    axes.set_title(title)
    return axes


def _draw_cost(axes: Axes, history: pd.DataFrame, unit: float, colour: str, limit: float | None) -> None:
    values = history["cost"] / unit
    axes.plot(history["epoch"], values, color=LIGHT[colour], marker="." if len(history) < 12 else None)
    axes.set_ylim(0, 1.12 * max(values.max(), (limit or 0) / unit))
    if limit is not None:
        axes.axhline(limit / unit, color=LIGHT["bad"], linewidth=1.2, linestyle="--")
        text = f"limit {limit / unit:g}"
        axes.text(0.99, limit / unit, text, transform=axes.get_yaxis_transform(), ha="right", va="bottom",
                  fontsize=8, color=LIGHT["bad"])  # fmt: skip


def _finish(axes: Axes, history: pd.DataFrame, warm: pd.Series[bool]) -> None:
    last = float(history["epoch"].iloc[-1])
    axes.set_xlim(0.5, last + 0.5)
    axes.locator_params(axis="x", integer=True, nbins=8)
    axes.grid(axis="y")
    if warm.any():
        end = float(history["epoch"][warm].iloc[-1]) + 0.5
        axes.axvspan(0.5, end, color=LIGHT["runtime"], alpha=0.18, linewidth=0)
