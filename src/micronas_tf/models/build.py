"""From a `Network` to a Keras model of stock layers.

The same builder serves Keras 3 and tf_keras: the caller hands over the layers and the model class, so this
room never imports tf_keras, and a saved model needs nothing of micronas-tf to load.

In training every convolution with a fused ReLU is Conv2D (no bias) → BatchNormalization → ReLU, which the
int8 model folds back into one operator; a linear one has a bias and stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import keras

from micronas_tf.errors import ModelError
from micronas_tf.ops import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, Network, Node

KERNEL_INITIALIZER: Final = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
}
"""U(-1/√fan_in, 1/√fan_in), as PyTorch initialises convolutions: less than Keras' own, so Adam's steps weigh more.
A configuration, because each Keras has initialisers of its own."""

_FLAT: Final = frozenset({"fully_connected", "softmax", "add"})
"""Operators that read [batch, filters] as well as [batch, 1, 1, filters]."""


def layer_name(node_name: str) -> str:
    """Name of the Keras layer that holds the weights of a node: Keras forbids "/", so "." takes its place.

    The layers that follow it in training are called `<name>_bn`, `<name>_relu` and `<name>_dropout`.
    """
    return node_name.replace("/", ".")


def cell_name(node_name: str) -> str:
    """The cell of a node: what stands before the last "/" of its name, for example `fusion0.1`."""
    return node_name.rpartition("/")[0]


def build_model(network: Network, layers: Any = keras.layers, model: Any = keras.Model, *, dropout: float = 0.0) -> Any:
    """The plain Keras model of a network, with fresh weights.

    Weights travel between two models of one network, of whichever Keras, by
    `set_weights(get_weights())`, and from a supernet by layer name (`layer_name`).

    Args:
        network: input (time, sensors, filters); its output must have the shape (1, 1, classes).
        layers: `keras.layers` or `tf_keras.layers`.
        model: `keras.Model` or `tf_keras.Model`, of the same package.
        dropout: share of the values that training drops on every edge from one cell to another.

    Returns:
        A functional model [batch, time, sensors, filters] → [batch, classes].

    Raises:
        ModelError: the network does not end in one value per class.
    """
    time, sensors, _ = network.output_shape
    if (time, sensors) != (1, 1):
        raise ModelError(f"A classifier's output shape is (1, 1, classes). Received: {network.output_shape}.")
    inputs = layers.Input(network.input_shape, name="window")
    builder = _Builder(network, layers, dropout, [inputs])
    for node in network.nodes:
        builder.add(node)
    outputs = builder.tensors[-1]
    if len(outputs.shape) != 2:
        outputs = layers.Flatten(name="flatten")(outputs)
    return model(inputs, outputs, name="micronas")


@dataclass
class _Builder:
    """Tensors so far, by id, and the dropped copies that cross from one cell to another."""

    network: Network
    layers: Any
    dropout: float
    tensors: list[Any]
    dropped: dict[int, Any] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        read = [self._read(tensor, node) for tensor in node.inputs]
        name, op = layer_name(node.name), node.op
        batch_norm = op.kind in ("conv2d", "depthwise_conv2d") and op.activation == "relu"
        output = self._layer(node, use_bias=not batch_norm)(read if op.kind == "add" else read[0])
        if batch_norm:
            normalise = self.layers.BatchNormalization(
                momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=f"{name}_bn"
            )
            output = normalise(output)
        if op.activation == "relu":
            output = self.layers.ReLU(name=f"{name}_relu")(output)
        self.tensors.append(output)

    def _read(self, tensor: int, node: Node) -> Any:
        value = self.tensors[tensor]
        if self.dropout and tensor > 0:
            value = self._dropped(tensor, node)
        if node.op.kind == "fully_connected" and len(value.shape) != 2:
            return self.layers.Flatten(name=f"{layer_name(node.name)}_flatten")(value)
        return value

    def _dropped(self, tensor: int, node: Node) -> Any:
        source = self.network.nodes[tensor - 1].name
        if cell_name(source) == cell_name(node.name):
            return self.tensors[tensor]
        if tensor not in self.dropped:
            layer = self.layers.Dropout(self.dropout, name=f"{layer_name(source)}_dropout")
            self.dropped[tensor] = layer(self.tensors[tensor])
        return self.dropped[tensor]

    def _layer(self, node: Node, *, use_bias: bool) -> Any:
        op, name, layers = node.op, layer_name(node.name), self.layers
        window = {"strides": op.strides, "padding": op.padding, "name": name}
        layer: Any
        match op.kind:
            case "conv2d":
                layer = layers.Conv2D(
                    op.output[2], op.kernel, use_bias=use_bias, kernel_initializer=KERNEL_INITIALIZER, **window
                )
            case "depthwise_conv2d":
                layer = layers.DepthwiseConv2D(op.kernel, use_bias=use_bias, **window)
            case "average_pool2d":
                layer = layers.AveragePooling2D(op.kernel, **window)
            case "max_pool2d":
                layer = layers.MaxPooling2D(op.kernel, **window)
            case "mean":
                layer = layers.GlobalAveragePooling2D(keepdims=self._keepdims(node), name=name)
            case "fully_connected":
                layer = layers.Dense(op.output[2], name=name)
            case "add":
                layer = layers.Add(name=name)
            case "softmax":
                layer = layers.Softmax(name=name)
        return layer

    def _keepdims(self, node: Node) -> bool:
        """Whether someone reads the mean as [batch, 1, 1, filters]; otherwise it is [batch, filters]."""
        return any(node.output in other.inputs and other.op.kind not in _FLAT for other in self.network.nodes)
