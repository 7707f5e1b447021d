"""The command that makes a run again, from its record."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from micronas_tf.report.text import KIB


def command_of(record: Mapping[str, Any]) -> str:
    """For a shell, an option a line; of a run on arrays, a line of Python.

    Numbers of the recipes and of the space that only Python can set are in the settings, not here.
    """
    settings, source = record["settings"], record["source"]
    if source == "arrays":
        budget = settings["budget"]
        limits = {"latency_ms": budget["latency_ms"], "memory_kb": _kb(budget["memory_bytes"]),
                  "flash_kb": _kb(budget["flash_bytes"])}  # fmt: skip
        given = "".join(f", {name}={value:g}" for name, value in limits.items() if value is not None)
        return f"MicroNAS({settings['board']!r}{given}, seed={settings['seed']}).fit(x, y, …)"
    start = shlex.join(["micronas-tf", "search", *([] if source is None else [source])])
    return " \\\n  ".join([start, *map(shlex.join, _options(record))])


def _options(record: Mapping[str, Any]) -> list[list[str]]:
    """Each option with its value; those at their defaults are left out."""
    settings = record["settings"]
    budget, search, pareto = settings["budget"], settings["search"], settings.get("pareto") or {}
    given = {
        "--window": record["window"],
        "--hop": record["hop"],
        "--board": settings["board"],
        "--latency-ms": budget["latency_ms"],
        "--memory-kb": _kb(budget["memory_bytes"]),
        "--flash-kb": _kb(budget["flash_bytes"]),
        "--memory-figure": budget["memory_figure"],
        "--strategy": settings.get("strategy"),
        # Epochs that someone asked for come without a least number of steps.
        "--epochs": None if search["least_steps"] else search["epochs"],
        "--quantize": settings["quantisation"],
        "--latency-source": settings["latency_source"],
        "--runtime": settings["runtime"],
        "--margin": settings["margin"],
        "--extra-cells": settings["space"]["extra_cells"],
        "--seed": settings["seed"],
        "--time-budget": settings.get("time_budget_s"),
        "--pareto": pareto.get("axis"),
        "--pareto-points": pareto.get("points"),
    }
    defaults = {"--memory-figure": "arena", "--strategy": "dnas", "--quantize": "qat", "--latency-source": "auto",
                "--runtime": "tflm", "--extra-cells": 2}  # fmt: skip
    shown = {name: value for name, value in given.items() if value is not None and value != defaults.get(name)}
    pairs = [[name, f"{value:g}" if isinstance(value, float) else str(value)] for name, value in shown.items()]
    return [*pairs, ["--saved-model"]] if settings["saved_model"] else pairs


def _kb(size: int | None) -> float | None:
    return None if size is None else size / KIB
