"""Keras parts of a stage whose time is limited: schedules that are read at a position, and who moves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from micronas_tf.timing import Pace
from micronas_tf.training.callbacks import ProgressCallback


class AtPosition(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule read at a variable instead of the number of steps that the optimiser has taken."""

    def __init__(self, schedule: Callable[[Any], Any], position: tf.Variable) -> None:
        super().__init__()
        self.schedule, self.position = schedule, position

    def __call__(self, step: Any) -> tf.Tensor:
        return self.schedule(self.position)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "position": float(self.position)}


class PaceCallback(keras.callbacks.Callback):
    """Moves through the schedules before each step, and ends the fit when the pace says so.

    Args:
        pace: begun.
        position: where the schedules read.
        show: its total follows the steps that the pace has chosen.
        move: told the position, too.
    """

    def __init__(
        self,
        pace: Pace,
        position: tf.Variable,
        show: ProgressCallback,
        move: Callable[[float], None] = lambda position: None,
    ) -> None:
        super().__init__()
        self.pace, self.position, self.show, self.move = pace, position, show, move

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.position.assign(self.pace.position)
        self.move(self.pace.position)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.pace.step()
        self.show.total = self.pace.total
        if self.pace.finished:
            self.model.stop_training = True
