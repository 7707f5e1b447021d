"""Operators, nodes and networks: the values that every other room reads.

An `OpSpec` is one operator with its shapes and *is* the key of a lookup table. A `Network` is a flat
list of nodes in execution order; the plain Keras model, the MACs, the arena plan, the latency sum, the
characterisation grid, the C code and the report are all derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from micronas_tf.errors import ModelError

Shape: TypeAlias = tuple[int, int, int]
"""(time, sensors, filters); the batch axis is left out everywhere."""

Pair: TypeAlias = tuple[int, int]
"""A figure for (time, sensors): a kernel, a stride, an extent."""

OpKind: TypeAlias = Literal[
    "conv2d",
    "depthwise_conv2d",
    "add",
    "mean",
    "average_pool2d",
    "max_pool2d",
    "fully_connected",
    "softmax",
]
Padding: TypeAlias = Literal["same", "valid"]
Activation: TypeAlias = Literal["linear", "relu"]

KINDS: Final[tuple[OpKind, ...]] = get_args(OpKind)
NETWORK_SCHEMA: Final = 1

MOST_EXTENT: Final = 2**15 - 1
"""Of each axis of a tensor: the firmware's kernels hold extents as int16."""

BATCH_NORM_MOMENTUM: Final = 0.9
"""Of the BatchNorm behind an operator, in the supernet as in a plain model: weights are copied from one to the other.
Keras' default of 0.99 lags behind on small data sets: few steps an epoch."""

BATCH_NORM_EPSILON: Final = 2e-5
"""Keras' default of 1e-3 is not small beside the variance that the initial kernels give; TensorFlow's kernels take no
less than 1.001e-5."""

_WINDOWED: Final = frozenset({"conv2d", "depthwise_conv2d", "average_pool2d", "max_pool2d"})


