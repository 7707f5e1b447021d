"""From windows to endless, augmented, standardised batches."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.training.augment import RandomRotation


def network_input(windows: Windows, standardisation: Standardisation) -> np.ndarray:
    """[N, T, S, 1] float32: standardised windows as a network takes them."""
    return standardisation.apply(windows.x)[..., None]


def training_batches(
    windows: Windows,
    standardisation: Standardisation,
    *,
    batch_size: int,
    rotation_degrees: float,
    seed: int,
    skip: int = 0,
) -> tf.data.Dataset:
    """An endless dataset of (x [B, T, S, 1] standardised, y [B]), reshuffled each epoch, from batch `skip` on.

    Augmentation draws come from a stateless seed per batch, so the stream repeats exactly with the seed and
    TensorFlow's global one, which tf.data mixes in.
    """
    rotate = RandomRotation(windows.triads, rotation_degrees)
    mean, std = tf.constant(standardisation.mean, tf.float32), tf.constant(standardisation.std, tf.float32)

    limit = standardisation.limit

    def prepare(batch: tuple[tf.Tensor, tf.Tensor], draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, y = batch
        standard = tf.clip_by_value((rotate(x, tf.stack([draw, draw])) - mean) / std, -limit, limit)
        return standard[..., None], y

    samples = tf.data.Dataset.from_tensor_slices((windows.x, windows.y.astype(np.int32)))
    samples = samples.shuffle(len(windows.y), seed=seed, reshuffle_each_iteration=True).repeat()
    draws = tf.data.Dataset.random(seed=seed)
    batches = samples.batch(batch_size, drop_remainder=True)
    # Skipped before the augmentation: a resumed run sees the rest of the same stream at little cost.
    return tf.data.Dataset.zip((batches, draws)).skip(skip).map(prepare, num_parallel_calls=2).prefetch(4)
