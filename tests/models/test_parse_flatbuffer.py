"""Refusals of the flatbuffer reader; its round trip with the converter is in tests/quantize."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from micronas_tf.cost import arena_head_bytes
from micronas_tf.errors import ModelError
from micronas_tf.models.flatbuffer import load_network, network_from_flatbuffer
from micronas_tf.ops import OpSpec
from micronas_tf.quantize.runtimes import operator_names, tflm_arena


def converted(function: Callable[[Any], Any], shape: tuple[int, ...], *, int8: bool = True) -> bytes:
    """A .tflite file of a TensorFlow function, without the product's own converter."""
    spec = tf.TensorSpec([1, *shape], tf.float32)
    holder = tf.Module()
    concrete = tf.function(function).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    if int8:
        samples = np.random.default_rng(0).normal(size=(8, 1, *shape)).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def test_operators_of_a_foreign_model_are_read_with_their_settings() -> None:
    rng = np.random.default_rng(1)
    kernel = tf.constant(rng.normal(size=(3, 3, 4, 1)), tf.float32)
    dense = tf.constant(rng.normal(size=(16, 5)), tf.float32)

    def function(x: Any) -> Any:
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, kernel, [1, 2, 2, 1], "VALID"))
        x = tf.nn.avg_pool2d(tf.nn.max_pool2d(x, (2, 1), (2, 1), "SAME"), (1, 2), (1, 1), "SAME")
        return tf.nn.softmax(tf.matmul(tf.reshape(x, [1, 16]), dense))

    network = network_from_flatbuffer(converted(function, (9, 6, 4)))
    assert network.input_shape == (9, 6, 4)
    assert [node.op for node in network.nodes] == [
        OpSpec("depthwise_conv2d", ((9, 6, 4),), (4, 2, 4), (3, 3), (2, 2), "valid", "relu"),
        OpSpec("max_pool2d", ((4, 2, 4),), (2, 2, 4), (2, 1), (2, 1)),
        OpSpec("average_pool2d", ((2, 2, 4),), (2, 2, 4), (1, 2), (1, 1)),
        OpSpec("fully_connected", ((2, 2, 4),), (1, 1, 5)),
        OpSpec("softmax", ((1, 1, 5),), (1, 1, 5)),
    ]


def test_unknown_operators_are_named_with_their_positions() -> None:
    def function(x: Any) -> Any:
        x = tf.image.resize(tf.nn.max_pool2d(x, 2, 2, "SAME"), (8, 8), "bilinear")
        return tf.image.resize(x, (4, 4), "nearest")

    message = (
        r"has the operators CONV_2D, DEPTHWISE_CONV_2D, ADD.* "
        r"Received others: RESIZE_BILINEAR at position 1, RESIZE_NEAREST_NEIGHBOR at position 2"
    )
    with pytest.raises(ModelError, match=message):
        network_from_flatbuffer(converted(function, (8, 8, 2)))


def test_a_convolution_in_groups_is_refused() -> None:
    """Its weights have fewer channels than its input: counted as a whole one, it would have too many MACs."""
    kernel = tf.constant(np.random.default_rng(1).normal(size=(3, 3, 2, 8)), tf.float32)
    data = converted(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"), (8, 8, 4))
    with pytest.raises(ModelError, match=r"CONV_2D at position 0: .* Received: groups of 2 of 4"):
        network_from_flatbuffer(data)


def test_float_models_are_refused_with_the_remedy() -> None:
    model = converted(lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME"), (8, 8, 2), int8=False)
    with pytest.raises(ModelError, match=r"must be int8.*full-integer quantisation"):
        network_from_flatbuffer(model)


def test_an_operand_that_is_a_constant_is_refused() -> None:
    constant = tf.constant(np.linspace(-1, 1, 128).reshape(1, 8, 8, 2), tf.float32)
    with pytest.raises(ModelError, match="ADD at position 0 reads a constant"):
        network_from_flatbuffer(converted(lambda x: x + constant, (8, 8, 2)))


@pytest.mark.parametrize("data", [b"", b"not a model at all", b"\x1c\x00\x00\x00TFL3\xff\xff\xff\xff"])
def test_what_is_no_flatbuffer_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        network_from_flatbuffer(data)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No file"):
        load_network(tmp_path / "absent.tflite")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    for data, message in (
        (b"nothing of the kind", "holds 'TFL3' at byte 4"),
        (b"\x10\0\0\0TFL3" + b"\xff" * 40, "damaged"),
    ):
        broken.write_bytes(data)
        with pytest.raises(ModelError, match=rf"{re.escape(str(broken))}: .*{message}"):
            load_network(broken)


@pytest.mark.parametrize("pooled", [False, True])
def test_the_copy_of_a_reshape_is_in_the_arena(pooled: bool) -> None:
    """TFLM itself is the oracle: it copies what is flattened, and holds both meanwhile."""
    rng = np.random.default_rng(1)
    kernel = tf.constant(rng.normal(size=(5, 1, 1, 8)), tf.float32)
    dense = tf.constant(rng.normal(size=(32 if pooled else 256, 4)), tf.float32)

    def function(x: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, [1, 2, 1, 1], "SAME"))
        x = tf.nn.max_pool2d(x, (8, 1), (8, 1), "SAME") if pooled else x
        return tf.matmul(tf.reshape(x, [1, -1]), dense)

    flatbuffer = converted(function, (32, 2, 1))
    network = network_from_flatbuffer(flatbuffer)
    assert "RESHAPE" in operator_names(flatbuffer)
    assert arena_head_bytes(network) == tflm_arena(flatbuffer).head_bytes == (320 if pooled else 512)
