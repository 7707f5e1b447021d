"""From an int8 flatbuffer to packed operators: scales become the integers that the kernels compute with.

The rules are those of TFLite's `Prepare` functions (tensorflow/lite/micro/kernels/*_common.cc), which the firmware's
kernels were compared with, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from micronas_tf.deploy.pack import (
    Add,
    Conv2d,
    ConvSource,
    Int8Array,
    Int32Array,
    Mean,
    Packed,
    Pool,
    Softmax,
    pack_conv2d,
    pack_depthwise_conv2d,
    prepare_add,
    prepare_mean,
    quantize_multiplier,
    window_of,
)
from micronas_tf.errors import ModelError
from micronas_tf.models.flatbuffer import network_from_flatbuffer, operator_name, read_flatbuffer
from micronas_tf.ops import Network, Node, OpKind

_SOFTMAX_BITS: Final = 26
"""Differences of a softmax's inputs are Q5.26."""


@dataclass(frozen=True, slots=True)
class Program:
    """A model, ready for the kernels.

    Attributes:
        network: its operators with their shapes.
        operators: the same, packed; one per node.
    """

    network: Network
    operators: tuple[Packed, ...]


def program_of(flatbuffer: bytes) -> Program:
    """The packed operators of an int8 .tflite file.

    Raises:
        ModelError: no int8 model of known operators, or quantised as no kernel of ours computes.
    """
    network = network_from_flatbuffer(flatbuffer)
    model = read_flatbuffer(flatbuffer)
    operators = [op for op in model.subgraphs[0].operators if operator_name(model, op) != "RESHAPE"]
    reader = _Packer(model)
    return Program(
        network, tuple(reader.pack(node, operator) for node, operator in zip(network.nodes, operators, strict=True))
    )


