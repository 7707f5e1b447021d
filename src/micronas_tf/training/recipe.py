"""The float recipe: how a plain model is trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import accuracy_score, f1_score

from micronas_tf.cost import weight_bytes
from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.errors import DataError
from micronas_tf.ops import Network
from micronas_tf.progress import Progress, silent
from micronas_tf.timing import Pace
from micronas_tf.training.batches import training_batches
from micronas_tf.training.callbacks import ProgressCallback
from micronas_tf.training.paced import AtPosition, PaceCallback

_AMPLE_BYTES: Final = 12_000
"""Weights and biases in int8 and int32 above which a network gains nothing from more epochs."""

PARTS: Final = 30
"""Of a training: Keras's epochs, whose figures are returned; where there are fewer batches, each is a part."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Adam with warm-up and cosine decay, cross-entropy, random rotation of triads, last epoch.

    Chosen on subject-wise folds of UCI-HAR's training set (docs/how-it-works.md gives the figures).

    Attributes:
        epochs: passes over the training windows.
        least_steps: batches at least, for data sets that make only a few batches an epoch.
        batch_size: windows per batch; fewer where there are not four batches.
        peak_learning_rate: reached after the warm-up.
        warmup: share of the steps.
        rotation_degrees: standard deviation of the random rotation's angle.
        dropout: between cells.
        stretch: a network of few weights is trained so many times as long at most (`for_network`).
    """

    epochs: int = 30
    least_steps: int = 1500
    batch_size: int = 64
    peak_learning_rate: float = 3e-3
    warmup: float = 0.05
    rotation_degrees: float = 15.0
    dropout: float = 0.0
    stretch: float = 4.0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or self.least_steps < 0 or self.peak_learning_rate <= 0:
            raise DataError(f"A recipe needs positive epochs, batch size and learning rate. Received: {self}.")
        if not 0.0 <= self.warmup < 1.0 or not 0.0 <= self.dropout < 1.0 or self.rotation_degrees < 0.0:
            raise DataError(
                "A recipe's warmup and dropout are shares below 1, and its rotation is not negative. "
                f"Received: {self.warmup}, {self.dropout}, {self.rotation_degrees}."
            )
        if not 1.0 <= self.stretch < inf:
            raise DataError(f"A recipe's stretch is a factor of 1 or more. Received: {self.stretch}.")

    def shortened(self, share: float) -> TrainingRecipe:
        """The same schedule in a share of the steps, the same number for all networks."""
        return replace(
            self,
            epochs=max(1, round(share * self.epochs)),
            least_steps=round(share * self.least_steps),
            stretch=1.0,
        )

    def for_network(self, network: Network) -> TrainingRecipe:
        """What this network gets: one of few weights underfits, and gains from more epochs; a large one does not."""
        size = sum(weight_bytes(node.op) for node in network.nodes)
        factor = min(max(1.0, sqrt(_AMPLE_BYTES / size)), self.stretch)
        return replace(self, epochs=round(factor * self.epochs), stretch=1.0)

    def batch_size_for(self, samples: int) -> int:
        return max(1, min(self.batch_size, samples // 4))

    def batches(self, samples: int) -> int:
        """Batches that the recipe asks for at least, for so many windows."""
        return max(self.epochs * -(-samples // self.batch_size_for(samples)), self.least_steps)

    def steps(self, samples: int) -> int:
        """Batches that `train` takes: those asked for, in `PARTS` equal parts."""
        asked = self.batches(samples)
        parts = min(PARTS, asked)
        return parts * -(-asked // parts)


def train(
    model: Any,
    windows: Windows,
    standardisation: Standardisation,
    recipe: TrainingRecipe,
    *,
    seed: int,
    progress: Progress = silent,
    callbacks: Sequence[Any] = (),
    pace: Pace | None = None,
) -> dict[str, list[float]]:
    """Train a plain Keras model in place; the last step's weights stay.

    With a `pace` the training takes as many of the recipe's steps as its time allows.

    Returns:
        Loss and accuracy by epoch (an epoch here is a thirtieth of the steps).
    """
    samples = len(windows.y)
    steps = recipe.steps(samples)
    epochs = min(PARTS, steps)
    per_epoch = steps // epochs
    position = tf.Variable(0.0, trainable=False) if pace else None
    compile_for_training(model, recipe, steps, position)
    keras.utils.set_random_seed(seed)
    batches = training_batches(
        windows,
        standardisation,
        batch_size=recipe.batch_size_for(samples),
        rotation_degrees=recipe.rotation_degrees,
        seed=seed,
    )
    show = ProgressCallback(progress, "training", steps, {"accuracy": "accuracy"})
    paced = []
    if pace and position is not None:
        pace.begin(steps)
        paced = [PaceCallback(pace, position, show)]
    callbacks = [*paced, show, *callbacks]
    history = model.fit(
        batches, epochs=epochs, steps_per_epoch=per_epoch, verbose=0, shuffle=False, callbacks=callbacks
    )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def compile_for_training(model: Any, recipe: TrainingRecipe, steps: int, position: tf.Variable | None = None) -> None:
    """Adam with the recipe's schedule over `steps`, read at `position` where there is one."""
    schedule: Any = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - int(recipe.warmup * steps)),
        warmup_target=recipe.peak_learning_rate,
        warmup_steps=int(recipe.warmup * steps),
    )
    if position is not None:
        schedule = AtPosition(schedule, position)
    model.compile(
        keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )


def float_scores(model: Any, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and macro-F1 of a Keras model on standardised windows [N, T, S, 1]."""
    predicted = model.predict(x, batch_size=256, verbose=0).argmax(-1)
    return {
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_f1": float(f1_score(y, predicted, average="macro", labels=np.unique(y), zero_division=0)),
    }
