"""The trials of a search: architectures that were trained from scratch, so that one could be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trial:
    """One architecture that was tried.

    Attributes:
        rank: from 1, best first; the first one was chosen.
        accuracy: on training windows that it had not seen.
        latency_ms: predicted.
        proposed: by the search; else drawn at random.
    """

    rank: int
    accuracy: float
    latency_ms: float
    proposed: bool


def trials_of(candidates: Sequence[Mapping[str, Any]]) -> tuple[Trial, ...]:
    """The candidates that were trained in the last round, best first: the others were trained for a shorter while.

    Args:
        candidates: content of `search/candidates.json`, best first; without `round` in runs of older versions, of which
            nothing is shown.
    """
    last = max((one.get("round", 0) for one in candidates), default=0)
    if not last:
        return ()
    return tuple(
        Trial(rank, one["accuracy"], one["latency_ms"]["value"], one["proposed"])
        for rank, one in enumerate(candidates, 1)
        if one["round"] == last
    )
