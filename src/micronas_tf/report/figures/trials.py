"""How the architecture was chosen: accuracy against latency of those that were trained to compare them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from micronas_tf.report.drawing import Drawing, canvas, draw_limit
from micronas_tf.report.text import milliseconds, percent
from micronas_tf.report.theme import LIGHT
from micronas_tf.report.trials import Trial

_KINDS = (
    (True, "proposed by the search", "conv", "o"),
    (False, "drawn at random", "first", "s"),
)


def trials_drawing(trials: Sequence[Trial], limit_ms: float | None) -> Drawing:
    """Accuracy against latency of at least one trial, best first."""
    said = _said(trials)
    both = len({trial.proposed for trial in trials}) == 2
    whose = " Some the search proposed; the others were drawn at random near the limit." if both else ""
    return Drawing(
        name="trials",
        title="How the architecture was chosen",
        alt=f"Accuracy against latency of {len(trials)} architectures that were trained to compare them. {said}",
        caption="Each architecture was trained from scratch on a part of the training windows, and "
        f"compared on others; the numbers are the ranks of the table below.{whose} {said}",
        draw=lambda narrow: _draw(trials, limit_ms, narrow),
    )


def _said(trials: Sequence[Trial]) -> str:
    """The chosen one, and the best of those that it is not of."""
    chosen = trials[0]
    other = next((trial for trial in trials if trial.proposed != chosen.proposed), None)
    said = f"Chosen: one {_kind(chosen)}, {_figures(chosen)}."
    return said if other is None else f"{said} The best {_kind(other)}: {_figures(other)}."


def _kind(trial: Trial) -> str:
    return next(label for proposed, label, *_ in _KINDS if proposed == trial.proposed)


def _figures(trial: Trial) -> str:
    return f"{percent(trial.accuracy)} at {milliseconds(trial.latency_ms)}"


def _draw(trials: Sequence[Trial], limit_ms: float | None, narrow: bool) -> Figure:
    figure = canvas(narrow, 2.9 if narrow else 3.4)
    axes = figure.add_subplot()
    for proposed, label, colour, marker in _KINDS:
        alike = [trial for trial in trials if trial.proposed == proposed]
        if alike:
            axes.plot(
                [trial.latency_ms for trial in alike],
                [100 * trial.accuracy for trial in alike],
                marker, linestyle="none", color=LIGHT[colour], markersize=6, label=label,
            )  # fmt: skip
    for trial in trials:
        place = (trial.latency_ms, 100 * trial.accuracy)
        axes.annotate(str(trial.rank), place, (-6, 3), textcoords="offset points", ha="right", fontsize=7.5)
        if trial.rank == 1:
            ring: dict[str, Any] = {"markersize": 12, "markeredgewidth": 1.6, "markeredgecolor": LIGHT["bad"]}
            axes.plot(*place, "o", linestyle="none", markerfacecolor="none", label="chosen", **ring)
    axes.margins(0.1)
    if limit_ms is not None:
        draw_limit(axes, limit_ms)
    axes.set(xlabel="latency, ms", ylabel="accuracy in the trial, %")
    axes.grid()
    figure.legend(loc="outside lower left", ncols=1 if narrow else 3, columnspacing=1.2, markerscale=0.8)
    return figure
