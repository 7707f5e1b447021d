"""The colours of page and figures, in one place: each has a name, a light value and a dark one.

Figures are drawn in the light values. Where a figure stands in the page, each value is replaced by the name's CSS
variable, so that one drawing serves both themes.
"""

from __future__ import annotations

import re
from typing import Any, Final

COLOURS: Final[dict[str, tuple[str, str]]] = {
    "ink": ("#15191f", "#e8ebef"),
    "muted": ("#5a6472", "#9aa5b4"),
    "line": ("#d5dae1", "#363d47"),
    "surface": ("#fefefe", "#1b1f26"),
    "page": ("#f4f5f7", "#12151a"),
    "accent": ("#1f5fd0", "#7fa9ff"),
    "good": ("#157347", "#5fc98f"),
    "warn": ("#9a5b00", "#e3ae57"),
    "bad": ("#bd2c2c", "#ff8680"),
    "first": ("#c2410c", "#fb8a54"),
    "conv": ("#2563eb", "#74a2ff"),
    "add": ("#a16207", "#e0b341"),
    "mean": ("#0f766e", "#45c4b6"),
    "softmax": ("#7e22ce", "#c58cf7"),
    "other": ("#64748b", "#94a3b9"),
    "runtime": ("#868e99", "#7d8794"),
}

LIGHT: Final = {name: light for name, (light, _) in COLOURS.items()}
_NAME_OF: Final = {light: name for name, (light, _) in COLOURS.items()}
_HEX: Final = re.compile("|".join(LIGHT.values()))

STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": LIGHT["ink"],
    # A class may be called "$x$": names are text, never formulas.
    "text.parse_math": False,
    "axes.edgecolor": LIGHT["line"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.7,
    "xtick.color": LIGHT["line"],
    "ytick.color": LIGHT["line"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"],
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": LIGHT["surface"],
    # Text stays text: it can be read out, searched and scaled.
    "svg.fonttype": "none",
    "svg.hashsalt": "micronas-tf",
}
"""matplotlib's settings for every figure."""


def css_variables(dark: bool) -> str:
    """The colours as declarations of a CSS rule."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in COLOURS.items())


def themed(svg: str) -> str:
    """A figure's SVG with CSS variables in place of its colours."""
    return _HEX.sub(lambda match: f"var(--{_NAME_OF[match[0]]})", svg)
