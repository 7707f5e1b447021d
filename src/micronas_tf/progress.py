"""How long work says where it stands, without knowing who listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Called at least about once a second by anything that takes longer than that.

    Args:
        stage: what is being done, one stable word or two, for example `search`.
        done: steps done, from 0.
        total: steps in all; `done == total` ends the stage.
        figures: what to show beside it, by name, for example `{"latency_ms": 43.1}`.
    """

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None: ...


def silent(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    """A `Progress` that says nothing."""
