"""Which whole groups (subjects, recordings) go to the smaller part, so that every class is in both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micronas_tf.datasets.labels import IntArray

_DRAWS = 64


def choose_groups(groups: IntArray, y: IntArray, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mask [N] of the smaller part: whole groups only, about `fraction` of every class.

    Every beginning of many random orders of the groups is a candidate; the best one is improved by
    moving single groups for as long as that helps. A class absent from a part costs more than any
    imbalance, from the larger part more than from the smaller.
    """
    member = np.unique(groups, return_inverse=True)[1].reshape(-1)
    counts = np.zeros((member.max() + 1, y.max() + 1))
    np.add.at(counts, (member, y), 1)
    counts = counts[:, counts.any(axis=0)]
    orders = np.random.default_rng(seed).random((_DRAWS, len(counts))).argsort(axis=1)
    prefixes = counts[orders].cumsum(axis=1)[:, :-1]
    draw, last = divmod(int(_cost(prefixes, counts, fraction).argmin()), len(counts) - 1)
    chosen = np.zeros(len(counts), np.bool_)
    chosen[orders[draw, : last + 1]] = True
    return _improved(chosen, counts, fraction)[member]


def _cost(smaller: NDArray[np.float64], counts: NDArray[np.float64], fraction: float) -> NDArray[np.float64]:
    """Cost of parts with these windows of each class, [..., classes] -> [...]."""
    total = counts.sum(axis=0)
    missing = 1e6 * (smaller == total).sum(axis=-1) + 1e3 * (smaller == 0).sum(axis=-1)
    empty = (smaller == 0).all(axis=-1) | (smaller == total).all(axis=-1)
    return np.where(empty, np.inf, missing + np.abs(smaller / total - fraction).mean(axis=-1))


def _improved(chosen: NDArray[np.bool_], counts: NDArray[np.float64], fraction: float) -> NDArray[np.bool_]:
    cost = float(_cost(counts[chosen].sum(axis=0), counts, fraction))
    while True:
        moved = counts[chosen].sum(axis=0) + np.where(chosen, -1, 1)[:, None] * counts
        costs = _cost(moved, counts, fraction)
        best = int(costs.argmin())
        if costs[best] >= cost - 1e-12:
            return chosen
        chosen = chosen ^ (np.arange(len(chosen)) == best)
        cost = float(costs[best])
