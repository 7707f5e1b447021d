"""What a person sees while a run goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from micronas_tf import console
from micronas_tf.boards import Budget


def test_a_bar_learns_a_new_total(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage may find more to do than it began with, or be cut short."""
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(console, "Console", lambda **options: terminal)
    with console.ConsoleProgress(Budget()) as progress:
        for stage, done, total in (("projecting", 4, 4), ("projecting", 6, 6), ("search", 8, 480), ("search", 96, 96)):
            progress(stage, done, total, {})
        bars = {task.description: (task.completed, task.total, task.finished) for task in progress.bars.tasks}
    assert bars == {"projecting": (6, 6, True), "search": (96, 96, True)}
