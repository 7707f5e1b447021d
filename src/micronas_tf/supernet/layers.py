"""Convolutions whose width and kernel length are decided by gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from micronas_tf.errors import SpaceError
from micronas_tf.ops import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM


def prefix_masks(widths: Sequence[int]) -> np.ndarray:
    """[choices, filters] float32: row k is 1 for the first `widths[k]` filters and 0 for the rest."""
    return (np.arange(max(widths)) < np.array(widths)[:, None]).astype("float32")


@keras.saving.register_keras_serializable("micronas_tf")
class DynamicConv2D(keras.layers.Layer):
    """Conv2D → BatchNorm → ReLU with a scale per filter, SAME padding.

    The scale is a gate times a prefix mask, so ≥ 0, and it is applied after BatchNorm and ReLU: a mask before
    BatchNorm would let β leak back into masked filters, and BatchNorm would cancel its gradient. As
    s·relu(γ·z + β) = relu(sγ·z + sβ) for s ≥ 0, it is folded into γ and β and costs nothing.

    With several kernel lengths the kernels are zero-padded and summed by the kernel gate (conv is linear in
    its kernel); the lengths share one BatchNorm.

    Args:
        filters: largest number of output filters.
        kernel_sizes: (time, sensors) of each kernel to choose from; one for a plain dynamic conv.
        strides: (time, sensors).
    """

    def __init__(
        self,
        filters: int,
        kernel_sizes: Sequence[tuple[int, int]],
        strides: tuple[int, int] = (1, 1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_sizes = tuple((int(time), int(sensors)) for time, sensors in kernel_sizes)
        self.strides = (int(strides[0]), int(strides[1]))
        largest = tuple(np.max(self.kernel_sizes, 0).tolist())
        if any((big - small) % 2 for kernel in self.kernel_sizes for big, small in zip(largest, kernel, strict=True)):
            raise SpaceError(f"Kernel sizes to choose from must differ by even numbers. Received: {self.kernel_sizes}.")
        self.largest_kernel = largest

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        self.kernels = [
            self.add_weight(
                shape=(*size, channels, self.filters),
                initializer="glorot_uniform",
                name="kernel" if len(self.kernel_sizes) == 1 else f"kernel_{size[0]}_{size[1]}",
            )
            for size in self.kernel_sizes
        ]
        self.gamma = self.add_weight(shape=(self.filters,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(self.filters,), initializer="zeros", name="beta")
        self.moving_mean = self.add_weight(
            shape=(self.filters,), initializer="zeros", trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape=(self.filters,), initializer="ones", trainable=False, name="moving_variance"
        )
        super().build(input_shape)

    def merged_kernel(self, gate: tf.Tensor | None) -> tf.Tensor:
        """The kernels padded to the largest one and weighted by the gate [kernel sizes]."""
        if len(self.kernels) == 1:
            return tf.convert_to_tensor(self.kernels[0])
        if gate is None:
            raise SpaceError(f"{self.name} chooses among {self.kernel_sizes}: it needs a kernel gate. Received: None.")
        padded = [
            tf.pad(kernel, [*self._padding(size), (0, 0), (0, 0)])
            for kernel, size in zip(self.kernels, self.kernel_sizes, strict=True)
        ]
        return tf.add_n([gate[index] * kernel for index, kernel in enumerate(padded)])

    def _padding(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        gaps = [(big - small) // 2 for big, small in zip(self.largest_kernel, size, strict=True)]
        return [(gap, gap) for gap in gaps]

    def call(
        self,
        inputs: tf.Tensor,
        scale: tf.Tensor | None = None,
        kernel_gate: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """[B, T, S, C_in] → [B, T', S', filters].

        Args:
            inputs: masked filters are zeros.
            scale: [filters], ≥ 0; ones when not given.
            kernel_gate: [kernel sizes]; needed where there are several.
            training: normalise by the batch's statistics, and update the moving ones.
        """
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if scale is not None:
            gamma, beta = gamma * scale, beta * scale
        return self._convolve(inputs, self.merged_kernel(kernel_gate), gamma, beta, training)

    def sliced(
        self, inputs: tf.Tensor, filters: tf.Tensor, kernel_gate: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """The same as `call` with a prefix mask, computing the first `filters` filters only.

        Args:
            inputs: [B, T, S, C], the first C input filters.
            filters: scalar int32.
            kernel_gate: [kernel sizes]; needed where there are several.
            training: as in `call`; the moving statistics of the other filters stay.
        """
        kernel = self.merged_kernel(kernel_gate)[:, :, : tf.shape(inputs)[-1], :filters]
        gamma, beta = tf.convert_to_tensor(self.gamma)[:filters], tf.convert_to_tensor(self.beta)[:filters]
        return self._convolve(inputs, kernel, gamma, beta, training)

    def _convolve(
        self, inputs: tf.Tensor, kernel: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, training: bool
    ) -> tf.Tensor:
        outputs = tf.nn.conv2d(inputs, kernel, self.strides, "SAME")
        count = tf.shape(gamma)[0]
        if training:
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(outputs, gamma, beta, epsilon=BATCH_NORM_EPSILON)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                old = tf.convert_to_tensor(moving)
                new = BATCH_NORM_MOMENTUM * old[:count] + (1.0 - BATCH_NORM_MOMENTUM) * tf.stop_gradient(batch)
                moving.assign(tf.ensure_shape(tf.concat([new, old[count:]], 0), old.shape))
            return tf.nn.relu(outputs)
        mean, variance = (tf.convert_to_tensor(v)[:count] for v in (self.moving_mean, self.moving_variance))
        factor = gamma * tf.math.rsqrt(variance + BATCH_NORM_EPSILON)
        return tf.nn.relu(outputs * factor + (beta - mean * factor))

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return {**config, "filters": self.filters, "kernel_sizes": self.kernel_sizes, "strides": self.strides}
