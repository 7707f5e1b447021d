"""Gumbel-softmax gates: the logits of every decision group, and samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from micronas_tf.errors import SpaceError

_PADDING = float(np.finfo("float32").min)
"""Logit of a choice that does not exist: its probability is exactly 0, however cold the temperature."""


@keras.saving.register_keras_serializable("micronas_tf")
class GumbelGates(keras.layers.Layer):
    """The logits of all groups in one matrix, so that one operation samples every gate.

    A *gate matrix* is [groups, choices]: row g holds the weights of group g's choices, which sum to 1;
    choices beyond a group's size have weight 0.

    Args:
        sizes: number of choices of each group.
        initial_stddev: standard deviation of each group's initial logits (0: uniform to start with).
        seed: of the initial logits and of the Gumbel noise.
    """

    def __init__(
        self, sizes: Sequence[int], *, initial_stddev: Sequence[float] | None = None, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = tuple(int(size) for size in sizes)
        self.initial_stddev = tuple(initial_stddev or (0.0,) * len(self.sizes))
        if not self.sizes or min(self.sizes) < 1 or len(self.initial_stddev) != len(self.sizes):
            raise SpaceError(
                "Gates need at least one group, each with at least one choice and one initial_stddev. "
                f"Received: sizes={self.sizes}, initial_stddev={self.initial_stddev}."
            )
        self.seed = seed
        self.noise = keras.random.SeedGenerator(seed)
        self.exists = np.arange(max(self.sizes)) < np.array(self.sizes)[:, None]

    def build(self, input_shape: Any = None) -> None:
        start = np.random.default_rng(self.seed).normal(size=self.exists.shape) * np.array(self.initial_stddev)[:, None]
        self.logits = self.add_weight(
            shape=self.exists.shape, initializer=keras.initializers.Constant(start * self.exists), name="logits"
        )
        super().build(input_shape)

    def masked_logits(self) -> tf.Tensor:
        return tf.where(self.exists, tf.convert_to_tensor(self.logits), _PADDING)

    def probabilities(self) -> tf.Tensor:
        """Gate matrix of the softmax, without noise."""
        return tf.nn.softmax(self.masked_logits())

    def sample(self, temperature: tf.Tensor | float, *, hard: bool = False) -> tf.Tensor:
        """A draw from the Gumbel-softmax (Jang et al., arXiv 1611.01144).

        Args:
            temperature: > 0; towards 0 the draw becomes one-hot.
            hard: one-hot in the forward pass, the soft draw's gradient in the backward pass.
        """
        uniform = keras.random.uniform(self.exists.shape, minval=1e-7, maxval=1.0 - 1e-7, seed=self.noise)
        # The padding is added after the division: at the temperature's floor it must stay finite.
        noisy = (tf.convert_to_tensor(self.logits) - tf.math.log(-tf.math.log(uniform))) / temperature
        soft = tf.nn.softmax(tf.where(self.exists, noisy, _PADDING))
        if not hard:
            return soft
        one_hot = tf.one_hot(tf.argmax(soft, -1), soft.shape[-1])
        return one_hot + soft - tf.stop_gradient(soft)

    def call(self, temperature: tf.Tensor | float) -> tf.Tensor:
        return self.sample(temperature)

    def entropy(self) -> tf.Tensor:
        """[groups] entropy of each group relative to the uniform distribution: 1 undecided, 0 decided."""
        probabilities = self.probabilities()
        nats = -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), -1)
        return nats / np.log(np.maximum(self.sizes, 2)).astype("float32")

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return {**config, "sizes": self.sizes, "initial_stddev": self.initial_stddev, "seed": self.seed}
