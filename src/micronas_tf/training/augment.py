"""Random rotation of 3-axis sensors: the augmentation that generalises across people and mountings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import tensorflow as tf


@dataclass(frozen=True, slots=True)
class RandomRotation:
    """One random rotation per window, the same for every triad: as if the device had been worn tilted.

    The axis is uniform on the sphere, the angle N(0, `degrees`). Channels outside the triads, and data
    without triads, stay as they are. Works on raw units: standardisation would shear a rotation.

    Attributes:
        triads: index triples (x, y, z) of channels.
        degrees: standard deviation of the angle.
    """

    triads: tuple[tuple[int, int, int], ...]
    degrees: float = 15.0

    def __call__(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """[B, T, S] → [B, T, S]; `seed` [2] int64 decides the draw."""
        if not self.triads or self.degrees == 0.0:
            return x
        rotation = random_rotations(tf.shape(x)[0], self.degrees * pi / 180.0, seed)
        channels = tf.unstack(x, axis=-1)
        for triad in self.triads:
            rotated = tf.einsum("btc,bdc->btd", tf.stack([channels[c] for c in triad], -1), rotation)
            for axis, channel in enumerate(triad):
                channels[channel] = rotated[..., axis]
        return tf.stack(channels, -1)


def random_rotations(count: tf.Tensor | int, stddev: float, seed: tf.Tensor | Sequence[int]) -> tf.Tensor:
    """[count, 3, 3] rotation matrices by Rodrigues' formula: uniform axis, angle N(0, `stddev`) radians."""
    draws = tf.random.stateless_normal([count, 4], seed)
    axis = tf.math.l2_normalize(draws[:, :3], -1)
    angle = (draws[:, 3] * stddev)[:, None, None]
    x, y, z = tf.unstack(axis, axis=-1)
    zero = tf.zeros_like(x)
    cross = tf.reshape(tf.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1), [-1, 3, 3])
    return tf.eye(3) + tf.sin(angle) * cross + (1.0 - tf.cos(angle)) * tf.matmul(cross, cross)
