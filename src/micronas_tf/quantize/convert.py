"""From a tf_keras model to the int8 flatbuffer of its network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from micronas_tf.errors import ModelError
from micronas_tf.models.build import build_model
from micronas_tf.ops import Network
from micronas_tf.quantize.arrange import arrange
from micronas_tf.quiet import captured_output


def twin_of(network: Network, model: Any = None) -> tf_keras.Model:
    """The tf_keras model of a network, with the weights of its Keras 3 model, or fresh ones.

    TF-MOT, and the calibration of the TFLite converter, accept tf_keras models only (docs/adr/0001).
    """
    twin = build_model(network, tf_keras.layers, tf_keras.Model)
    if model is not None:
        twin.set_weights(model.get_weights())
    return twin


def to_flatbuffer(network: Network, model: tf_keras.Model, samples: NDArray[np.float32] | None = None) -> bytes:
    """Convert with int8 input and output, in the order of the network.

    Args:
        network: what `model` computes.
        model: the twin, or its quantisation-aware version, whose graph already holds the ranges.
        samples: [n, time, sensors, filters], from which the converter takes the ranges of a plain twin.

    Returns:
        A .tflite file with batch size 1 whose operators and tensors are those of the network, in its order.

    Raises:
        ModelError: the converter failed, or left something besides the network's operators.
    """
    converter = _converter(network, model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    if samples is not None:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _one_by_one(samples)
    return arrange(_convert(converter), network)


def float_flatbuffer(network: Network, model: Any) -> bytes:
    """A Keras 3 model converted without quantising, to compare sizes: float32, in the converter's order.

    Raises:
        ModelError: the converter failed.
    """
    return _convert(_converter(network, twin_of(network, model)))


def _converter(network: Network, model: tf_keras.Model) -> tf.lite.TFLiteConverter:
    spec = tf.TensorSpec([1, *network.input_shape], tf.float32, name="window")
    with captured_output():
        function = tf.function(lambda window: model(window, training=False)).get_concrete_function(spec)
        # The converter saves what it is handed: bare variables take a fifth of the time of a whole Keras model.
        holder = tf.Module()
        holder.held = model.variables
        return tf.lite.TFLiteConverter.from_concrete_functions([function], holder)


def _convert(converter: tf.lite.TFLiteConverter) -> bytes:
    with captured_output() as log:
        try:
            converted: bytes | None = converter.convert()
        except Exception as error:  # the converter raises bare Exception, RuntimeError and its own ConverterError
            failure = error
            converted = None
    if converted is None:
        raise ModelError(f"The TFLite converter failed: {failure}. It wrote: {log.text[-2000:]}") from failure
    return converted


def _one_by_one(samples: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
    for window in samples:
        yield [window[np.newaxis]]
