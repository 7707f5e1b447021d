"""tf_keras parts of a fine-tuning whose time is limited; `training.paced` has those of Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from micronas_tf.timing import Pace


class AtPosition(tf_keras.optimizers.schedules.LearningRateSchedule):
    """A schedule read at a variable instead of the number of steps that the optimiser has taken."""

    def __init__(self, schedule: Callable[[Any], Any], position: tf.Variable) -> None:
        self.schedule, self.position = schedule, position

    def __call__(self, step: Any) -> tf.Tensor:
        return self.schedule(self.position)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "position": float(self.position)}


def pace_callback(pace: Pace, position: tf.Variable, model: Any) -> tf_keras.callbacks.Callback:
    """Moves through the schedule before each step, and ends the fit when the pace says so."""

    def end(batch: int, logs: Any) -> None:
        pace.step()
        if pace.finished:
            model.stop_training = True

    return tf_keras.callbacks.LambdaCallback(
        on_batch_begin=lambda batch, logs: position.assign(pace.position), on_batch_end=end
    )