def output_extent(extent: int, kernel: int, stride: int, padding: Padding) -> int:
    """Length of one axis after a windowed operator (TensorFlow's SAME and VALID rules)."""
    covered = extent if padding == "same" else extent - kernel + 1
    return -(-covered // stride)


@dataclass(frozen=True, slots=True, order=True)
class OpSpec:
    """One operator with its shapes; hashable, ordered, and the key of every lookup table.

    Attributes:
        kind: the operator, named as in TFLite (lower case).
        inputs: activation inputs, each (time, sensors, filters); weights are implied by the shapes.
        output: (time, sensors, filters).
        kernel: (time, sensors); (1, 1) where the operator has none.
        strides: (time, sensors); (1, 1) where the operator has none.
        padding: how windowed operators treat the border.
        activation: fused activation function.

    Raises:
        ModelError: the shapes contradict the kind.
    """

    kind: OpKind
    inputs: tuple[Shape, ...]
    output: Shape
    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    padding: Padding = "same"
    activation: Activation = "linear"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(f"Unknown operator kind {self.kind!r}. Known: {', '.join(KINDS)}.")
        arity = 2 if self.kind == "add" else 1
        if len(self.inputs) != arity:
            raise ModelError(f"{self.kind} takes {arity} input(s). Received: {len(self.inputs)}.")
        for shape in (*self.inputs, self.output):
            if len(shape) != 3 or min(shape) < 1:
                raise ModelError(f"{self}: a shape is (time, sensors, filters), each at least 1. Received: {shape}.")
        self._check_window()
        expected = self._expected_output()
        if self.output != expected:
            raise ModelError(f"{self}: the output shape must be {expected}. Received: {self.output}.")

    def _check_window(self) -> None:
        """One operator has one key: what a kind does not have stays at its default."""
        if min(*self.kernel, *self.strides) < 1:
            raise ModelError(f"Kernels and strides are at least 1. Received: {self.kernel}, {self.strides}.")
        if self.kind not in _WINDOWED and (self.kernel, self.strides, self.padding) != ((1, 1), (1, 1), "same"):
            raise ModelError(f"{self.kind} has no kernel, strides or padding. Received: {self.kernel}, {self.strides}.")
        if self.padding not in get_args(Padding) or self.activation not in get_args(Activation):
            raise ModelError(
                f"Padding is one of {get_args(Padding)} and activation one of {get_args(Activation)}. "
                f"Received: {self.padding!r}, {self.activation!r}."
            )

    def _expected_output(self) -> Shape:
        source, filters = self.inputs[0], self.output[2]
        if self.kind in _WINDOWED:
            time, sensors = (
                output_extent(source[axis], self.kernel[axis], self.strides[axis], self.padding) for axis in (0, 1)
            )
            return (time, sensors, filters if self.kind == "conv2d" else source[2])
        if self.kind == "mean":
            return (1, 1, source[2])
        if self.kind == "fully_connected":
            return (1, 1, filters)
        if self.kind == "add" and self.inputs[1] != source:
            raise ModelError(f"{self}: both inputs of an add have one shape. Received: {self.inputs}.")
        return source

    def __str__(self) -> str:
        shapes = "+".join(_shape_text(shape) for shape in self.inputs)
        text = f"{self.kind} {shapes}->{_shape_text(self.output)}"
        if self.kind not in _WINDOWED:
            return text
        (kt, ks), (st, ss) = self.kernel, self.strides
        return f"{text} k({kt},{ks}) s({st},{ss}) {self.padding} {self.activation}"


def _shape_text(shape: Shape) -> str:
    return "(" + ",".join(map(str, shape)) + ")"


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a network: `op` reads the tensors `inputs` and writes the tensor `output`."""

    name: str
    op: OpSpec
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True, slots=True)
class Network:
    """A straight-line program over tensors: tensor 0 is the input, node k writes tensor k + 1.

    Attributes:
        input_shape: (time, sensors, filters) of tensor 0.
        nodes: in execution order; the last one's output is the network's output.

    Raises:
        ModelError: a node reads a tensor that is not there yet, or of another shape.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ModelError("A network has at least one node. Received: none.")
        tensors = [self.input_shape]
        for position, node in enumerate(self.nodes, 1):
            if any(node.name == other.name for other in self.nodes[: position - 1]):
                raise ModelError(f"Node names are unique. Received {node.name!r} twice.")
            if node.output != position:
                raise ModelError(f"Node {node.name!r} must write tensor {position}. Received: {node.output}.")
            if any(not 0 <= tensor < position for tensor in node.inputs):
                raise ModelError(f"Node {node.name!r} reads a tensor not yet written. Received: {node.inputs}.")
            read = tuple(tensors[tensor] for tensor in node.inputs)
            if read != node.op.inputs:
                raise ModelError(f"Node {node.name!r} expects inputs {node.op.inputs}. Received: {read}.")
            tensors.append(node.op.output)

    @property
    def tensors(self) -> tuple[Shape, ...]:
        """Shape of every tensor, by id."""
        return (self.input_shape, *(node.op.output for node in self.nodes))

    @property
    def output_shape(self) -> Shape:
        return self.nodes[-1].op.output

    def to_json(self) -> dict[str, Any]:
        """A JSON object with a schema version; `from_json` gives back an equal network."""
        return {
            "schema": NETWORK_SCHEMA,
            "input_shape": list(self.input_shape),
            "nodes": [
                {
                    "name": node.name,
                    "inputs": list(node.inputs),
                    "output": node.output,
                    "kind": node.op.kind,
                    "input_shapes": [list(shape) for shape in node.op.inputs],
                    "output_shape": list(node.op.output),
                    "kernel": list(node.op.kernel),
                    "strides": list(node.op.strides),
                    "padding": node.op.padding,
                    "activation": node.op.activation,
                }
                for node in self.nodes
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Network:
        if data.get("schema") != NETWORK_SCHEMA:
            raise ModelError(f"A network file has schema {NETWORK_SCHEMA}. Received: {data.get('schema')!r}.")
        try:
            return cls(_triple(data["input_shape"]), tuple(map(_node, data["nodes"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"A network file is malformed: {error!r}. See docs/file-formats.md.") from error


def _node(item: dict[str, Any]) -> Node:
    op = OpSpec(
        kind=item["kind"],
        inputs=tuple(map(_triple, item["input_shapes"])),
        output=_triple(item["output_shape"]),
        kernel=_pair(item["kernel"]),
        strides=_pair(item["strides"]),
        padding=item["padding"],
        activation=item["activation"],
    )
    return Node(item["name"], op, tuple(item["inputs"]), item["output"])


def _triple(values: list[int]) -> Shape:
    time, sensors, filters = values
    return (time, sensors, filters)


def _pair(values: list[int]) -> Pair:
    time, sensors = values
    return (time, sensors)
