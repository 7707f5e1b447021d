"""The searchable cells of MicroNAS as Keras layers (King et al., arXiv 2310.18384, section 5).

Each cell is built from its rows of the site table, so it holds no shape rule of its own. Gates are vectors
over a group's choices that sum to 1; a switch's gate is [off, on].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from micronas_tf.supernet.layers import DynamicConv2D, prefix_masks

Gates = Mapping[str, tf.Tensor]
"""Gate of each decision group, by the group's name within its cell, for example `width`."""


def chosen(widths: Sequence[int], gate: tf.Tensor) -> tf.Tensor:
    """The width that a one-hot gate stands for, scalar int32."""
    return tf.gather(tf.constant(widths, tf.int32), tf.argmax(gate))


def is_on(gate: tf.Tensor) -> tf.Tensor:
    """Whether a one-hot switch is on, scalar bool."""
    return gate[1] > 0.5


@keras.saving.register_keras_serializable("micronas_tf")
class TimeReduceCell(keras.layers.Layer):
    """One conv over time with searched kernel length and width.

    Args:
        kernel_sizes: (time, sensors) of each kernel choice.
        widths: the width choices, in filters.
        strides: (time, sensors).
    """

    def __init__(
        self, kernel_sizes: Sequence[tuple[int, int]], widths: Sequence[int], strides: tuple[int, int], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.conv = DynamicConv2D(max(widths), kernel_sizes, strides, name="conv")
        self.widths = tuple(widths)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.conv.build(input_shape)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, gates: Gates, training: bool = False) -> tf.Tensor:
        """[B, T, S, C_in] → [B, T', S, max(widths)], filters beyond the chosen width zero."""
        scale = tf.linalg.matvec(prefix_masks(self.widths), gates["width"], transpose_a=True)
        return self.conv(inputs, scale, gates["kernel"], training=training)

    def sampled(self, inputs: tf.Tensor, gates: Gates, training: bool = False) -> tf.Tensor:
        """What `call` computes for one-hot gates, without the masked filters."""
        return self.conv.sliced(inputs, chosen(self.widths, gates["width"]), gates["kernel"], training)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        kernel_sizes, strides = self.conv.kernel_sizes, self.conv.strides
        return {**config, "kernel_sizes": kernel_sizes, "widths": self.widths, "strides": strides}


@keras.saving.register_keras_serializable("micronas_tf")
class SensorFusionCell(keras.layers.Layer):
    """A skip conv and parallel convs behind a bottleneck, summed; each branch and the whole cell optional.

    Args:
        branches: kernel (time, sensors) of each conv behind the bottleneck, by name, in order.
        bottleneck_kernel: (time, sensors) of the bottleneck conv.
        skip_kernel: (time, sensors) of the skip conv.
        strides: of the bottleneck and the skip conv.
        bottleneck_widths: width choices of the bottleneck.
        widths: width choices that all branches share.
        has_identity: whether the cell can be skipped as a whole.
    """

    def __init__(
        self,
        *,
        branches: Mapping[str, tuple[int, int]],
        bottleneck_kernel: tuple[int, int],
        skip_kernel: tuple[int, int],
        strides: tuple[int, int],
        bottleneck_widths: Sequence[int],
        widths: Sequence[int],
        has_identity: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bottleneck = DynamicConv2D(max(bottleneck_widths), [bottleneck_kernel], strides, name="bottleneck")
        self.skip = DynamicConv2D(max(widths), [skip_kernel], strides, name="skip")
        self.branches = {
            name: DynamicConv2D(max(widths), [(kernel[0], kernel[1])], name=name) for name, kernel in branches.items()
        }
        self.bottleneck_widths = tuple(bottleneck_widths)
        self.widths = tuple(widths)
        self.has_identity = has_identity

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.skip.build(input_shape)
        self.bottleneck.build(input_shape)
        for branch in self.branches.values():
            branch.build((*input_shape[:-1], self.bottleneck.filters))
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, gates: Gates, training: bool = False) -> tf.Tensor:
        """[B, T, S, C_in] → [B, T, S', max(widths)], filters beyond the chosen width zero."""
        mask = tf.linalg.matvec(prefix_masks(self.widths), gates["width"], transpose_a=True)
        bottleneck_mask = tf.linalg.matvec(prefix_masks(self.bottleneck_widths), gates["bottleneck"], transpose_a=True)
        if self.has_identity:
            mask = mask * gates["identity"][0]
        narrow = self.bottleneck(inputs, bottleneck_mask, training=training)
        terms = [self.skip(inputs, mask * gates["skip"][1], training=training)]
        terms += [branch(narrow, mask * gates[name][1], training=training) for name, branch in self.branches.items()]
        if self.has_identity:
            terms.append(inputs * gates["identity"][1])
        return tf.add_n(terms)

    def sampled(self, inputs: tf.Tensor, gates: Gates, training: bool = False) -> tf.Tensor:
        """What `call` computes for one-hot gates, without the masked filters and the branches that are off."""
        if not self.has_identity:
            return self._sampled_sum(inputs, gates, training)
        return tf.cond(is_on(gates["identity"]), lambda: inputs, lambda: self._sampled_sum(inputs, gates, training))

    def _sampled_sum(self, inputs: tf.Tensor, gates: Gates, training: bool) -> tf.Tensor:
        filters = chosen(self.widths, gates["width"])
        shape = tf.concat([tf.shape(inputs)[:2], [self._sensors(inputs), filters]], 0)
        any_branch = tf.reduce_any([is_on(gates[name]) for name in self.branches])
        narrow_filters = chosen(self.bottleneck_widths, gates["bottleneck"])
        nothing = tf.zeros(tf.concat([shape[:3], [narrow_filters]], 0))
        narrow = tf.cond(
            any_branch, lambda: self.bottleneck.sliced(inputs, narrow_filters, training=training), lambda: nothing
        )
        total = tf.zeros(shape)
        for name, layer, source in (("skip", self.skip, inputs), *((n, b, narrow) for n, b in self.branches.items())):
            total = tf.cond(
                is_on(gates[name]),
                lambda layer=layer, source=source, total=total: (
                    total + layer.sliced(source, filters, training=training)
                ),
                lambda total=total: total,
            )
        return total

    def _sensors(self, inputs: tf.Tensor) -> int:
        return -(-int(inputs.shape[2]) // self.skip.strides[1])

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return {
            **config,
            "branches": {name: branch.kernel_sizes[0] for name, branch in self.branches.items()},
            "bottleneck_kernel": self.bottleneck.kernel_sizes[0],
            "skip_kernel": self.skip.kernel_sizes[0],
            "strides": self.skip.strides,
            "bottleneck_widths": self.bottleneck_widths,
            "widths": self.widths,
            "has_identity": self.has_identity,
        }
