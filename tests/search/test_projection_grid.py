"""Budgets over boards, windows and gates: kept by exact costs, or refused rightly. The grid is the benchmark's."""

from __future__ import annotations

import pytest
from benchmarks.projection import BOARDS, GATES, SHAPES, Setting, answer, budgets, least_budgets, refusals

from micronas_tf.boards import MemoryFigure


@pytest.mark.parametrize("shape", SHAPES)
def test_some_budgets_of_each_window(shape: str) -> None:
    setting = Setting.of(shape, "nucleo_f446re")
    least = least_budgets(setting, "arena")
    asked = list(budgets(least))
    outcomes = [answer(setting, asked[number], gates, 0)[0] for number, gates in enumerate(GATES)]
    assert outcomes == ["kept"] * len(GATES)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("figure", ["arena", "peak"])
def test_the_whole_grid(shape: str, board: str, figure: MemoryFigure) -> None:
    """18 × 12 budgets, and 18 × 6 at and just below the least figures."""
    setting = Setting.of(shape, board)
    least = least_budgets(setting, figure)
    assert all(refusals(setting, least)[0])
    outcomes = [
        answer(setting, budget, gates, seed)[0]
        for seed, (budget, gates) in enumerate(zip(budgets(least), [*GATES] * 4, strict=True))
    ]
    # Nothing excludes each other here: the smallest networks are the fastest ones.
    assert outcomes == ["kept"] * 12
