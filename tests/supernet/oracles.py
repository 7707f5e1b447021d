"""What the supernet's layers should compute, in NumPy and float64, and small spaces to test them in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from micronas_tf.space import SearchSpace, SpaceConfig, build_space

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