@dataclass(frozen=True, slots=True)
class _Packer:
    model: Any

    def pack(self, node: Node, operator: Any) -> Packed:
        makers: dict[OpKind, Callable[[Node, Any], Packed]] = {
            "conv2d": self._conv2d,
            "depthwise_conv2d": self._depthwise_conv2d,
            "fully_connected": self._conv2d,
            "add": self._add,
            "mean": self._mean,
            "average_pool2d": self._pool,
            "max_pool2d": self._pool,
            "softmax": self._softmax,
        }
        return makers[node.op.kind](node, operator)

    def _conv2d(self, node: Node, operator: Any) -> Conv2d:
        window = window_of(node.op)
        shape = (window.output[2], *window.kernel, window.input[2])
        return pack_conv2d(self._source(node, operator, shape, filters_axis=0))

    def _depthwise_conv2d(self, node: Node, operator: Any) -> Conv2d:
        if operator.builtinOptions.depthMultiplier != 1:
            raise ModelError(
                f"{node.name}: a known depthwise convolution has the depth multiplier 1. "
                f"Received: {operator.builtinOptions.depthMultiplier}."
            )
        shape = (*node.op.kernel, node.op.output[2])
        return pack_depthwise_conv2d(self._source(node, operator, shape, filters_axis=2))

    def _source(self, node: Node, operator: Any, shape: tuple[int, ...], filters_axis: int) -> ConvSource:
        source, target = self._affine(operator.inputs[0]), self._affine(operator.outputs[0])
        weights = self._weights(node, operator, shape)
        scales = np.asarray(self._quantisation(operator.inputs[1]).scale, np.float64)
        filters = shape[filters_axis]
        if len(scales) not in (1, filters):
            raise ModelError(f"{node.name}: weights have one scale, or one per filter. Received: {len(scales)} scales.")
        products = source[0] * scales
        if node.op.kind == "fully_connected" and len(scales) == 1:
            # With one scale for all filters TFLM multiplies in single precision (`GetQuantizedConvolutionMultipler`).
            products = np.asarray(products.astype(np.float32), np.float64)
        factors = np.broadcast_to(products / target[0], filters)
        pairs = np.array([quantize_multiplier(float(factor)) for factor in factors], np.int32)
        low, high = self._activation(operator, target)
        return ConvSource(
            window_of(node.op),
            source[1],
            target[1],
            low,
            high,
            weights,
            self._bias(operator, filters),
            pairs[:, 0],
            pairs[:, 1],
        )

    def _weights(self, node: Node, operator: Any, shape: tuple[int, ...]) -> Int8Array:
        index = int(operator.inputs[1])
        tensor = self._tensor(index)
        if tensor.type != schema.TensorType.INT8 or any(self._quantisation(index).zeroPoint):
            raise ModelError(
                f"{node.name}: weights are int8 with zero point 0. Received: type number {tensor.type}, zero points "
                f"{sorted(set(self._quantisation(index).zeroPoint))}. Convert with full-integer quantisation."
            )
        data = self.model.buffers[tensor.buffer].data
        if data is None:
            raise ModelError(f"{node.name}: weights are constants. Received: an activation.")
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.int8).reshape(shape)

    def _bias(self, operator: Any, filters: int) -> Int32Array:
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(filters, np.int32)
        data = self.model.buffers[self._tensor(operator.inputs[2]).buffer].data
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), "<i4").astype(np.int32)

    def _add(self, node: Node, operator: Any) -> Add:
        (scale1, zero1), (scale2, zero2) = (self._affine(tensor) for tensor in operator.inputs)
        target = self._affine(operator.outputs[0])
        twice = 2.0 * max(scale1, scale2)
        low, high = self._activation(operator, target)
        multipliers = (scale1 / twice, scale2 / twice, twice / ((1 << 20) * target[0]))
        integers = (integer for real in multipliers for integer in quantize_multiplier(real))
        return prepare_add(Add(math.prod(node.op.output), zero1, zero2, target[1], low, high, *integers))

    def _mean(self, node: Node, operator: Any) -> Mean:
        source, target = self._affine(operator.inputs[0]), self._affine(operator.outputs[0])
        op = Mean(node.op.inputs[0], source[1], target[1], 0, 0)
        return prepare_mean(op, *quantize_multiplier(source[0] / target[0]))

    def _pool(self, node: Node, operator: Any) -> Pool:
        source, target = self._affine(operator.inputs[0]), self._affine(operator.outputs[0])
        if source != target:
            raise ModelError(f"{node.name}: a pool keeps scale and zero point. Received: {source} and {target}.")
        return Pool(window_of(node.op), *self._activation(operator, target))

    def _softmax(self, node: Node, operator: Any) -> Softmax:
        source, target = self._affine(operator.inputs[0]), self._affine(operator.outputs[0])
        if target != (1 / 256, -128):
            raise ModelError(
                f"{node.name}: an int8 softmax has the scale 1/256 and the zero point -128. Received: {target}."
            )
        real = min(operator.builtinOptions.beta * source[0] * (1 << _SOFTMAX_BITS), (1 << 31) - 1.0)
        multiplier, left_shift = quantize_multiplier(real)
        if left_shift < 0:
            raise ModelError(f"{node.name}: a softmax's input has a scale above 2^-26. Received: {source[0]:g}.")
        time, sensors, depth = node.op.output
        # TFLite's CalculateInputRadius: what is further below the largest input has the score 0.
        radius = (31 << _SOFTMAX_BITS) >> left_shift
        return Softmax(time * sensors, depth, multiplier, left_shift, -radius)

    def _activation(self, operator: Any, target: tuple[float, int]) -> tuple[int, int]:
        """int8 bounds of the fused activation; RELU6 has an upper one."""
        scale, zero_point = target
        fused = operator.builtinOptions.fusedActivationFunction
        low = -128 if fused == schema.ActivationFunctionType.NONE else zero_point
        high = 127
        if fused == schema.ActivationFunctionType.RELU6:
            high = min(high, zero_point + math.floor(np.float32(6.0) / np.float32(scale) + np.float32(0.5)))
        return low, high

    def _tensor(self, index: int) -> Any:
        return self.model.subgraphs[0].tensors[int(index)]

    def _quantisation(self, index: int) -> Any:
        return self._tensor(index).quantization

    def _affine(self, index: int) -> tuple[float, int]:
        """Scale and zero point of an activation."""
        found = self._quantisation(index)
        return float(found.scale[0]), int(found.zeroPoint[0])
