"""From a Keras model of known layers to a `Network`, as the int8 converter would see it.

BatchNormalization folds into the convolution or dense layer in front of it, ReLU into the operator in front
of it; Dropout and reshapes that change nothing vanish. The topology is read from `model.get_config()`, the
documented serialisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import keras

from micronas_tf.errors import ModelError
from micronas_tf.ops import Network, Node, OpKind, OpSpec, Shape

_KINDS: Final[dict[str, OpKind]] = {
    "Conv2D": "conv2d",
    "DepthwiseConv2D": "depthwise_conv2d",
    "Add": "add",
    "GlobalAveragePooling2D": "mean",
    "AveragePooling2D": "average_pool2d",
    "MaxPooling2D": "max_pool2d",
    "Dense": "fully_connected",
    "Softmax": "softmax",
}
_VANISHING: Final = ("Dropout", "SpatialDropout2D", "Flatten", "Reshape")
_KNOWN: Final = (*_KINDS, "BatchNormalization", "ReLU", "Activation", *_VANISHING)
_INPUT: Final = ""
_WEIGHTED: Final = frozenset({"conv2d", "depthwise_conv2d", "fully_connected"})
_CAN_FUSE: Final = _WEIGHTED | {"add"}
_PLAIN: Final[dict[str, tuple[object, ...]]] = {
    "data_format": ("channels_last",),
    "dilation_rate": ((1, 1), [1, 1], 1),
    "groups": (1,),
    "depth_multiplier": (1,),
}
"""Settings that an `OpSpec` has no place for, with the values that need none."""


def network_from_keras(model: Any) -> Network:
    """The network of a functional or sequential Keras 3 model; each node is called as its layer.

    The operators stand in depth-first order from the output, the inputs of a layer in the layer's order: a
    chain runs to its end before the next branch starts.

    Args:
        model: [batch, time, sensors, filters] → [batch, classes].

    Raises:
        ModelError: subclassed, 1-D, several inputs or outputs, or a layer outside the known ones.
    """
    return _Reader(model).network()


def load_keras_network(path: str | Path) -> Network:
    """The network of a saved Keras 3 model.

    Raises:
        ModelError: as `network_from_keras`, or the file cannot be loaded.
    """
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises ValueError, TypeError, OSError and more for a file it cannot load
        raise ModelError(f"Cannot load the Keras model {path}: {error}.") from error
    return network_from_keras(model)


def _input_shape(model: Any) -> Shape:
    if any(len(getattr(model, ends, None) or ()) != 1 for ends in ("inputs", "outputs")):
        raise ModelError("A known Keras model is functional or sequential, built, with one input and one output.")
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ModelError(
            f"A known Keras model reads [batch, time, sensors, filters]. Received: {model.inputs[0].shape}. "
            "Write a 1-D model with Conv2D and kernels (k, 1) on [time, channels, 1]."
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def _edges(model: Any) -> dict[str, tuple[str, ...]]:
    """Each layer's name with the names of the layers that it reads; `_INPUT` stands for the model's input."""
    config = model.get_config()
    if "output_layers" not in config:
        names = [layer.name for layer in model.layers]
        return {name: (source,) for source, name in pairwise([_INPUT, *names])}
    edges: dict[str, tuple[str, ...]] = {}
    for entry in config["layers"]:
        calls = entry["inbound_nodes"]
        if len(calls) > 1:
            raise ModelError(f"A known model calls each layer once. Received: {entry['name']!r}, {len(calls)} times.")
        edges[entry["name"]] = tuple(_histories(calls[0]["args"])) if calls else (_INPUT,)
    return edges


def _histories(value: Any) -> Iterator[str]:
    """Names of the layers behind the tensors of one serialised call, in order."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"][0]
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _histories(item)


