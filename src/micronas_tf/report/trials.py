"""The trials of a search: architectures that were trained from scratch for a while, so that one could be chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trial:
    """One architecture that was tried.

    Attributes:
        rank: from 1, best first; the first one was chosen.
        accuracy: on the windows of the α steps.
        latency_ms: predicted.
        proposed: by the search; else drawn at random.
    """

    rank: int
    accuracy: float
    latency_ms: float
    proposed: bool


def trials_of(candidates: Sequence[Mapping[str, Any]], trained: Mapping[str, Any], strategy: str) -> tuple[Trial, ...]:
    """The candidates that were trained, best first.

    By turns, one that the search proposes and a random one near the limit are tried. The files do not say which is
    which, but their scores do: what is proposed is the most probable network of all, or of all that are as slow, and
    a random one is far from that. So the more probable half are the proposals.

    Args:
        candidates: content of `search/candidates.json`, best first.
        trained: content of `search/trials.json`.
        strategy: of the run; `random` has no proposals.
    """
    known = {_key(json.loads(choices)) for choices in trained}
    tried = [(rank, one) for rank, one in enumerate(candidates, 1) if _key(one["architecture"]["choices"]) in known]
    by_score = sorted(tried, key=lambda item: -item[1]["score"])
    proposals = set() if strategy == "random" else {rank for rank, _ in by_score[: (len(tried) + 1) // 2]}
    return tuple(Trial(rank, one["accuracy"], one["latency_ms"]["value"], rank in proposals) for rank, one in tried)


def _key(choices: Mapping[str, int]) -> frozenset[tuple[str, int]]:
    return frozenset(choices.items())
