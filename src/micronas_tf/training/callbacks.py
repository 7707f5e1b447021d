"""Keras callbacks that the search and the training share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras

from micronas_tf.progress import Progress


class ProgressCallback(keras.callbacks.Callback):
    """Reports the steps of one `fit` to a `Progress`, a few times a second.

    Args:
        progress: who listens.
        stage: name of the stage.
        total: steps of the whole fit.
        figures: log name → name to report it under.
        done: steps done before, by the run that this one resumes.
    """

    def __init__(
        self, progress: Progress, stage: str, total: int, figures: Mapping[str, str], *, done: int = 0
    ) -> None:
        super().__init__()
        self.progress, self.stage, self.total, self.figures = progress, stage, total, figures
        self.done = done
        self.reported_at = 0.0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.progress(self.stage, self.done, self.total, {})

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.done += 1
        if self.done < self.total and time.monotonic() - self.reported_at < 0.3:
            return
        self.reported_at = time.monotonic()
        shown = {new: float((logs or {})[old]) for old, new in self.figures.items() if old in (logs or {})}
        self.progress(self.stage, self.done, self.total, shown)
