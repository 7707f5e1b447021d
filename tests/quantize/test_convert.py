"""Random architectures through the converter: clean operators, exact arena, equal runtimes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from micronas_tf.cost.memory import arena_head_bytes
from micronas_tf.errors import ModelError
from micronas_tf.models.build import build_model
from micronas_tf.models.flatbuffer import network_from_flatbuffer
from micronas_tf.ops import Network
from micronas_tf.quantize.convert import float_flatbuffer, to_flatbuffer, twin_of
from micronas_tf.quantize.ptq import quantise_ptq
from micronas_tf.quantize.runtimes import operator_names, predict_litert, predict_tflm, tflm_arena
from micronas_tf.space import build_space, lower, random_architecture

CLEAN = {"CONV_2D", "ADD", "MEAN", "SOFTMAX"}
WINDOWS = ((128, 9, 6), (64, 30, 10), (51, 24, 6), (30, 6, 4), (20, 1, 3))


def random_network(seed: int) -> Network:
    window, sensors, classes = WINDOWS[seed % len(WINDOWS)]
    space = build_space(window, sensors, classes)
    return lower(space, random_architecture(space, np.random.default_rng(seed)))


def check(seed: int) -> None:
    network = random_network(seed)
    x = np.random.default_rng(seed).normal(size=(6, *network.input_shape)).astype(np.float32)
    flatbuffer = quantise_ptq(network, build_model(network), x)
    assert set(operator_names(flatbuffer)) <= CLEAN
    assert network_from_flatbuffer(flatbuffer) == network
    assert tflm_arena(flatbuffer).head_bytes == arena_head_bytes(network)
    np.testing.assert_array_equal(predict_litert(flatbuffer, x), predict_tflm(flatbuffer, x))


@pytest.mark.parametrize("seed", range(6))
def test_random_architecture_converts_cleanly_and_needs_the_planned_arena(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 200))
def test_hundred_random_architectures(seed: int) -> None:
    keras.backend.clear_session()
    check(seed)


def test_the_twin_computes_what_the_keras_3_model_computes() -> None:
    network = random_network(0)
    model = build_model(network)
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            rng.uniform(0.5, 2.0, weight.shape) if "variance" in weight.path else rng.normal(0, 0.3, weight.shape)
            for weight in model.weights
        ]
    )
    x = rng.normal(size=(16, *network.input_shape)).astype(np.float32)
    twin = twin_of(network, model)
    for own, copied in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(own, copied)
    # Convolutions are equal to the last bit; the two Keras write BatchNormalization's formula differently.
    np.testing.assert_allclose(twin(x).numpy(), model(x).numpy(), atol=1e-6)


def test_the_float_flatbuffer_computes_what_the_model_computes() -> None:
    network = random_network(3)
    model = build_model(network)
    x = np.random.default_rng(2).normal(size=(4, *network.input_shape)).astype(np.float32)
    flatbuffer = float_flatbuffer(network, model)
    interpreter = Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    scores = []
    for window in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window[np.newaxis])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    # Probabilities of at most 1; LiteRT folds BatchNormalization into the convolutions.
    np.testing.assert_allclose(scores, model(x).numpy(), atol=1e-5)
    assert len(flatbuffer) > len(quantise_ptq(network, model, x))


def test_a_model_of_another_network_is_refused() -> None:
    one, other = random_network(3), random_network(8)
    x = np.zeros((1, *one.input_shape), np.float32)
    with pytest.raises(ModelError, match="converted model"):
        to_flatbuffer(other, twin_of(one), x)


def test_conversion_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    network = random_network(4)
    quantise_ptq(network, build_model(network), np.zeros((2, *network.input_shape), np.float32))
    assert capfd.readouterr() == ("", "")
