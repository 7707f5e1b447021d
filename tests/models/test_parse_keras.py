"""Keras model → network: the inverse of `build_model`, and its refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from micronas_tf.errors import ModelError
from micronas_tf.models.build import build_model, layer_name
from micronas_tf.models.keras_model import network_from_keras
from micronas_tf.ops import Network, OpSpec
from micronas_tf.space import build_space, lower, random_architecture


@pytest.mark.parametrize(("window", "sensors", "dropout"), [(128, 9, 0.0), (64, 30, 0.2), (51, 24, 0.0), (30, 6, 0.1)])
def test_the_network_of_a_built_model_is_the_one_it_was_built_from(window: int, sensors: int, dropout: float) -> None:
    rng = np.random.default_rng(window)
    space = build_space(window, sensors, 6)
    for _ in range(3):
        network = lower(space, random_architecture(space, rng))
        renamed = tuple(replace(node, name=layer_name(node.name)) for node in network.nodes)
        model = build_model(network, dropout=dropout)
        assert network_from_keras(model) == Network(network.input_shape, renamed)


def test_a_sequential_model_folds_as_the_converter_does() -> None:
    model = keras.Sequential(
        [
            layers.Input((12, 4, 1)),
            layers.Conv2D(4, (3, 1), strides=(2, 1), padding="same"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.DepthwiseConv2D((3, 3), activation="relu"),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    assert [node.op for node in network_from_keras(model).nodes] == [
        OpSpec("conv2d", ((12, 4, 1),), (6, 4, 4), (3, 1), (2, 1), "same", "relu"),
        OpSpec("depthwise_conv2d", ((6, 4, 4),), (4, 2, 4), (3, 3), (1, 1), "valid", "relu"),
        OpSpec("fully_connected", ((4, 2, 4),), (1, 1, 5)),
        OpSpec("softmax", ((1, 1, 5),), (1, 1, 5)),
    ]


def chain(*stack: Any, shape: tuple[int, ...] = (12, 4, 2)) -> keras.Model:
    return keras.Sequential([layers.Input(shape), *stack])


def branched() -> keras.Model:
    inputs = layers.Input((12, 4, 2))
    x = layers.Conv2D(2, 1)(inputs)
    return keras.Model(inputs, layers.Add()([layers.ReLU()(x), x]))


def three_way_add() -> keras.Model:
    inputs = layers.Input((12, 4, 2))
    return keras.Model(inputs, layers.Add()([layers.Conv2D(2, 1)(inputs) for _ in range(3)]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: chain(layers.UpSampling2D()), r"UpSampling2D '.*' at position 0 is not a known one. Known: Conv2D"),
        (lambda: chain(layers.Conv1D(4, 3), shape=(12, 4)), r"Conv2D and kernels \(k, 1\)"),
        (lambda: chain(layers.Conv2D(4, (3, 1), dilation_rate=2)), r"dilation_rate \(1, 1\)"),
        (lambda: chain(layers.Conv2D(4, 1, activation="tanh")), r"linear, relu or softmax. Received: 'tanh'"),
        (lambda: chain(layers.MaxPooling2D(), layers.BatchNormalization()), "cannot be folded"),
        (lambda: chain(layers.MaxPooling2D(), layers.ReLU()), "only reader"),
        (lambda: chain(layers.Conv2D(4, 1), layers.ReLU(negative_slope=0.1)), "no slope"),
        (lambda: chain(layers.Reshape((4, 12, 2))), "changes the shape"),
        (branched, "only reader"),
        (three_way_add, r"add takes 2 input\(s\)"),
    ],
)
def test_what_is_not_known_is_named(build: Callable[[], keras.Model], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        network_from_keras(build())
