"""From an int8 .tflite file to a `Network`, without TensorFlow: LiteRT's schema is enough.

Source of the format: tensorflow/lite/schema/schema.fbs; operator semantics:
https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ai_edge_litert import schema_py_generated as schema

from micronas_tf.errors import ModelError
from micronas_tf.ops import Activation, Network, Node, OpKind, OpSpec, Padding, Pair, Shape

_KINDS: Final[dict[str, OpKind]] = {
    "CONV_2D": "conv2d",
    "DEPTHWISE_CONV_2D": "depthwise_conv2d",
    "ADD": "add",
    "MEAN": "mean",
    "AVERAGE_POOL_2D": "average_pool2d",
    "MAX_POOL_2D": "max_pool2d",
    "FULLY_CONNECTED": "fully_connected",
    "SOFTMAX": "softmax",
}
_PADDINGS: Final[dict[int, Padding]] = {schema.Padding.SAME: "same", schema.Padding.VALID: "valid"}
_ACTIVATIONS: Final[dict[int, Activation]] = {
    schema.ActivationFunctionType.NONE: "linear",
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu",
}
_OPERATOR_NAMES: Final = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


def network_from_flatbuffer(data: bytes) -> Network:
    """The network of an int8 .tflite file; each node is called as the tensor that it writes.

    A RESHAPE that changes nothing but the rank, and one in front of a FULLY_CONNECTED, is left out. RELU6
    becomes relu: in int8 both are one clamp and cost the same.

    Raises:
        ModelError: no flatbuffer, not int8, several inputs or outputs, or an operator outside the known ones.
    """
    return _Reader(read_flatbuffer(data)).network()


def read_flatbuffer(data: bytes) -> Any:
    """The schema's object tree (`ModelT`) of a .tflite file with one subgraph.

    Raises:
        ModelError: not a .tflite file, or one with several subgraphs.
    """
    if data[4:8] != b"TFL3":
        raise ModelError(
            f"A .tflite file holds 'TFL3' at byte 4. Received: {bytes(data[4:8])!r}. Is this a TFLite model?"
        )
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    except Exception as error:  # the generated reader has no error of its own for a damaged file
        raise ModelError(f"The .tflite file is damaged ({error}). Convert the model again.") from error
    if len(model.subgraphs or ()) != 1:
        raise ModelError(f"A known model has one subgraph. Received: {len(model.subgraphs or ())}.")
    return model


def load_network(path: str | Path) -> Network:
    """The network of a .tflite file on disk.

    Raises:
        ModelError: as `network_from_flatbuffer`, or the file cannot be read; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"No file {path}. Give the path of an int8 .tflite model.")
    try:
        return network_from_flatbuffer(path.read_bytes())
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror}.") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def operator_name(model: Any, operator: Any) -> str:
    """Name of a flatbuffer's operator as the schema spells it, for example `CONV_2D`."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Codes up to 127 stand in the old 8-bit field; later ones only in the new field (schema version 3a).
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return str(_OPERATOR_NAMES.get(number, number))


class _Reader:
    """One pass over the operators; `ids` maps the flatbuffer's tensors to the network's."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.graph = model.subgraphs[0]
        if len(self.graph.inputs) != 1 or len(self.graph.outputs) != 1:
            counts = f"{len(self.graph.inputs)} and {len(self.graph.outputs)}"
            raise ModelError(f"A known model has one input and one output. Received: {counts}.")
        self.ids: dict[int, int] = {int(self.graph.inputs[0]): 0}
        self.nodes: list[Node] = []

    def network(self) -> Network:
        self._check_known()
        for position, operator in enumerate(self.graph.operators):
            self._add(position, operator)
        if self.ids.get(int(self.graph.outputs[0])) != len(self.nodes):
            raise ModelError("The last operator of a known model writes its output. Received: an earlier one does.")
        return Network(self._shape(int(self.graph.inputs[0])), tuple(self.nodes))

    def _check_known(self) -> None:
        """All unknown operators at once: who converts a model wants to know what else is in the way."""
        names = [operator_name(self.model, operator) for operator in self.graph.operators]
        unknown = [f"{name} at position {at}" for at, name in enumerate(names) if name not in (*_KINDS, "RESHAPE")]
        if unknown:
            raise ModelError(
                f"A known model has the operators {', '.join(_KINDS)}. Received others: {', '.join(unknown)}."
            )

    def _add(self, position: int, operator: Any) -> None:
        name = operator_name(self.model, operator)
        where = f"Operator {name} at position {position}"
        output = int(operator.outputs[0])
        if name == "RESHAPE":
            self._skip_reshape(int(operator.inputs[0]), output, where)
            return
        kind = _KINDS[name]
        read = self._activations(operator, 2 if kind == "add" else 1, where)
        spec = self._spec(kind, operator, tuple(self._shape_read(tensor, kind) for tensor in read), output, where)
        self.nodes.append(
            Node(self._name(output), spec, tuple(self.ids[tensor] for tensor in read), len(self.nodes) + 1)
        )
        self.ids[output] = len(self.nodes)

    def _activations(self, operator: Any, count: int, where: str) -> tuple[int, ...]:
        read = tuple(int(tensor) for tensor in operator.inputs[:count])
        for tensor in read:
            if tensor not in self.ids:
                raise ModelError(f"{where} reads a constant where a known model reads an activation.")
        return read

    def _spec(self, kind: OpKind, operator: Any, inputs: tuple[Shape, ...], output: int, where: str) -> OpSpec:
        options = operator.builtinOptions
        dilations = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
        if dilations != (1, 1):
            raise ModelError(f"{where}: a known convolution is not dilated. Received: dilations {dilations}.")
        fused = getattr(options, "fusedActivationFunction", schema.ActivationFunctionType.NONE)
        if fused not in _ACTIVATIONS:
            raise ModelError(f"{where}: the fused activation is NONE, RELU or RELU6. Received: number {fused}.")
        shape, activation = self._shape(output), _ACTIVATIONS[fused]
        kernel = self._kernel(kind, operator)
        if kind == "conv2d" and (taken := int(self.graph.tensors[operator.inputs[1]].shape[3])) != inputs[0][2]:
            raise ModelError(
                f"{where}: a known convolution reads all filters of its input. Received: groups of {taken} of "
                f"{inputs[0][2]}."
            )
        if kernel is None:
            return OpSpec(kind, inputs, shape, activation=activation)
        strides = (int(options.strideH), int(options.strideW))
        return OpSpec(kind, inputs, shape, kernel, strides, _PADDINGS[options.padding], activation)

    def _kernel(self, kind: OpKind, operator: Any) -> Pair | None:
        options = operator.builtinOptions
        if kind in ("average_pool2d", "max_pool2d"):
            return int(options.filterHeight), int(options.filterWidth)
        if kind in ("conv2d", "depthwise_conv2d"):
            weights = self.graph.tensors[operator.inputs[1]].shape  # [filters or 1, time, sensors, channels]
            return int(weights[1]), int(weights[2])
        return None

    def _skip_reshape(self, source: int, output: int, where: str) -> None:
        readers = [operator for operator in self.graph.operators if output in operator.inputs]
        flattens = bool(readers) and all(operator_name(self.model, op) == "FULLY_CONNECTED" for op in readers)
        same = flattens or self._shape(source) == self._shape(output)
        if source not in self.ids or not same:
            raise ModelError(f"{where} changes the shape of the data; a known model does not.")
        self.ids[output] = self.ids[source]

    def _shape_read(self, tensor: int, kind: OpKind) -> Shape:
        """Shape of an input; behind a flattening reshape it is that of what was flattened."""
        if kind != "fully_connected":
            return self._shape(tensor)
        own = self.ids[tensor]
        return self.nodes[own - 1].op.output if own else self._shape(int(self.graph.inputs[0]))

    def _shape(self, tensor: int) -> Shape:
        """[1, T, S, F] and [1, F] as (time, sensors, filters)."""
        entry = self.graph.tensors[tensor]
        dims = [int(extent) for extent in entry.shape]
        if entry.type != schema.TensorType.INT8:
            raise ModelError(
                f"Tensor {self._name(tensor)!r} must be int8. Received: type number {entry.type}. "
                "Convert with full-integer quantisation and int8 input and output."
            )
        if len(dims) not in (2, 4) or dims[0] != 1:
            raise ModelError(
                f"Tensor {self._name(tensor)!r} must be [1, time, sensors, filters] or [1, filters]. Received: {dims}."
            )
        return (dims[1], dims[2], dims[3]) if len(dims) == 4 else (1, 1, dims[1])

    def _name(self, tensor: int) -> str:
        name = self.graph.tensors[tensor].name
        return name.decode(errors="replace") if name else f"tensor{tensor}"
