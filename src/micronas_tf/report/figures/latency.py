"""Where the milliseconds go, operator by operator."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from micronas_tf.report.drawing import Drawing, canvas
from micronas_tf.report.operators import FAMILIES, Family, Operator
from micronas_tf.report.text import milliseconds, percent, shorten
from micronas_tf.report.theme import LIGHT

_ROW_IN = 0.2


def latency_drawing(operators: Sequence[Operator], overhead_ms: float, latency_ms: float) -> Drawing:
    families = family_shares(operators, overhead_ms, latency_ms)
    said = ", ".join(f"{FAMILIES[family]} {percent(share)}" for family, share in families.items())
    return Drawing(
        name="latency",
        title="Where the milliseconds go",
        alt=f"Bars of the latency of {len(operators)} operators. By kind: {said}.",
        caption=f"Predicted latency of each operator, in the order of execution. By kind: {said}.",
        draw=lambda narrow: _draw(operators, overhead_ms, latency_ms, narrow),
    )


def family_shares(operators: Sequence[Operator], overhead_ms: float, latency_ms: float) -> dict[Family, float]:
    """Share of the latency by kind of operator, the largest first; kinds that take nothing are left out."""
    shares: dict[Family, float] = {"runtime": overhead_ms / latency_ms}
    for operator in operators:
        shares[operator.family] = shares.get(operator.family, 0.0) + operator.share
    return {family: share for family, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0}


def _draw(operators: Sequence[Operator], overhead_ms: float, latency_ms: float, narrow: bool) -> Figure:
    length = 17 if narrow else 42
    rows = [(f"{o.node.name} · {o.label}", o.latency_ms, o.share, o.family) for o in operators]
    if narrow:
        rows = [(o.node.name, o.latency_ms, o.share, o.family) for o in operators]
    if overhead_ms:
        rows.append((FAMILIES["runtime"], overhead_ms, overhead_ms / latency_ms, "runtime"))
    figure = canvas(narrow, 0.75 + _ROW_IN * len(rows))
    axes = figure.add_subplot()
    values = [value for _, value, _, _ in rows]
    axes.barh(range(len(rows)), values, height=0.66, color=[LIGHT[family] for *_, family in rows])
    for row, (_, value, share, _) in enumerate(rows):
        text = f"{milliseconds(value)} · {percent(share)}"
        axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(range(len(rows)), [shorten(name, length) for name, *_ in rows])
    axes.tick_params(axis="y", labelsize=7.5, labelcolor=LIGHT["ink"], length=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, max(values) * (1.75 if narrow else 1.28)), xlabel="ms")
    axes.grid(axis="x")
    shown = list(family_shares(operators, overhead_ms, latency_ms))
    handles = [Patch(color=LIGHT[family], label=FAMILIES[family]) for family in shown]
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=2 if narrow else len(shown),
        handlelength=0.9,
        columnspacing=1.2,
    )
    return figure
