"""Random operators with extreme parameters, for LiteRT and for our kernels alike.

A case is drawn from a generator, added to a batch of LiteRT models, and run by the C library with the integer
parameters that TFLite derives from the same scales.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorflow.lite.python import schema_py_generated as schema

from . import kernels as k
from .litert import Int8, OneOpModels, Quant

Rng = np.random.Generator
Case = Callable[[ctypes.CDLL], Int8]
"""Runs the case with our kernels."""

EDGES = (-128, -1, 0, 127)


def zero_point(rng: Rng) -> int:
    return int(rng.choice(EDGES)) if rng.random() < 0.4 else int(rng.integers(-128, 128))


def values(rng: Rng, shape: tuple[int, ...], low: int = -128) -> Int8:
    """Mostly uniform; sometimes saturated, so that sums reach their extremes."""
    draw = rng.random()
    if draw < 0.1:
        return np.full(shape, rng.choice([low, 127]), np.int8)
    if draw < 0.2:
        return rng.choice(np.array([low, 127], np.int8), shape)
    return rng.integers(low, 128, shape).astype(np.int8)


def scale(rng: Rng, low: float, high: float) -> float:
    """Log-uniform between powers of two; as float32, like every scale in a flatbuffer."""
    return float(np.float32(2.0 ** rng.uniform(low, high)))


@dataclass(frozen=True)
class Geometry:
    time: int
    sensors: int
    filters: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    same: bool

    def window(self, library: ctypes.CDLL, output_filters: int) -> k.Window:
        library.mn_window_of.restype = k.Window
        source, kernel, strides = k.Shape(self.time, self.sensors, self.filters), self.kernel, self.strides
        window = library.mn_window_of(source, output_filters, k.Pair(*kernel), k.Pair(*strides), int(self.same))
        assert isinstance(window, k.Window)
        return window

    def output(self, filters: int) -> tuple[int, int, int, int]:
        extents = [
            -(-(extent if self.same else extent - size + 1) // stride)
            for extent, size, stride in zip((self.time, self.sensors), self.kernel, self.strides, strict=True)
        ]
        return (1, extents[0], extents[1], filters)

    @property
    def input(self) -> tuple[int, int, int, int]:
        return (1, self.time, self.sensors, self.filters)

    def options(self, options: Any, relu: bool) -> Any:
        options.padding = schema.Padding.SAME if self.same else schema.Padding.VALID
        options.strideH, options.strideW = self.strides
        options.fusedActivationFunction = activation(relu)
        return options


def activation(relu: bool) -> int:
    kind = schema.ActivationFunctionType
    return int(kind.RELU if relu else kind.NONE)


def geometry(rng: Rng, filters: int, largest_kernel: int = 7) -> Geometry:
    """Extents that include one, kernels as large as the padded input allows, strides larger than kernels."""
    style = rng.integers(4)
    same = bool(rng.random() < 0.7)
    kernel = [1, 1]
    if style in (0, 3):
        kernel[0] = int(rng.choice([1, 3, 5, 7, int(rng.integers(1, largest_kernel + 1))]))
    if style in (1, 3):
        kernel[1] = int(rng.integers(1, largest_kernel + 1))
    extents = [int(rng.integers(1, 14)), int(rng.integers(1, 10))]
    if not same:
        extents = [max(extent, size) for extent, size in zip(extents, kernel, strict=True)]
    strides = [int(rng.choice([1, 2, 3], p=[0.5, 0.4, 0.1])) for _ in range(2)]
    return Geometry(extents[0], extents[1], filters, (kernel[0], kernel[1]), (strides[0], strides[1]), same)


def input_filters(rng: Rng) -> int:
    return int(
        rng.choice([1, 4, 8, 12, 16, 24, int(rng.integers(1, 20)), 64], p=[0.2, 0.2, 0.15, 0.1, 0.1, 0.05, 0.15, 0.05])
    )


def ratios(rng: Rng, filters: int, typical: float) -> list[float]:
    """Filter scales relative to output over input scale; a third of the operators have extreme ones."""
    draw = rng.random()
    if draw < 0.65:
        return [scale(rng, typical - 2, typical + 2) for _ in range(filters)]
    if draw < 0.8:
        return [scale(rng, -34, 3) for _ in range(filters)]
    return [2.0 ** int(rng.integers(-20, 0)) for _ in range(filters)]


@dataclass(frozen=True)
class Weights:
    """Everything of a convolution but its geometry."""

    weights: Int8
    bias: npt.NDArray[np.int32]
    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int32]
    input: Quant
    filter_scales: tuple[float, ...]
    output: Quant
    relu: bool


def weights(rng: Rng, shape: tuple[int, ...], axis: int, *, taps: int, per_filter: bool) -> Weights:
    filters = shape[axis]
    source = Quant((scale(rng, -8, 2),), zero_point(rng))
    target = Quant((scale(rng, -8, 2),), zero_point(rng))
    typical = -7.0 - np.log2(taps) / 2
    factors = ratios(rng, filters, typical) if per_filter else [ratios(rng, 1, typical)[0]] * filters
    scales = tuple(float(np.float32(factor * target.scale[0] / source.scale[0])) for factor in factors)
    pairs = [k.quantize_multiplier(source.scale[0] * each / target.scale[0]) for each in scales]
    low = -128 if rng.random() < 0.1 else -127
    w = values(rng, shape, low)
    if rng.random() < 0.2:
        np.moveaxis(w, axis, 0)[int(rng.integers(filters))] = 0
    reach = 30 if rng.random() < 0.05 else int(rng.integers(1, 18))
    bias = rng.integers(-(1 << reach), 1 << reach, filters).astype(np.int32)
    multiplier, shift = np.array(pairs, np.int32).T
    return Weights(w, bias, multiplier.copy(), shift.copy(), source, scales, target, bool(rng.random() < 0.5))


def _bounds(data: Weights) -> tuple[int, int]:
    return (data.output.zero_point if data.relu else -128), 127


def _run_conv(library: ctypes.CDLL, name: str, window: k.Window, data: Weights, x: Int8) -> Int8:
    low, high = _bounds(data)
    arrays = [k.aligned(a) for a in (data.weights, data.bias, data.multiplier, data.shift)]
    source = k.Conv2dSource(
        window, data.input.zero_point, data.output.zero_point, low, high, *(a.ctypes.data for a in arrays)
    )
    filters = len(data.bias)
    packed = np.zeros(data.weights.size * 4 + 64, np.int32)
    channels = (k.Channel * (filters + 1))()
    op = k.Conv2d()
    pack = "mn_pack_depthwise_conv2d" if "depthwise" in name else "mn_pack_conv2d"
    getattr(library, pack)(ctypes.byref(source), ctypes.c_void_p(packed.ctypes.data), channels, ctypes.byref(op))
    shape = window.output
    return _output(library, name, op, (1, shape.time, shape.sensors, shape.filters), x)


def _output(library: ctypes.CDLL, name: str, op: ctypes.Structure, shape: tuple[int, ...], *inputs: Int8) -> Int8:
    """Runs one kernel; guard bytes around the output must survive."""
    room = k.aligned(np.full(int(np.prod(shape)) + 64, 77, np.int8))
    sources = [k.aligned(x) for x in inputs]
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in sources]
    getattr(library, name)(ctypes.byref(op), *pointers, ctypes.c_void_p(room.ctypes.data + 32))
    assert (room[:32] == 77).all()
    assert (room[32 + int(np.prod(shape)) :] == 77).all()
    return room[32 : 32 + int(np.prod(shape))].reshape(shape)


def conv2d(rng: Rng, models: OneOpModels) -> Case:
    filters_in, filters = input_filters(rng), int(rng.integers(1, 18))
    place = geometry(rng, filters_in)
    if rng.random() < 0.03:
        place = Geometry(2, 13, 64, (1, 13), (1, int(rng.integers(1, 3))), same=True)
    shape = (filters, *place.kernel, place.filters)
    data = weights(rng, shape, 0, taps=int(np.prod(shape[1:])), per_filter=True)
    x = values(rng, place.input)
    operands = [models.input(x, data.input), models.tensor(shape, Quant(data.filter_scales), data.weights)]
    _add_conv(
        models,
        operands,
        data,
        place.output(filters),
        builtin="CONV_2D",
        options=place.options(schema.Conv2DOptionsT(), data.relu),
    )
    return lambda library: _run_conv(library, "mn_run_conv2d", place.window(library, filters), data, x)


def _add_conv(
    models: OneOpModels, operands: list[int], data: Weights, output: tuple[int, ...], *, builtin: str, options: Any
) -> None:
    bias_scales = tuple(float(np.float32(data.input.scale[0] * each)) for each in data.filter_scales)
    if builtin == "FULLY_CONNECTED":
        bias_scales = bias_scales[:1]
    bias = models.tensor(data.bias.shape, Quant(bias_scales), data.bias)
    kind = {
        "CONV_2D": schema.BuiltinOptions.Conv2DOptions,
        "DEPTHWISE_CONV_2D": schema.BuiltinOptions.DepthwiseConv2DOptions,
        "FULLY_CONNECTED": schema.BuiltinOptions.FullyConnectedOptions,
    }[builtin]
    code = getattr(schema.BuiltinOperator, builtin)
    models.operator(code, [*operands, bias], models.tensor(output, data.output), kind, options)


def depthwise_conv2d(rng: Rng, models: OneOpModels) -> Case:
    filters = int(rng.integers(1, 20))
    place = geometry(rng, filters)
    shape = (1, *place.kernel, filters)
    data = weights(rng, shape, 3, taps=place.kernel[0] * place.kernel[1], per_filter=True)
    x = values(rng, place.input)
    operands = [models.input(x, data.input), models.tensor(shape, Quant(data.filter_scales, axis=3), data.weights)]
    options = place.options(schema.DepthwiseConv2DOptionsT(), data.relu)
    options.depthMultiplier = 1
    _add_conv(models, operands, data, place.output(filters), builtin="DEPTHWISE_CONV_2D", options=options)
    return lambda library: _run_conv(library, "mn_run_depthwise_conv2d", place.window(library, filters), data, x)


def fully_connected(rng: Rng, models: OneOpModels) -> Case:
    inputs, filters = int(rng.choice([4, 8, 64, 640, int(rng.integers(1, 200))])), int(rng.integers(1, 18))
    data = weights(rng, (filters, inputs), 0, taps=inputs, per_filter=False)
    x = values(rng, (1, inputs))
    operands = [
        models.input(x, data.input),
        models.tensor((filters, inputs), Quant(data.filter_scales[:1]), data.weights),
    ]
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = activation(data.relu)
    _add_conv(models, operands, data, (1, filters), builtin="FULLY_CONNECTED", options=options)
    place = Geometry(1, 1, inputs, (1, 1), (1, 1), same=True)

    def run(library: ctypes.CDLL) -> Int8:
        out = _run_conv(library, "mn_run_fully_connected", place.window(library, filters), data, x)
        return out.reshape(1, filters)

    return run


def add(rng: Rng, models: OneOpModels) -> Case:
    count = int(rng.integers(1, 200))
    relu = bool(rng.random() < 0.3)
    if rng.random() < 0.8:
        first = scale(rng, -6, 0)
        quants = [
            Quant((each,), zero_point(rng)) for each in (first, first * scale(rng, -3, 3), first * scale(rng, -2, 3))
        ]
    else:
        quants = [Quant((float(np.float32(2.0 ** rng.integers(-6, 3))),), zero_point(rng)) for _ in range(3)]
    quants = [Quant((float(np.float32(q.scale[0])),), q.zero_point) for q in quants]
    x1, x2 = values(rng, (1, count)), values(rng, (1, count))
    options = schema.AddOptionsT()
    options.fusedActivationFunction = activation(relu)
    operands = [models.input(x1, quants[0]), models.input(x2, quants[1])]
    target = models.tensor((1, count), quants[2])
    models.operator(schema.BuiltinOperator.ADD, operands, target, schema.BuiltinOptions.AddOptions, options)

    def run(library: ctypes.CDLL) -> Int8:
        twice = 2.0 * max(quants[0].scale[0], quants[1].scale[0])
        m1, m2 = (k.quantize_multiplier(q.scale[0] / twice) for q in quants[:2])
        out = k.quantize_multiplier(twice / ((1 << 20) * quants[2].scale[0]))
        low = quants[2].zero_point if relu else -128
        op = k.Add(count, *(q.zero_point for q in quants), low, 127, *m1, *m2, *out)
        library.mn_prepare_add(ctypes.byref(op))
        return _output(library, "mn_run_add", op, (1, count), x1, x2)

    return run


def mean(rng: Rng, models: OneOpModels) -> Case:
    shape = (1, int(rng.integers(1, 40)), int(rng.integers(1, 12)), int(rng.integers(1, 20)))
    if rng.random() < 0.1:
        shape = (1, int(rng.integers(100, 200)), int(rng.integers(2, 6)), shape[3])
    first = scale(rng, -6, 0)
    ratio = 1.0 if rng.random() < 0.3 else scale(rng, -6, 4)
    quants = [Quant((first,), zero_point(rng)), Quant((float(np.float32(first * ratio)),), zero_point(rng))]
    if ratio == 1.0:
        quants[1] = quants[0]
    x = values(rng, shape)
    axes = models.tensor((2,), Quant(()), np.array([1, 2], np.int32))
    options = schema.ReducerOptionsT()
    options.keepDims = True
    target = models.tensor((1, 1, 1, shape[3]), quants[1])
    operands = [models.input(x, quants[0]), axes]
    models.operator(schema.BuiltinOperator.MEAN, operands, target, schema.BuiltinOptions.ReducerOptions, options)

    def run(library: ctypes.CDLL) -> Int8:
        op = k.Mean(k.Shape(*shape[1:]), quants[0].zero_point, quants[1].zero_point)
        library.mn_prepare_mean(ctypes.byref(op), *k.quantize_multiplier(quants[0].scale[0] / quants[1].scale[0]))
        return _output(library, "mn_run_mean", op, (1, 1, 1, shape[3]), x)

    return run


def _pool(rng: Rng, models: OneOpModels, builtin: str, name: str) -> Case:
    filters = int(rng.integers(1, 20))
    place = geometry(rng, filters)
    if rng.random() < 0.2:
        place = Geometry(place.time, place.sensors, filters, (place.time, place.sensors), (1, 1), same=False)
    relu = bool(rng.random() < 0.3)
    quant = Quant((scale(rng, -6, 0),), zero_point(rng))
    x = values(rng, place.input)
    options = place.options(schema.Pool2DOptionsT(), relu)
    options.filterHeight, options.filterWidth = place.kernel
    target = models.tensor(place.output(filters), quant)
    code = getattr(schema.BuiltinOperator, builtin)
    models.operator(code, [models.input(x, quant)], target, schema.BuiltinOptions.Pool2DOptions, options)

    def run(library: ctypes.CDLL) -> Int8:
        op = k.Pool(place.window(library, filters), quant.zero_point if relu else -128, 127)
        return _output(library, name, op, place.output(filters), x)

    return run


def average_pool2d(rng: Rng, models: OneOpModels) -> Case:
    return _pool(rng, models, "AVERAGE_POOL_2D", "mn_run_average_pool2d")


def max_pool2d(rng: Rng, models: OneOpModels) -> Case:
    return _pool(rng, models, "MAX_POOL_2D", "mn_run_max_pool2d")


def softmax(rng: Rng, models: OneOpModels) -> Case:
    rows, depth = int(rng.integers(1, 5)), int(rng.integers(1, 40))
    quant = Quant((scale(rng, -12, 3),), zero_point(rng))
    beta = 1.0
    x = values(rng, (rows, depth))
    options = schema.SoftmaxOptionsT()
    options.beta = beta
    target = models.tensor((rows, depth), Quant((1 / 256,), -128))
    operands = [models.input(x, quant)]
    models.operator(schema.BuiltinOperator.SOFTMAX, operands, target, schema.BuiltinOptions.SoftmaxOptions, options)

    def run(library: ctypes.CDLL) -> Int8:
        multiplier, left_shift = k.quantize_multiplier(min(beta * quant.scale[0] * (1 << 26), (1 << 31) - 1.0))
        diff_min = -int(31 * (1 << 26) / (1 << left_shift))
        op = k.Softmax(rows, depth, multiplier, left_shift, diff_min)
        return _output(library, "mn_run_softmax", op, (rows, depth), x)

    return run


KERNELS: dict[str, Callable[[Rng, OneOpModels], Case]] = {
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "fully_connected": fully_connected,
    "add": add,
    "mean": mean,
    "average_pool2d": average_pool2d,
    "max_pool2d": max_pool2d,
    "softmax": softmax,
}
