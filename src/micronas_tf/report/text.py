"""Figures as a person reads them."""

from __future__ import annotations

import re
from typing import Final

KIB: Final = 1024
MISSING: Final = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """What would round to nothing is said to be less than the last digit."""
    if share is None:
        return MISSING
    least = 10.0**-digits
    return f"< {least:g} %" if 0 < 100 * share < least / 2 else f"{100 * share:.{digits}f} %"


def milliseconds(value: float | None) -> str:
    """Three significant digits or so, whatever the size; in seconds from a second on."""
    if value is None:
        return MISSING
    if value >= 1000:
        return f"{value / 1e3:,.2f} s"
    return f"{value:.{1 if value >= 100 else 2 if value >= 1 else 3}f} ms"


def kilobytes(size: float | None) -> str:
    """1 KB = 1,024 bytes; below that, bytes."""
    if size is None:
        return MISSING
    return f"{size / KIB:,.1f} KB" if size >= KIB else f"{size:,.0f} B"


def thousands(value: float) -> str:
    """A count in short: 93,312 is `93 k`."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            short = value / limit
            return f"{short:.{2 if short < 10 and unit == 'M' else 0 if short >= 10 else 1}f} {unit}"
    return f"{value:.0f}"


def signed(value: float, digits: int, unit: str) -> str:
    """With its sign, the minus as long as the plus."""
    return f"{value:+.{digits}f} {unit}".replace("-", "−")


def two_lines(name: str, length: int) -> str:
    """The name in a line of `length` characters, or broken at a space, underscore or hyphen, or shortened."""
    if len(name) <= length:
        return name
    breaks = [match.end() for match in re.finditer(r"[ _-]", name) if match.end() <= length + 1]
    if not breaks or "\n" in name:
        return shorten(name, length)
    return f"{name[: breaks[-1]].rstrip()}\n{shorten(name[breaks[-1] :], length)}"


def shorten(name: str, length: int) -> str:
    """The name, or as much of its beginning and end as `length` characters hold."""
    if len(name) <= length:
        return name
    keep = length - 1
    return f"{name[: keep - keep // 3]}…{name[len(name) - keep // 3 :]}"
