"""Accuracy against cost: what was found under each limit, and what other runs found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from micronas_tf.report.baselines import Baseline
from micronas_tf.report.drawing import Drawing, canvas, draw_limit
from micronas_tf.report.text import KIB, kilobytes, milliseconds, percent
from micronas_tf.report.theme import LIGHT

_STYLES: Final = (
    ("first", "s"),
    ("softmax", "^"),
    ("mean", "D"),
    ("add", "v"),
    ("other", "P"),
    ("ink", "X"),
)
"""Colour and marker of each kind of baseline, in turn."""

_LINE_IN: Final = 0.17
"""Of a legend."""

_FRONT_NAMES: Final = 4
"""In the legend of a trade-off: two curves, knee, chosen."""


def pareto_drawing(
    points: Sequence[dict[str, Any]],
    answer: Baseline,
    baselines: Sequence[Baseline],
    budget: Mapping[str, Any],
) -> Drawing:
    """The trade-off and the other runs, or, of a run without a trade-off, its own answer and the others.

    Args:
        points: of `pareto.json`, each with its `axis`; none where no trade-off was asked for.
        answer: of the run itself.
        baselines: what it is compared with.
        budget: of the run.
    """
    axis = _Axis.of(points, budget)
    said = " ".join(filter(None, (_front_text(points, axis), _others_text(answer, baselines, axis))))
    how = ["Each point of the curves is the network found under its own limit: filled where it was trained and "
           "quantised, with its int8 accuracy on the test part; hollow with the supernet's accuracy on the windows of "
           "the choices, which ranks networks but is not theirs."] if points else []  # fmt: skip
    if baselines:
        how.append(
            "The other points are finished runs on the same data, named by strategy and budget, with their int8 "
            "accuracy on the same test part."
        )
    return Drawing(
        name="pareto",
        title="Accuracy against cost",
        alt=f"{_count_text(points, baselines)} {said}".strip(),
        caption=" ".join([*how, said]).strip(),
        draw=lambda narrow: _draw(points, answer, baselines, axis, narrow),
    )


class _Axis:
    """The cost that accuracy is drawn against: latency, or the memory figure of the budget."""

    def __init__(self, latency: bool, budget: Mapping[str, Any]) -> None:
        self.latency, self.figure = latency, budget["memory_figure"]
        limit = budget["latency_ms"] if latency else budget["memory_bytes"]
        self.limit = None if limit is None else limit / (1 if latency else KIB)

    @classmethod
    def of(cls, points: Sequence[dict[str, Any]], budget: Mapping[str, Any]) -> _Axis:
        """That of the trade-off; else latency, unless memory is all that is limited."""
        if points:
            return cls(points[0]["axis"] == "latency", budget)
        return cls(budget["latency_ms"] is not None or budget["memory_bytes"] is None, budget)

    @property
    def label(self) -> str:
        return "latency, ms" if self.latency else "peak memory, KB" if self.figure == "peak" else "arena, KB"

    def of_point(self, point: Mapping[str, Any]) -> float:
        memory = "peak_memory_bytes" if self.figure == "peak" else "arena_bytes"
        return float(point["latency_ms"] if self.latency else point[memory] / KIB)

    def of_run(self, run: Baseline) -> float:
        return run.latency_ms if self.latency else run.memory_bytes(self.figure) / KIB

    def text(self, cost: float) -> str:
        return milliseconds(cost) if self.latency else kilobytes(cost * KIB)


def _count_text(points: Sequence[dict[str, Any]], baselines: Sequence[Baseline]) -> str:
    if not points:
        return f"This run's network and those of {len(baselines)} other runs."
    axis = points[0]["axis"]
    front = f"{len(points)} networks, each the best found under its own limit of {axis}"
    return f"{front}, and those of {len(baselines)} other runs." if baselines else f"{front}."


def _front_text(points: Sequence[dict[str, Any]], axis: _Axis) -> str:
    chosen = next((point for point in points if point["chosen"]), None)
    said = "" if chosen is None else f"Chosen: {axis.text(axis.of_point(chosen))}."
    knee = next((point for point in points if point["knee"]), None)
    if knee is not None:
        said += f" The knee, beyond which accuracy gets dear: {axis.text(axis.of_point(knee))}."
    return said.strip()


def _others_text(answer: Baseline, baselines: Sequence[Baseline], axis: _Axis) -> str:
    if not baselines:
        return ""
    best = max(baselines, key=lambda run: run.int8_accuracy)
    own = f"This run: {percent(answer.int8_accuracy)} at {axis.text(axis.of_run(answer))}"
    other = f"{best.label}, {percent(best.int8_accuracy)} at {axis.text(axis.of_run(best))}"
    return f"{own}; the most accurate of the others: {other}."


def _draw(
    points: Sequence[dict[str, Any]], answer: Baseline, baselines: Sequence[Baseline], axis: _Axis, narrow: bool
) -> Figure:
    kinds = list(dict.fromkeys(run.label for run in baselines))
    columns = 1 if narrow else 2
    named = len(kinds) + (_FRONT_NAMES if points else 1)
    lines = -(-named // columns) if kinds else 0
    figure = canvas(narrow, (2.6 if narrow else 3.4) + _LINE_IN * lines)
    axes = figure.add_subplot()
    if points:
        _draw_front(axes, sorted(points, key=axis.of_point), axis)
    else:
        label = f"this run: {answer.label}"
        axes.plot(axis.of_run(answer), 100 * answer.int8_accuracy, "o", color=LIGHT["conv"], markersize=8, label=label)
    _draw_baselines(axes, kinds, baselines, axis)
    if axis.limit is not None and kinds:
        draw_limit(axes, axis.limit)
    axes.set(xlabel=axis.label, ylabel="int8 accuracy, %" if not points else "accuracy, %")
    axes.margins(0.08)
    axes.grid()
    if kinds:
        figure.legend(loc="outside lower left", ncols=columns, columnspacing=1.2, markerscale=0.8)
    else:
        axes.legend(loc="lower right")
    return figure


def _draw_front(axes: Axes, ordered: Sequence[dict[str, Any]], axis: _Axis) -> None:
    trained = [point for point in ordered if point["int8_accuracy"] is not None]
    axes.plot(
        [axis.of_point(point) for point in ordered],
        [100 * point["supernet_accuracy"] for point in ordered],
        color=LIGHT["muted"], linewidth=1, linestyle=":", marker="o", markerfacecolor=LIGHT["surface"],
        label="supernet, not trained",
    )  # fmt: skip
    if trained:
        axes.plot(
            [axis.of_point(point) for point in trained],
            [100 * point["int8_accuracy"] for point in trained],
            color=LIGHT["conv"], marker="o", label="int8, trained",
        )  # fmt: skip
    for name, colour, marker in (("knee", "warn", "D"), ("chosen", "bad", "o")):
        for point in ordered:
            if point[name]:
                value = point["int8_accuracy"] if point["int8_accuracy"] is not None else point["supernet_accuracy"]
                ring: dict[str, Any] = {"markersize": 11, "markeredgewidth": 1.6, "markeredgecolor": LIGHT[colour]}
                x = axis.of_point(point)
                axes.plot(x, 100 * value, marker, linestyle="none", markerfacecolor="none", label=name, **ring)


def _draw_baselines(axes: Axes, kinds: Sequence[str], baselines: Sequence[Baseline], axis: _Axis) -> None:
    """Runs of one strategy and budget look alike: they differ in their seed."""
    for number, kind in enumerate(kinds):
        colour, marker = _STYLES[number % len(_STYLES)]
        alike = [run for run in baselines if run.label == kind]
        axes.plot(
            [axis.of_run(run) for run in alike],
            [100 * run.int8_accuracy for run in alike],
            marker, linestyle="none", markersize=7, color=LIGHT[colour], label=kind,
        )  # fmt: skip
