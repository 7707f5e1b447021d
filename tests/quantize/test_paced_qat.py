"""A fine-tuning whose time is limited, with a clock that the test moves: fewer steps, the whole schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from micronas_tf.quantize.qat import QatRecipe, _train
from micronas_tf.timing import Pace


def fine_tuned(limit_s: float | None) -> tuple[Any, list[tuple[int, int]], Pace | None]:
    """A model of one layer: what is tested is the loop. Each step takes a second, by its progress."""
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential([tf_keras.layers.Dense(3, activation="softmax", input_shape=(4,))])
    rng = np.random.default_rng(0)
    batches = tf.data.Dataset.from_tensor_slices((rng.normal(size=(32, 4)), np.arange(32) % 3)).batch(8)
    heard: list[tuple[int, int]] = []
    pace = None
    if limit_s is not None:
        pace = Pace(lambda first, step: limit_s - len(heard), now=lambda: float(len(heard)))
    _train(model, batches, QatRecipe(60), 0, lambda stage, done, total, figures: heard.append((done, total)), pace)
    return model, heard, pace


def test_a_shortened_fine_tuning_goes_through_its_whole_schedule() -> None:
    model, heard, pace = fine_tuned(30.0)
    assert pace is not None
    assert 27 <= pace.done <= 32
    assert int(model.optimizer.iterations) == pace.done
    assert heard[-1] == (pace.done, pace.done)
    assert float(model.optimizer.learning_rate) < 0.02 * QatRecipe().learning_rate


def test_enough_time_changes_nothing() -> None:
    whole, _, _ = fine_tuned(None)
    paced, heard, pace = fine_tuned(1000.0)
    assert pace is not None
    assert heard[-1] == (60, 60)
    for mine, theirs in zip(whole.get_weights(), paced.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-6)
