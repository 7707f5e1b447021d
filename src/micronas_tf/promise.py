"""Whether a finished run keeps its promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from micronas_tf.errors import BudgetError
from micronas_tf.quantize import Int8Report


def verification(report: Int8Report) -> dict[str, Any]:
    """What TFLM itself said, for `metrics.json`."""
    return {
        "windows": len(report.scores),
        "bit_equal": report.bit_equal,
        "first_difference": report.first_difference,
        "arena_head_bytes": report.arena.head_bytes,
        "planned_head_bytes": report.planned_head_bytes,
        "operators": sorted(set(report.operators)),
    }


def front_broken(front: Mapping[str, Any]) -> BudgetError | None:
    """Why a model of `pareto.json` does not keep its promise; None if all do."""
    found = [f"{point['folder']}: {point['broken']}" for point in front["points"] if point["broken"] is not None]
    return BudgetError(" ".join(found)) if found else None


def promise_broken(metrics: Mapping[str, Any]) -> BudgetError | None:
    """Why a finished run does not keep its promise; None if it does."""
    if metrics["excess"]:
        what = "; ".join(f"{name} {value:,.2f} > {limit:,}" for name, (value, limit) in metrics["excess"].items())
        return BudgetError(
            f"The model exceeds the budget: {what}. The files are kept; raise the limit and search again."
        )
    if not metrics["verified"]:
        found = metrics["verification"]
        return BudgetError(
            f"Verification failed: bit-equal {found['bit_equal']} ({found['first_difference']}), arena head "
            f"{found['arena_head_bytes']} B against {found['planned_head_bytes']} B planned. Please report this."
        )
    return None
