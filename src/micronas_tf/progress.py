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


class Repeating:
    """A `Progress` that passes on what it hears and can say it again: work within one step of a stage is no stage.

    Args:
        listener: hears everything.
    """

    def __init__(self, listener: Progress) -> None:
        self.listener = listener
        self.said: tuple[str, int, int, Mapping[str, float]] | None = None

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        self.said = (stage, done, total, figures)
        self.listener(*self.said)

    def again(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """A `Progress` for what goes on within the step: the last word again, whatever it says. Before one, nothing."""
        if self.said is not None:
            self.listener(*self.said)
