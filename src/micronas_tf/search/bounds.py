"""Lagrangian bounds: what the limits cost, as a price per unit of each resource.

With prices λ ≥ 0 no path within the limits scores more than

    g(λ) = max over all paths of ( score - Σ λ · used ) + Σ λ · limit,

and the maximum is a plain longest path. The prices with the least g come from cutting planes (Kelley 1960): each
path that a longest-path computation has found bounds g from below, linearly in λ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog

from micronas_tf.search.trellis import FloatArray, Trellis, Values

_MOST_CUTS = 60
_PRECISION = 1e-6
"""Of the least bound, in shares of the spread of scores: prices further from their optimum would prune less."""

_HIGHEST_PRICE = 1e3
"""In spreads of scores for the whole of a limit."""


def priced(scores: Values, amounts: Sequence[Values], prices: FloatArray) -> list[FloatArray]:
    """score - Σ λ · amount of each arc"""
    result = [np.array(score) for score in scores]
    for price, amount in zip(prices, amounts, strict=True):
        if price:
            result = [value - price * used for value, used in zip(result, amount, strict=True)]
    return result


def best_prices(
    trellis: Trellis, scores: Values, amounts: Sequence[Values], limits: FloatArray, spread: float
) -> list[tuple[float, FloatArray]]:
    """Bounds and the prices per unit of each resource that give them, the least bound first.

    Args:
        trellis: the paths.
        scores: of the arcs, to be maximised.
        amounts: of each resource, used by the arcs.
        limits: of each resource.
        spread: of the scores of paths.
    """
    spread = max(spread, 1e-12)
    scale = spread / np.where(limits == 0, 1.0, np.abs(limits))
    prices, tried, cuts, least = np.zeros(len(limits)), [], [], np.inf
    for _ in range(_MOST_CUTS):
        values = priced(scores, amounts, prices)
        path = trellis.best(values)
        bound = trellis.total(values, path) + float(prices @ limits)
        tried.append((bound, prices))
        least = min(least, bound)
        slack = limits - [trellis.total(amount, path) for amount in amounts]
        cuts.append((trellis.total(scores, path) / spread, slack * scale / spread))
        below, prices = _lower_envelope(cuts)
        if least - below * spread <= _PRECISION * spread:
            break
        prices = prices * scale
    return sorted(tried, key=lambda item: item[0])


def _lower_envelope(cuts: Sequence[tuple[float, FloatArray]]) -> tuple[float, FloatArray]:
    """Minimum over λ of the greatest cut, score + λ · slack, and the λ where it is attained."""
    slacks = np.array([slack for _, slack in cuts])
    found = linprog(
        np.r_[1.0, np.zeros(slacks.shape[1])],
        A_ub=np.column_stack([-np.ones(len(cuts)), slacks]),
        b_ub=[-score for score, _ in cuts],
        bounds=[(None, None), *[(0.0, _HIGHEST_PRICE)] * slacks.shape[1]],
        method="highs",
    )
    return float(found.x[0]), np.asarray(found.x[1:])
