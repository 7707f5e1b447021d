"""The dynamic convolution, against a convolution and a BatchNorm written out in NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from micronas_tf.errors import SpaceError
from micronas_tf.supernet import DynamicConv2D

from .oracles import FloatArray, batch_norm_relu, same_conv, scatter

TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 2e-5}
"""float32 sums of at most some hundred products, against float64."""

# extent (time, sensors), channels, filters, kernel, strides: odd and even extents, kernels longer than the input.
SHAPES = [
    ((16, 5), 1, 8, (3, 1), (2, 1)),
    ((17, 5), 1, 8, (7, 1), (2, 1)),
    ((15, 9), 4, 12, (1, 9), (1, 2)),
    ((8, 6), 8, 16, (1, 6), (1, 2)),
    ((9, 3), 3, 5, (1, 2), (1, 2)),
    ((10, 4), 6, 7, (7, 1), (1, 1)),
    ((5, 1), 2, 4, (7, 1), (2, 1)),
    ((4, 7), 3, 6, (3, 4), (3, 2)),
    ((13, 2), 5, 3, (5, 3), (2, 2)),
]


def layer_of(
    channels: int, filters: int, kernels: list[tuple[int, int]], strides: tuple[int, int] = (1, 1), seed: int = 0
) -> Any:
    layer = DynamicConv2D(filters, kernels, strides)
    layer.build((None, None, None, channels))
    scatter(layer, seed)
    return layer


def noise(*shape: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=shape)


def run(layer: Any, x: FloatArray, *arguments: Any, method: str = "call", **options: Any) -> FloatArray:
    gates = [None if a is None else tf.constant(a, tf.float32 if np.ndim(a) else tf.int32) for a in arguments]
    return np.asarray(getattr(layer, method)(tf.constant(x, tf.float32), *gates, **options).numpy(), float)


def variables(layer: Any) -> list[FloatArray]:
    """γ, β, moving mean, moving variance."""
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return [np.asarray(getattr(layer, name).numpy(), float) for name in names]


@pytest.mark.parametrize(("extent", "channels", "filters", "kernel", "strides"), SHAPES)
def test_inference_is_what_numpy_computes(
    extent: tuple[int, int], channels: int, filters: int, kernel: tuple[int, int], strides: tuple[int, int]
) -> None:
    layer, x = layer_of(channels, filters, [kernel], strides), noise(3, *extent, channels)
    expected = batch_norm_relu(same_conv(x, layer.kernels[0].numpy(), strides), *variables(layer))
    np.testing.assert_allclose(run(layer, x), expected, **TOLERANCE)
    assert (expected > 0).mean() > 0.2  # ReLU left something to compare


@pytest.mark.parametrize(("extent", "channels", "filters", "kernel", "strides"), SHAPES)
def test_training_normalises_by_the_batch_and_moves_the_statistics(
    extent: tuple[int, int], channels: int, filters: int, kernel: tuple[int, int], strides: tuple[int, int]
) -> None:
    layer, x = layer_of(channels, filters, [kernel], strides), noise(4, *extent, channels)
    gamma, beta, mean, variance = variables(layer)
    z = same_conv(x, layer.kernels[0].numpy(), strides)
    batch_mean, batch_variance, count = z.mean((0, 1, 2)), z.var((0, 1, 2)), z[..., 0].size
    expected = batch_norm_relu(z, gamma, beta, batch_mean, batch_variance)
    np.testing.assert_allclose(run(layer, x, training=True), expected, **TOLERANCE)
    _, _, new_mean, new_variance = variables(layer)
    np.testing.assert_allclose(new_mean, 0.9 * mean + 0.1 * batch_mean, **TOLERANCE)
    # The fused kernel reports the unbiased variance, n/(n - 1) of the batch's own.
    unbiased = batch_variance * count / (count - 1)
    np.testing.assert_allclose(new_variance, 0.9 * variance + 0.1 * unbiased, **TOLERANCE)


@pytest.mark.parametrize("extent", [(16, 3), (17, 3), (6, 1), (5, 2)])
@pytest.mark.parametrize("strides", [(2, 1), (1, 1)])
@pytest.mark.parametrize("choice", [0, 1, 2])
def test_the_chosen_kernel_folded_is_that_kernel_alone(
    extent: tuple[int, int], strides: tuple[int, int], choice: int
) -> None:
    """The pitfall: SAME padding depends on kernel, stride and extent; a zero-padded kernel must not shift."""
    kernels = [(3, 1), (5, 1), (7, 1)]
    layer, x = layer_of(2, 4, kernels, strides), noise(2, *extent, 2)
    expected = batch_norm_relu(same_conv(x, layer.kernels[choice].numpy(), strides), *variables(layer))
    np.testing.assert_allclose(run(layer, x, None, np.eye(3)[choice]), expected, **TOLERANCE)


def test_a_soft_kernel_gate_mixes_before_batch_norm() -> None:
    layer, x, gate = layer_of(2, 4, [(3, 1), (7, 1)], (2, 1)), noise(2, 16, 3, 2), np.array([0.3, 0.7])
    z = sum(g * same_conv(x, k.numpy(), (2, 1)) for g, k in zip(gate, layer.kernels, strict=True))
    np.testing.assert_allclose(run(layer, x, None, gate), batch_norm_relu(z, *variables(layer)), **TOLERANCE)


@pytest.mark.parametrize("training", [False, True])
def test_masked_filters_are_exactly_zero(training: bool) -> None:
    """β > 0 in every filter: added after the mask, it would leak."""
    layer = layer_of(3, 8, [(3, 1)])
    layer.beta.assign(np.full(8, 5.0))
    mask = np.array([1.0] * 3 + [0.0] * 5)
    found = run(layer, noise(2, 9, 4, 3), mask, training=training)
    assert (found[..., 3:] == 0).all()
    assert (found[..., :3] > 0).any()


def test_a_soft_scale_multiplies_the_output() -> None:
    layer, x, scale = layer_of(3, 4, [(3, 1)]), noise(2, 9, 4, 3), np.array([1.0, 0.6, 0.25, 0.0])
    np.testing.assert_allclose(run(layer, x, scale), run(layer, x) * scale, **TOLERANCE)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kernels", [[(3, 1)], [(3, 1), (5, 1)]])
def test_sliced_is_call_with_a_prefix_mask(training: bool, kernels: list[tuple[int, int]]) -> None:
    """On 3 of 4 input and 5 of 8 output filters; statistics move alike where filters are computed."""
    gate = None if len(kernels) == 1 else np.eye(len(kernels))[-1]
    masked, sliced = layer_of(4, 8, kernels, (2, 1)), layer_of(4, 8, kernels, (2, 1))
    before = variables(sliced)
    x = noise(3, 11, 2, 4)
    x[..., 3:] = 0.0
    expected = run(masked, x, np.array([1.0] * 5 + [0.0] * 3), gate, training=training)
    found = run(sliced, x[..., :3], 5, gate, method="sliced", training=training)
    np.testing.assert_allclose(found, expected[..., :5], **TOLERANCE)
    for old, one, other in zip(before, variables(masked), variables(sliced), strict=True):
        np.testing.assert_allclose(other[:5], one[:5], **TOLERANCE)
        np.testing.assert_array_equal(other[5:], old[5:])


def test_the_scale_has_the_gradient_of_the_output() -> None:
    """∂ Σ out·v / ∂ scale_f = Σ relu(BN(conv))_f · v_f: BatchNorm does not cancel it."""
    layer, x = layer_of(3, 4, [(3, 1)]), noise(2, 9, 4, 3)
    scale, v = tf.constant([1.0, 0.7, 0.4, 0.1]), noise(2, 9, 4, 4, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(scale)
        value = tf.reduce_sum(layer(tf.constant(x, tf.float32), scale, training=True) * v.astype("float32"))
    unscaled = run(layer, x, training=True)
    np.testing.assert_allclose(tape.gradient(value, scale).numpy(), (unscaled * v).sum((0, 1, 2)), rtol=1e-3)


def test_several_kernels_need_a_gate() -> None:
    with pytest.raises(SpaceError, match="needs a kernel gate"):
        run(layer_of(1, 2, [(3, 1), (5, 1)]), noise(1, 8, 1, 1))


def test_kernels_without_a_common_centre_are_refused() -> None:
    with pytest.raises(SpaceError, match="differ by even numbers"):
        DynamicConv2D(4, [(3, 1), (4, 1)])


def test_config_survives_json() -> None:
    layer = DynamicConv2D(6, [(3, 1), (5, 1)], (2, 1), name="conv")
    back = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(layer))))
    assert back.get_config() == layer.get_config()
    assert back.kernel_sizes == ((3, 1), (5, 1))


def test_a_saved_model_with_the_layer_predicts_alike(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((9, 4, 3)), DynamicConv2D(5, [(3, 1)], (2, 1))])
    scatter(model, 1)
    x = noise(2, 9, 4, 3).astype("float32")
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(back(x).numpy(), model(x).numpy())
