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


def trials_drawing(trials: Sequence[Trial], limit_ms: float | None, *, whole: bool = False) -> Drawing:
    """Accuracy against latency; `whole`: the trainings were whole ones.

    Raises:
        ValueError: no trials.
    """
    said = " ".join(filter(None, (_chosen_text(trials), _best_text(trials))))
    both = len({trial.proposed for trial in trials}) == 2
    how = "" if whole else "for a while "
    whose = " Some the search proposed; the others were drawn at random near the limit." if both else ""
    return Drawing(
        name="trials",
        title="How the architecture was chosen",
        alt=f"Accuracy against latency of {len(trials)} architectures that were trained to compare them. {said}",
        caption=f"Each architecture was trained from scratch {how}on the windows that train the weights, and "
        f"compared on those kept for the choices; the numbers are the ranks of the table below.{whose} {said}",
        draw=lambda narrow: _draw(trials, limit_ms, narrow),
    )


def _chosen_text(trials: Sequence[Trial]) -> str:
    best = min(trials, key=lambda trial: trial.rank)
    if best.rank != 1:
        return ""
    kind = "proposed by the search" if best.proposed else "drawn at random"
    return f"Chosen: one {kind}, {percent(best.accuracy)} at {milliseconds(best.latency_ms)}."


def _best_text(trials: Sequence[Trial]) -> str:
    """The best of those that the chosen one is not of."""
    chosen = min(trials, key=lambda trial: trial.rank)
    others = [trial for trial in trials if trial.proposed != chosen.proposed]
    if not others:
        return ""
    best = min(others, key=lambda trial: trial.rank)
    kind = "drawn at random" if chosen.proposed else "proposed by the search"
    return f"The best {kind}: {percent(best.accuracy)} at {milliseconds(best.latency_ms)}."


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