class _Reader:
    """Depth-first walk from the output; `ids` maps each visited layer to the tensor that it ends in."""

    def __init__(self, model: Any) -> None:
        self.layers = {layer.name: layer for layer in model.layers}
        self.edges = _edges(model)
        self.shapes = [_input_shape(model)]
        self.nodes: list[Node] = []
        self.ids = {_INPUT: 0}
        self.shared: set[int] = set()

    def network(self) -> Network:
        order = list(self._order())
        for position, name in enumerate(order):
            self.ids[name] = self._visit(self.layers[name], position)
            if len(self._readers(name)) > 1:
                self.shared.add(self.ids[name])
        if self.ids[order[-1]] != len(self.nodes):
            raise ModelError("The last operator of a known model writes its output. Received: an earlier one does.")
        return Network(self.shapes[0], tuple(self.nodes))

    def _order(self) -> Iterator[str]:
        read = {source for sources in self.edges.values() for source in sources}
        stack = [(name, False) for name in self.edges if name not in read]
        seen = {_INPUT}
        while stack:
            name, expanded = stack.pop()
            if expanded:
                yield name
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack.extend((source, False) for source in reversed(self.edges[name]))

    def _readers(self, name: str) -> list[Any]:
        return [self.layers[reader] for reader, sources in self.edges.items() if name in sources]

    def _visit(self, layer: Any, position: int) -> int:
        kind = type(layer).__name__
        where = f"Layer {kind} {layer.name!r} at position {position}"
        read = tuple(self.ids[source] for source in self.edges[layer.name])
        if kind == "InputLayer":
            return 0
        if kind in _KINDS:
            return self._operator(layer, _KINDS[kind], read, where)
        if kind == "BatchNormalization":
            return self._fold_batch_norm(read[0], where)
        if kind in ("ReLU", "Activation"):
            return self._activation(layer.name, _activation_of(layer, where), read[0], where)
        if kind in _VANISHING:
            return self._vanish(layer, read[0], where)
        raise ModelError(f"{where} is not a known one. Known: {', '.join(_KNOWN)}.")

    def _operator(self, layer: Any, kind: OpKind, read: tuple[int, ...], where: str) -> int:
        config = layer.get_config()
        for name, plain in _PLAIN.items():
            if name in config and config[name] not in plain:
                raise ModelError(f"{where}: a known layer has {name} {plain[0]}. Received: {config[name]}.")
        inputs, output = tuple(self.shapes[tensor] for tensor in read), _shape(layer.output.shape, where)
        tensor = self._append(layer.name, _spec(kind, config, inputs, output), read)
        return self._activation(f"{layer.name}.activation", _activation_of(layer, where), tensor, where)

    def _append(self, name: str, op: OpSpec, read: tuple[int, ...]) -> int:
        self.nodes.append(Node(name, op, read, len(self.nodes) + 1))
        self.shapes.append(op.output)
        return len(self.nodes)

    def _fold_batch_norm(self, tensor: int, where: str) -> int:
        op = self.nodes[tensor - 1].op if tensor else None
        if op is None or op.kind not in _WEIGHTED or op.activation != "linear" or tensor in self.shared:
            raise ModelError(f"{where} cannot be folded: it must directly follow a convolution or dense layer.")
        return tensor

    def _activation(self, name: str, activation: str, tensor: int, where: str) -> int:
        if activation == "linear":
            return tensor
        if activation == "softmax":
            shape = self.shapes[tensor]
            return self._append(name, OpSpec("softmax", (shape,), shape), (tensor,))
        if not tensor or tensor in self.shared or self.nodes[tensor - 1].op.kind not in _CAN_FUSE:
            raise ModelError(f"{where}: a ReLU must be the only reader of a convolution, dense or add layer.")
        node = self.nodes[tensor - 1]
        self.nodes[tensor - 1] = replace(node, op=replace(node.op, activation="relu"))
        return tensor

    def _vanish(self, layer: Any, tensor: int, where: str) -> int:
        readers = self._readers(layer.name)
        flattens = bool(readers) and all(type(reader).__name__ == "Dense" for reader in readers)
        if not flattens and _shape(layer.output.shape, where) != self.shapes[tensor]:
            raise ModelError(f"{where} changes the shape of the data; a known model does so before Dense only.")
        return tensor


def _shape(dims: Sequence[int | None], where: str) -> Shape:
    """[batch, time, sensors, filters] and [batch, filters] as (time, sensors, filters)."""
    extents = [int(extent or 0) for extent in dims[1:]]
    if len(extents) not in (1, 3):
        raise ModelError(f"{where}: a known layer writes [batch, time, sensors, filters]. Received: {tuple(dims)}.")
    return (extents[0], extents[1], extents[2]) if len(extents) == 3 else (1, 1, extents[0])


def _spec(kind: OpKind, config: dict[str, Any], inputs: tuple[Shape, ...], output: Shape) -> OpSpec:
    if "strides" not in config:
        return OpSpec(kind, inputs, output)
    kernel, strides = config["kernel_size" if "kernel_size" in config else "pool_size"], config["strides"]
    return OpSpec(kind, inputs, output, tuple(kernel), tuple(strides), config["padding"])


def _activation_of(layer: Any, where: str) -> str:
    """`linear`, `relu` or `softmax`; ReLU capped at 6 is a relu, as in a flatbuffer."""
    config = layer.get_config()
    if type(layer).__name__ == "ReLU":
        if config["max_value"] not in (None, 6) or config["negative_slope"] or config["threshold"]:
            raise ModelError(f"{where}: a known ReLU has no slope, no threshold, and a maximum of 6 or none.")
        return "relu"
    activation = config.get("activation", "linear")
    activation = {"relu6": "relu", None: "linear"}.get(activation, activation)
    if activation not in ("linear", "relu", "softmax"):
        raise ModelError(f"{where}: a known activation is linear, relu or softmax. Received: {activation!r}.")
    return str(activation)
