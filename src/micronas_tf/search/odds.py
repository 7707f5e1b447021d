"""How probable an architecture is; and random probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.space import SearchSpace, live_groups

_LEAST = -60.0
"""Of a choice that the supernet rules out: the differences between all others must stay above rounding."""


def log_odds(probabilities: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """log p(choice)/p(most probable choice) of every group.

    Maximising its sum over the live groups is maximising Σ log p over all groups with each dead group at its most
    probable choice. Plain Σ log p over the live groups would favour networks with few of them, however poor.
    """
    odds = {}
    for name, values in probabilities.items():
        logs = np.log(np.maximum(np.asarray(values, float), 1e-300))
        odds[name] = np.maximum(logs - logs.max(), _LEAST).tolist()
    return odds


def score(space: SearchSpace, log_odds: Mapping[str, Sequence[float]], architecture: Architecture) -> float:
    """Σ log-odds of the choices of the live groups."""
    live = live_groups(space, architecture)
    return sum(log_odds[name][space.group(name).choices.index(architecture[name])] for name in live)


def random_probabilities(space: SearchSpace, rng: np.random.Generator) -> dict[str, list[float]]:
    """Of every group's choices, uniform over all that there could be."""
    return {group.name: rng.dirichlet(np.ones(len(group))).tolist() for group in space.groups}
