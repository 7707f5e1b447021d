"""A machine whose speed the tests know: each step of a training takes a second, whatever the clock says."""

from __future__ import annotations

from typing import Any

import keras


class Machine(keras.callbacks.Callback):
    """Its `time` is a clock for a `Pace`; what a test wants to know of each step, `note` writes down."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.time += 1.0
        self.note()

    def note(self) -> None:
        """Called at the beginning of every step, when its second has gone."""
