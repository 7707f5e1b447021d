"""The command that makes a run again, from its record."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from micronas_tf.report.text import KIB
from micronas_tf.run_directory import ARRAYS
from micronas_tf.space import SpaceConfig

_DEFAULTS: Final = {
    "test_fraction": 0.25,
    "memory_figure": "arena",
    "strategy": "dnas",
    "quantize": "qat",
    "latency_source": "auto",
    "runtime": "tflm",
    "extra_cells": SpaceConfig().extra_cells,
    "saved_model": False,
}

_OF_WINDOWS: Final = ("window", "hop", "test_fraction")
"""Arguments of `fit`, for files and tables; with arrays the caller knows them."""


def command_of(record: Mapping[str, Any]) -> str:
    """For a shell, an option a line; of a run on arrays, a line of Python.

    Numbers of the recipes and of the space that only Python can set are in the settings, not here.
    """
    given, source = _given(record), record["source"]
    if source == ARRAYS:
        board = given.pop("board")
        told = "".join(f", {name}={_python(value)}" for name, value in given.items() if name not in _OF_WINDOWS)
        return f"MicroNAS({board!r}{told}).fit(x, y, …)"
    start = shlex.join(["micronas-tf", "search", *([] if source is None else [source])])
    return " \\\n  ".join([start, *(shlex.join(_option(name, value)) for name, value in given.items())])


def _given(record: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `MicroNAS` and `fit` with their values; those at their defaults are left out."""
    settings = record["settings"]
    budget, search, pareto = settings["budget"], settings["search"], settings.get("pareto") or {}
    told = {
        "window": record.get("window"),
        "hop": record.get("hop"),
        "test_fraction": record.get("test_fraction"),
        "board": settings["board"],
        "latency_ms": budget["latency_ms"],
        "memory_kb": _kb(budget["memory_bytes"]),
        "flash_kb": _kb(budget["flash_bytes"]),
        "memory_figure": budget["memory_figure"],
        "strategy": settings.get("strategy"),
        # Epochs that someone asked for come without a least number of steps.
        "epochs": None if search["least_steps"] else search["epochs"],
        "quantize": settings["quantisation"],
        "latency_source": settings["latency_source"],
        "runtime": settings["runtime"],
        "margin": settings["margin"],
        "extra_cells": settings["space"]["extra_cells"],
        "seed": settings["seed"],
        "time_budget": settings.get("time_budget_s"),
        "pareto": pareto.get("axis"),
        "pareto_points": pareto.get("points"),
        "saved_model": settings["saved_model"],
    }
    return {name: value for name, value in told.items() if value is not None and value != _DEFAULTS.get(name)}


def _option(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    return [option, value if isinstance(value, str) else _python(value)]


def _python(value: Any) -> str:
    """As short as it can be without being another value."""
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else repr(value)


def _kb(size: int | None) -> float | None:
    return None if size is None else size / KIB
