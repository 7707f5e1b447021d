"""From a drawing to what the page and the folder of figures hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from micronas_tf.report.theme import LIGHT, STYLE, themed

WIDE_IN: Final = 7.4
NARROW_IN: Final = 3.6
"""Widths in inches: the text column of the page, and a phone's screen; 72 points an inch."""

_PNG_DPI: Final = 160
_ID: Final = re.compile(r'(\bid="|\bhref="#|url\(#)')
_LEFT_OUT: Final = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|<title>.*?</title>", re.DOTALL)
_HEAD: Final = re.compile(r'<svg [^>]*viewBox="(?P<box>[^"]*)"[^>]*>')


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure before it is drawn.

    Attributes:
        name: of its files and of its place in the page.
        title: heading.
        alt: what it shows, for those who do not see it.
        caption: how to read it, and what it says.
        draw: the figure for a wide or (True) a narrow place.
    """

    name: str
    title: str
    alt: str
    caption: str
    draw: Callable[[bool], Figure]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn figure: for the page in two widths, and as files."""

    name: str
    title: str
    caption: str
    wide: Markup
    narrow: Markup
    svg: bytes
    png: bytes


def canvas(narrow: bool, height: float) -> Figure:
    """An empty figure of the page's width; `height` in inches."""
    return Figure(figsize=(NARROW_IN if narrow else WIDE_IN, height), layout="constrained")


def draw_limit(axes: Axes, limit: float) -> None:
    """A dashed upright line at this cost, named above the axes, where no point is."""
    axes.axvline(limit, color=LIGHT["bad"], linewidth=1.2, linestyle="--", zorder=0.9)
    axes.text(limit, 1.01, f"limit {limit:g}", transform=axes.get_xaxis_transform(), ha="center", va="bottom",
              fontsize=8, color=LIGHT["bad"])  # fmt: skip


def render(drawing: Drawing) -> Rendered:
    """Draw for the wide and the narrow page, and for the files."""
    with rc_context(STYLE):
        wide, narrow = drawing.draw(False), drawing.draw(True)
        return Rendered(
            name=drawing.name,
            title=drawing.title,
            caption=drawing.caption,
            wide=inline_svg(_saved(wide, "svg", "none"), f"{drawing.name}-wide", drawing.alt),
            narrow=inline_svg(_saved(narrow, "svg", "none"), f"{drawing.name}-narrow", drawing.alt),
            svg=_saved(wide, "svg", LIGHT["surface"]),
            png=_saved(wide, "png", LIGHT["surface"]),
        )


def _saved(figure: Figure, kind: str, background: str) -> bytes:
    sink = BytesIO()
    # A date would make two reports of one run differ.
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(sink, format=kind, dpi=_PNG_DPI if kind == "png" else 72, facecolor=background, metadata=metadata)
    return sink.getvalue()


def inline_svg(svg: bytes, prefix: str, alt: str) -> Markup:
    """A matplotlib SVG to stand in a page: themed, as wide as its place, its ids unlike those of any other."""
    text = svg.decode("utf-8")
    head = _HEAD.search(text)
    if head is None:
        raise ValueError("matplotlib's SVG begins with an element svg that has a viewBox")
    body = _ID.sub(rf"\g<1>{prefix}-", _LEFT_OUT.sub("", text[head.end() :]))
    start = Markup('<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{}" role="img" aria-label="{}">').format(
        head["box"], escape(alt)
    )
    # matplotlib has escaped every text in it.
    return start + Markup(themed(body))
