"""Single-operator int8 flatbuffers, many operators to a model, run by TFLite's reference kernels: the oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tensorflow.lite.python import schema_py_generated as schema
from tflite_micro import runtime as tflite_micro

Int8: TypeAlias = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Quant:
    """Scale and zero point of a tensor; per-filter scales with the axis they run along."""

    scale: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


@dataclass
class OneOpModels:
    """Collects independent operators; `run` evaluates them all in one interpreter.

    Attributes:
        inputs: (tensor index, values) of every activation input.
        outputs: tensor index of every operator's output, in the order they were added.
    """

    model: Any = field(init=False)
    inputs: list[tuple[int, Int8]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.buffers: list[Any] = [schema.BufferT()]
        self.codes: list[int] = []

    def tensor(self, shape: tuple[int, ...], quant: Quant, data: npt.NDArray[Any] | None = None) -> int:
        tensor = schema.TensorT()
        tensor.shape = list(shape)
        int32 = data is not None and data.dtype == np.int32
        tensor.type = schema.TensorType.INT32 if int32 else schema.TensorType.INT8
        tensor.name = f"t{len(self.graph.tensors)}"
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = list(quant.scale)
        tensor.quantization.zeroPoint = [quant.zero_point] * len(quant.scale)
        tensor.quantization.quantizedDimension = quant.axis
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def input(self, values: Int8, quant: Quant) -> int:
        index = self.tensor(values.shape, quant)
        self.inputs.append((index, values))
        return index

    def operator(
        self, builtin: int, inputs: list[int], output: int, options_type: int = 0, options: Any | None = None
    ) -> None:
        if builtin not in self.codes:
            self.codes.append(builtin)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(builtin)
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self.graph.operators.append(operator)
        self.outputs.append(output)

    def _flatbuffer(self) -> bytes:
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes = []
        for builtin in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 3
            model.operatorCodes.append(code)
        self.graph.inputs = [index for index, _ in self.inputs]
        self.graph.outputs = self.outputs
        model.subgraphs, model.buffers = [self.graph], self.buffers
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def run_micro(self) -> list[Int8]:
        """Output of every operator, in the order they were added, by TFLM."""
        interpreter = tflite_micro.Interpreter.from_bytes(self._flatbuffer(), arena_size=4 << 20)
        for position, (_, values) in enumerate(self.inputs):
            interpreter.set_input(values, position)
        interpreter.invoke()
        return [interpreter.get_output(position) for position in range(len(self.outputs))]

    def run(self) -> list[Int8]:
        """Output of every operator, in the order they were added, by LiteRT."""
        interpreter = Interpreter(
            model_content=self._flatbuffer(),
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
        for index, values in self.inputs:
            interpreter.set_tensor(index, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in self.outputs]
