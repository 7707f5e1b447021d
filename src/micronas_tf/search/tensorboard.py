"""The history of a search as TensorBoard reads it, written while it runs: one step per epoch.

An event file is a TFRecord file of Event messages, so nothing but TensorFlow is needed to write one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import tensorflow as tf
from tensorflow.core.framework.summary_pb2 import Summary
from tensorflow.core.util.event_pb2 import Event

from micronas_tf.files import unwritable
from micronas_tf.search.history import HistoryCallback

_FORMAT: Final = "brain.Event:2"
_PROBABILITY: Final = re.compile(r"p\((.*)\)")


class TensorBoardCallback(keras.callbacks.Callback):
    """Writes every column of `history.csv` as a scalar: losses, accuracies, expected costs, τ, probabilities.

    The step is the epoch, from 1. A resumed search writes its file anew from the history, so no step is there
    twice. Tags are the names of the columns; a probability's is `probabilities/<group>=<choice>`.

    Args:
        folder: for `tensorboard --logdir`.
        history: whose rows are written; it must be called before this callback.
    """

    def __init__(self, folder: Path, history: HistoryCallback) -> None:
        super().__init__()
        self.folder, self.history = folder, history
        self.writer: Any = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.writer is None:
            self._start()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._write(self.history.rows[-1:])

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.writer is not None:
            self.writer.close()

    def _start(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
            self.writer = tf.io.TFRecordWriter(str(self.folder / f"events.out.tfevents.{time.time_ns() // 10**9}"))
            self.writer.write(Event(wall_time=time.time(), file_version=_FORMAT).SerializeToString())
        except (OSError, tf.errors.OpError) as error:
            raise unwritable(self.folder, error) from error
        self._write(self.history.rows)

    def _write(self, rows: list[dict[str, float]]) -> None:
        """Flushed at once, so that TensorBoard sees an epoch when it ends."""
        try:
            for row in rows:
                self.writer.write(event_of(row).SerializeToString())
            self.writer.flush()
        except tf.errors.OpError as error:
            raise unwritable(self.folder, error) from error


def event_of(row: Mapping[str, float]) -> Event:
    """All scalars of one epoch."""
    values = [
        Summary.Value(tag=_PROBABILITY.sub(r"probabilities/\1", name), simple_value=value)
        for name, value in row.items()
        if name != "epoch"
    ]
    return Event(wall_time=time.time(), step=int(row["epoch"]), summary=Summary(value=values))
