"""TensorBoard's file: the scalars of history.csv, each step once, also after an interruption."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow as tf

from micronas_tf.errors import RunError
from micronas_tf.search.history import HistoryCallback
from micronas_tf.search.tensorboard import TensorBoardCallback
from micronas_tf.space import build_space

from .toys import config

SPACE = build_space(16, 3, 3, config())


class Supernet:
    """What the history reads of a supernet; the probabilities move with the epochs."""

    space = SPACE

    def __init__(self) -> None:
        self.epoch = 0

    def probabilities(self) -> dict[str, list[float]]:
        first = {group.name: 0.5 / (self.epoch + 1) for group in SPACE.groups}
        return {g.name: [first[g.name], *[(1 - first[g.name]) / (len(g) - 1)] * (len(g) - 1)] for g in SPACE.groups}


def train(folder: Path, first: int, last: int, *, killed: str = "") -> tuple[Any, ...]:
    """Epochs `first` to `last` from 0; `killed` after the last one's history: its checkpoint is missing."""
    supernet, history = Supernet(), HistoryCallback(folder / "history.csv")
    board = TensorBoardCallback(folder / "tensorboard", history)
    for callback in (history, board):
        callback.set_model(supernet)
        callback.on_train_begin()
    for supernet.epoch in range(first, last + 1):
        logs = {"loss": 1.0 / (supernet.epoch + 1), "temperature": 0.5, "latency_ms": 12.0}
        for callback in (history, board):
            callback.on_epoch_begin(supernet.epoch)
        for callback in (history, board)[: 1 if killed and supernet.epoch == last else 2]:
            callback.on_epoch_end(supernet.epoch, logs)
    if not killed:
        board.on_train_end()
    return history, board


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    """As TensorFlow's own reader finds them."""
    (path,) = (folder / "tensorboard").iterdir()
    events = list(tf.compat.v1.train.summary_iterator(str(path)))
    assert events[0].file_version == "brain.Event:2"
    return [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]


def column_of(tag: str) -> str:
    return f"p({tag.removeprefix('probabilities/')})" if tag.startswith("probabilities/") else tag


def assert_the_history(folder: Path, epochs: int) -> None:
    history = pd.read_csv(folder / "history.csv").set_index("epoch")
    found = scalars(folder)
    assert set(Counter((step, tag) for step, tag, _ in found).values()) == {1}
    assert {step for step, _, _ in found} == set(range(1, epochs + 1))
    assert {column_of(tag) for _, tag, _ in found} == set(history)
    for step, tag, value in found:
        # Events hold float32.
        assert math.isclose(value, float(str(history.loc[step, column_of(tag)])), rel_tol=1e-6), (step, tag)


def test_every_column_of_the_history_is_a_scalar(tmp_path: Path) -> None:
    train(tmp_path, 0, 3)
    assert_the_history(tmp_path, 4)
    assert {"loss", "temperature", "latency_ms", "probabilities/time0.kernel=7"} <= {t for _, t, _ in scalars(tmp_path)}


@pytest.mark.parametrize("again_from", [0, 2, 3])
def test_a_resumed_search_has_each_step_once(tmp_path: Path, again_from: int) -> None:
    """Killed in epoch 4 after its history; the checkpoint may be of that epoch, of one before, or missing."""
    train(tmp_path, 0, 3, killed="before the checkpoint")
    train(tmp_path, again_from, 4)
    assert_the_history(tmp_path, 5)


def test_epochs_are_there_while_the_search_runs(tmp_path: Path) -> None:
    """The reader opens the file that the writer has not closed."""
    callbacks = train(tmp_path, 0, 2, killed="before the checkpoint")
    assert [step for step, tag, _ in scalars(tmp_path) if tag == "loss"] == [1, 2]
    del callbacks


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file in the way")
    with pytest.raises(RunError, match=r"Cannot write .*tensorboard: .* Free some disk space, or choose a writable"):
        train(tmp_path, 0, 0)
