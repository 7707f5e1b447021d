"""What the supernet's layers should compute, in NumPy and float64, and small spaces to test them in."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from micronas_tf.space import SearchSpace, SpaceConfig, build_space
from micronas_tf.supernet import SuperNet
from micronas_tf.supernet.layers import DynamicConv2D

FloatArray = NDArray[np.float64]

EPSILON = 2e-5
"""Keras's default of BatchNormalization."""

SMALL = SpaceConfig(time_filters_max=8, fusion_filters_max=16, time_kernels=(3, 5), fusion_kernels=(3, 5))
"""Every kind of group with two or three choices; two cells that can be skipped."""


def small_space(window: int = 17, sensors: int = 6, classes: int = 3, extra_cells: int = 1) -> SearchSpace:
    return build_space(window, sensors, classes, SpaceConfig(**{**SMALL.to_json(), "extra_cells": extra_cells}))


def same_conv(x: FloatArray, kernel: FloatArray, strides: tuple[int, int]) -> FloatArray:
    """Cross-correlation [B, T, S, C] * [k_t, k_s, C, F] with SAME padding: of odd padding, the end gets more.

    The output is ceil(extent / stride) long; position o reads from o·stride - before on.
    """
    outputs = [-(-x.shape[axis + 1] // strides[axis]) for axis in (0, 1)]
    padding = [(0, 0)] * 4
    for axis in (0, 1):
        total = max((outputs[axis] - 1) * strides[axis] + kernel.shape[axis] - x.shape[axis + 1], 0)
        padding[axis + 1] = (total // 2, total - total // 2)
    x = np.pad(x, padding)
    result = np.zeros((len(x), *outputs, kernel.shape[3]))
    for t in range(outputs[0]):
        for s in range(outputs[1]):
            top, left = t * strides[0], s * strides[1]
            patch = x[:, top : top + kernel.shape[0], left : left + kernel.shape[1]]
            result[:, t, s] = np.tensordot(patch, kernel, 3)
    return result


def batch_norm_relu(
    x: FloatArray, gamma: FloatArray, beta: FloatArray, mean: FloatArray, variance: FloatArray
) -> FloatArray:
    result: FloatArray = np.maximum((x - mean) / np.sqrt(variance + EPSILON) * gamma + beta, 0.0)
    return result


def scatter(model: Any, seed: int) -> None:
    """Random values in every weight but the gates' own state; positive variances, γ of either sign."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("logits", "temperature", "alpha_enabled", "seed_generator_state"):
            continue
        if weight.name == "moving_variance":
            weight.assign(rng.uniform(0.5, 2.0, weight.shape))
        elif len(weight.shape) > 1:
            weight.assign(rng.normal(0, 1 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape))
        else:
            weight.assign(rng.normal(0.3, 0.6, weight.shape))


def copy_weights(supernet: SuperNet, model: Any) -> None:
    """Set every Conv2D and BatchNormalization of a plain model from the supernet's layer of the same name.

    A layer `fusion0.1.conv5` takes the first filters of that layer's shared weights, `fusion0.1.conv5_bn` its
    BatchNorm.
    """
    shared = _shared_layers(supernet)
    for layer in model.layers:
        if layer.__class__.__name__ == "Conv2D":
            _copy_conv(shared, layer)
        elif layer.__class__.__name__ == "BatchNormalization":
            _copy_batch_norm(shared, layer)


def _shared_layers(supernet: SuperNet) -> dict[str, Any]:
    layers: dict[str, Any] = {supernet.classifier.name: supernet.classifier}
    for cell in supernet.cells:
        for layer in cell._flatten_layers(include_self=False):
            if isinstance(layer, DynamicConv2D):
                layers[f"{cell.name}.{layer.name}"] = layer
    return layers


def _copy_conv(shared: dict[str, Any], layer: Any) -> None:
    source = shared[layer.name]
    *size, channels, filters = layer.kernel.shape
    if not isinstance(source, DynamicConv2D):
        kernel = keras.ops.convert_to_numpy(source.kernel)[:channels]
        layer.set_weights([kernel.reshape(1, 1, channels, filters), keras.ops.convert_to_numpy(source.bias)])
        return
    kernel = keras.ops.convert_to_numpy(source.kernels[source.kernel_sizes.index(tuple(size))])
    layer.set_weights([kernel[:, :, :channels, :filters]])


def _copy_batch_norm(shared: dict[str, Any], layer: Any) -> None:
    source = shared[layer.name.removesuffix("_bn")]
    filters = layer.gamma.shape[0]
    variables = (source.gamma, source.beta, source.moving_mean, source.moving_variance)
    layer.set_weights([keras.ops.convert_to_numpy(variable)[:filters] for variable in variables])
