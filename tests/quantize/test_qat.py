"""Quantisation-aware training: it learns, starts from calibrated ranges, and repeats with its seed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
from numpy.typing import NDArray

from micronas_tf.cost.memory import arena_head_bytes
from micronas_tf.errors import ModelError
from micronas_tf.models.build import build_model
from micronas_tf.ops import Network, Node, OpSpec
from micronas_tf.quantize.convert import twin_of
from micronas_tf.quantize.ptq import quantise_ptq
from micronas_tf.quantize.qat import QatRecipe, calibrate, quantise_qat, train_qat
from micronas_tf.quantize.runtimes import operator_names, predict_litert, tflm_arena
from micronas_tf.space import build_space, lower

SHAPE = (16, 5, 1)


def waves(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Three classes of noisy sines that differ in frequency; phase and sensor gains are random."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=count)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    angle = 2 * np.pi * (1 + 2 * y[:, None, None]) * np.arange(16)[None, :, None] / 16
    x = rng.uniform(0.5, 1.5, (count, 1, 5)) * np.sin(angle + phase) + rng.normal(0, 0.2, (count, 16, 5))
    return x[..., None].astype(np.float32), y


def small_network() -> Network:
    space = build_space(*SHAPE[:2], 3)
    choices = {group.name: group.choices[0] for group in space.groups}
    choices |= {name: 1 for name in choices if name.endswith("identity")}
    return lower(space, choices | {f"fusion0.0.{branch}": 1 for branch in ("skip", "conv3", "conv5")})


@pytest.fixture(scope="module")
def trained() -> tuple[Network, Any]:
    keras.utils.set_random_seed(0)
    network = small_network()
    model = build_model(network)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", jit_compile=False)
    x, y = waves(512, 0)
    model.fit(x, y, batch_size=32, epochs=8, verbose=0)
    return network, model


def batches(seed: int = 0) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(waves(512, seed)).batch(32)


def accuracy(flatbuffer: bytes) -> float:
    x, y = waves(200, 99)
    return float((predict_litert(flatbuffer, x).argmax(axis=1) == y).mean())


def float_accuracy(model: Any) -> float:
    x, y = waves(200, 99)
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())


def test_the_float_model_has_learnt(trained: tuple[Network, Any]) -> None:
    assert float_accuracy(trained[1]) > 0.9


def test_calibrated_ranges_are_those_of_the_float_activations(trained: tuple[Network, Any]) -> None:
    network, model = trained
    twin = twin_of(network, model)
    quantised = tfmot.quantization.keras.quantize_model(twin)
    x, _ = waves(300, 1)
    calibrate(quantised, twin, x)
    found: dict[str, tuple[float, float]] = {}
    for layer in quantised.layers:
        wrapped = getattr(layer, "layer", None)
        weights = {weight.name.split("/")[-1]: weight.numpy() for weight in layer.weights}
        if wrapped is not None and "output_max:0" in weights:
            found[wrapped.name] = (weights["output_min:0"], weights["output_max:0"])
        if "kernel_max:0" in weights:
            np.testing.assert_array_equal(weights["kernel_max:0"], np.abs(weights["kernel:0"]).max(axis=(0, 1, 2)))
            np.testing.assert_array_equal(weights["kernel_min:0"], -weights["kernel_max:0"])
    assert len(found) >= 6
    outputs = [model.get_layer(name).output for name in found]
    for (low, high), values in zip(found.values(), keras.Model(model.input, outputs)(x), strict=True):
        assert low == pytest.approx(min(float(np.min(values)), 0.0), abs=1e-5)
        assert high == pytest.approx(float(np.max(values)), rel=1e-5)


def test_the_input_is_calibrated_in_every_model_of_a_process() -> None:
    """TF-MOT's input layer is `quantize_layer` in the first model, `quantize_layer_1` in the second."""
    conv = Node("a/conv", OpSpec("conv2d", (SHAPE,), (16, 5, 2)), (0,), 1)
    mean = Node("a/mean", OpSpec("mean", ((16, 5, 2),), (1, 1, 2)), (1,), 2)
    twin = twin_of(Network(SHAPE, (conv, mean)))
    x, _ = waves(64, 1)
    for _ in range(2):
        quantised = tfmot.quantization.keras.quantize_model(twin)
        calibrate(quantised, twin, x)
        low, high = quantised.layers[1].weights[:2]
        assert (float(low), float(high)) == pytest.approx((float(x.min()), float(x.max())))


def test_calibration_alone_keeps_the_accuracy_and_so_does_ptq(trained: tuple[Network, Any]) -> None:
    network, model = trained
    x, _ = waves(256, 2)
    calibrated = quantise_qat(network, model, batches(), x, recipe=QatRecipe(steps=0))
    # 200 windows: one step of accuracy is 0.5 %; int8 noise moves a few windows near a border.
    assert accuracy(calibrated) >= float_accuracy(model) - 0.03
    assert accuracy(quantise_ptq(network, model, x)) >= float_accuracy(model) - 0.03


def test_fine_tuning_is_clean_and_leaves_the_model_alone(trained: tuple[Network, Any]) -> None:
    network, model = trained
    before = model.get_weights()
    x, _ = waves(256, 2)
    heard: list[tuple[str, int, int]] = []
    flatbuffer = quantise_qat(
        network,
        model,
        batches(),
        x,
        recipe=QatRecipe(steps=20),
        progress=lambda stage, done, total, figures: heard.append((stage, done, total)),
    )
    assert set(operator_names(flatbuffer)) == {"CONV_2D", "ADD", "MEAN", "SOFTMAX"}
    assert tflm_arena(flatbuffer).head_bytes == arena_head_bytes(network)
    assert accuracy(flatbuffer) >= float_accuracy(model) - 0.03
    assert heard == [("quantising", step, 20) for step in range(21)]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_fine_tuning_repeats_with_its_seed(trained: tuple[Network, Any]) -> None:
    network, model = trained
    x, _ = waves(256, 2)
    runs = [quantise_qat(network, model, batches(), x, recipe=QatRecipe(steps=20), seed=3) for _ in range(2)]
    assert runs[0] == runs[1]


def test_training_from_scratch_under_quantisation_learns() -> None:
    x, _ = waves(256, 2)
    recipe = QatRecipe(steps=150, learning_rate=1e-2, warmup=0.05)
    assert accuracy(train_qat(small_network(), batches(), x, recipe=recipe, seed=0)) > 0.85


@pytest.mark.parametrize("fields", [{"steps": -1}, {"learning_rate": 0.0}, {"warmup": 1.0}])
def test_recipe_refuses_what_makes_no_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="QAT takes"):
        QatRecipe(**fields)
