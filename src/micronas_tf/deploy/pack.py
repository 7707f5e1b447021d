"""Operators as the portable kernels read them: the Python twin of the firmware's `pack.h`.

What a board would prepare at start-up is prepared here, byte for byte the same, and becomes constants in flash. The
C code that this follows, function by function: `firmware_pio/src/kernels/{portable/pack.c,shared/prepare.c,
shared/geometry.c}`; the meaning of every field: `firmware_pio/include/micronas/kernels.h`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from micronas_tf.ops import OpSpec, Pair, Shape

Int8Array: TypeAlias = NDArray[np.int8]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]

PLAIN: Final = 0
PAIRED: Final = 1
SINGLE: Final = 2
LAYOUTS: Final = ("MN_PLAIN", "MN_PAIRED", "MN_SINGLE")

_SINGLE_TAPS: Final = 16
_LARGEST_SHIFT: Final = 23
_FRACTION: Final = 22
_GAIN_TRIES: Final = 3
_INT32_MIN: Final = -(2**31)
_INT32_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Window:
    """`mn_window`: geometry of a sliding operator; `pad` is what lies before the first sample."""

    input: Shape
    output: Shape
    kernel: Pair
    stride: Pair
    pad: Pair


@dataclass(frozen=True, slots=True, eq=False)
class ConvSource:
    """A convolution as a .tflite file states it (`mn_conv2d_source`).

    Attributes:
        weights: [filters, time, sensors, input filters]; of a depthwise one [time, sensors, filters].
        bias, multiplier, shift: one per output filter; its real multiplier is multiplier · 2^(shift - 31).
    """

    window: Window
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    weights: Int8Array
    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d:
    """`mn_conv2d`, with what it points to.

    Attributes:
        weights: as they lie in flash.
        channels: (bias, multiplier, shift) of each output filter, int32 [n, 3].
    """

    window: Window
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    layout: int
    weights: bytes
    channels: Int32Array


@dataclass(frozen=True, slots=True)
class Add:
    """`mn_add`; `prepared` sets the last four."""

    count: int
    zero_point1: int
    zero_point2: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    multiplier1: int
    shift1: int
    multiplier2: int
    shift2: int
    output_multiplier: int
    output_shift: int
    fast: int = 0
    gain1: int = 0
    gain2: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Mean:
    """`mn_mean`."""

    input: Shape
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int


@dataclass(frozen=True, slots=True)
class Pool:
    """`mn_pool`."""

    window: Window
    activation_min: int
    activation_max: int


@dataclass(frozen=True, slots=True)
class Softmax:
    """`mn_softmax`."""

    rows: int
    depth: int
    multiplier: int
    left_shift: int
    diff_min: int


Packed: TypeAlias = Conv2d | Add | Mean | Pool | Softmax


def quantize_multiplier(real: float) -> tuple[int, int]:
    """TFLite's `QuantizeMultiplier` (kernels/internal/quantization_util.cc): real = multiplier · 2^(shift - 31)."""
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 or not multiplier else (multiplier, shift)


def window_of(op: OpSpec) -> Window:
    """The geometry of an operator (`mn_window_of`); all inputs of a fully connected one are one position."""
    source = op.inputs[0] if op.kind != "fully_connected" else (1, 1, math.prod(op.inputs[0]))
    before = [0, 0]
    for axis in (0, 1):
        total = (op.output[axis] - 1) * op.strides[axis] + op.kernel[axis] - source[axis]
        before[axis] = total // 2 if op.padding == "same" and total > 0 else 0
    return Window(source, op.output, op.kernel, op.strides, (before[0], before[1]))


def conv2d_layout(window: Window) -> int:
    """The layout for a shape whose weights and multipliers allow it (`mn_conv2d_layout`)."""
    if window.input[2] == 1 and math.prod(window.kernel) <= _SINGLE_TAPS:
        return SINGLE
    return PAIRED if window.input[2] % 4 == 0 else PLAIN


def pack_conv2d(source: ConvSource) -> Conv2d:
    """`mn_pack_conv2d`: weights in the order in which the kernel reads them, zero points folded into the biases."""
    layout = conv2d_layout(source.window)
    channels = None if layout == PLAIN else _prepared_channels(source)
    if channels is None:
        return _described(source, PLAIN, source.weights.tobytes(), _exact_channels(source))
    if layout == SINGLE:
        return _described(source, SINGLE, _pack_single(source.weights), channels)
    if len(channels) % 2:
        channels = np.concatenate([channels, np.zeros((1, 3), np.int32)])
    return _described(source, PAIRED, _pack_paired(source.weights), channels)


def pack_depthwise_conv2d(source: ConvSource) -> Conv2d:
    """`mn_pack_depthwise_conv2d`."""
    return _described(source, PLAIN, source.weights.tobytes(), _exact_channels(source))


def _described(source: ConvSource, layout: int, weights: bytes, channels: Int32Array) -> Conv2d:
    return Conv2d(
        source.window,
        source.input_zero_point,
        source.output_zero_point,
        source.activation_min,
        source.activation_max,
        layout,
        weights,
        channels,
    )


def _exact_channels(source: ConvSource) -> Int32Array:
    return np.stack([source.bias, source.multiplier, source.shift], axis=1).astype(np.int32)


def _prepared_channels(source: ConvSource) -> Int32Array | None:
    """One row per filter; None where a filter does not meet the conditions of the packed layouts."""
    weights = source.weights.reshape(len(source.bias), -1).astype(np.int64)
    bias, right = source.bias.astype(np.int64), -source.shift.astype(np.int64)
    bound = np.abs(bias) + 255 * np.abs(weights).sum(axis=1)
    if (weights == -128).any() or (bound >= 1 << 30).any():
        return None
    dead = (source.multiplier == 0) | ((right > 0) & (bound < 1 << np.maximum(right - 1, 0)))
    if not (dead | ((right >= 1) & (right <= _LARGEST_SHIFT))).all():
        return None
    folded = 2 * (bias - source.input_zero_point * weights.sum(axis=1))
    rows = np.stack([folded, source.multiplier, right - 1], axis=1)
    rows[dead, 1:] = 0
    return rows.astype(np.int32)


def _halves(low: Int64Array, high: Int64Array) -> NDArray[np.uint32]:
    return ((low & 0xFFFF) | (high & 0xFFFF) << 16).astype(np.uint32)


def _pack_paired(weights: Int8Array) -> bytes:
    w = weights.reshape(len(weights), -1, 4).astype(np.int64)
    if len(w) % 2:
        w = np.concatenate([w, np.zeros_like(w[:1])])
    h = 256 * w[1::2] + w[0::2]
    words = np.stack([_halves(h[..., 0], h[..., 2]), _halves(h[..., 1], h[..., 3])], axis=-1)
    return words.astype("<u4").tobytes()


def _pack_single(weights: Int8Array) -> bytes:
    w = 2 * weights.reshape(len(weights), -1).astype(np.int64)
    if w.shape[1] % 2:
        w = np.concatenate([w, np.zeros_like(w[:, :1])], axis=1)
    return _halves(w[:, 0::2], w[:, 1::2]).astype("<u4").tobytes()


def prepare_add(op: Add) -> Add:
    """`mn_prepare_add`: two gains and an offset, where they equal the definition for all pairs of inputs."""
    exponent = 20 - 62 + _FRACTION + 8 + op.output_shift
    gain1 = _scaled_product(op.multiplier1, op.output_multiplier, exponent + op.shift1)
    gain2 = _scaled_product(op.multiplier2, op.output_multiplier, exponent + op.shift2)
    if max(gain1, gain2) > _INT32_MAX - _GAIN_TRIES:
        return replace(op, fast=0, gain1=0, gain2=0, offset=0)
    wanted = _exact_sums(op)
    for step1 in range(2 * _GAIN_TRIES + 1):
        for step2 in range(2 * _GAIN_TRIES + 1):
            tried = replace(op, gain1=gain1 + _alternating(step1), gain2=gain2 + _alternating(step2))
            if (offset := _find_offset(tried, wanted)) is not None:
                return replace(tried, fast=1, offset=offset)
    return replace(tried, fast=0, offset=0)


def _alternating(step: int) -> int:
    """0, 1, -1, 2, -2, …"""
    return (1 if step % 2 else -1) * ((step + 1) // 2)


def _scaled_product(m1: int, m2: int, exponent: int) -> int:
    if exponent >= 0:
        return _INT32_MAX
    if exponent < -62:
        return 0
    return min((m1 * m2 + (1 << (-exponent - 1))) >> -exponent, _INT32_MAX)


_BYTES: Final[Int64Array] = np.arange(-128, 128, dtype=np.int64)


def _exact_sums(op: Add) -> Int64Array:
    """What the definition gives for every pair of inputs, int64 [x1, x2], kept to int8."""
    first = _rescale((_BYTES - op.zero_point1) * (1 << 20), op.multiplier1, op.shift1)
    second = _rescale((_BYTES - op.zero_point2) * (1 << 20), op.multiplier2, op.shift2)
    total = _rescale(first[:, None] + second[None, :], op.output_multiplier, op.output_shift)
    kept: Int64Array = (total + op.output_zero_point).clip(-128, 127)
    return kept


def _find_offset(op: Add, wanted: Int64Array) -> int | None:
    """The middle of the interval of offsets that reproduce `wanted`; None where it is empty."""
    a, b = (op.gain1 * (_BYTES * 256)) >> 16, (op.gain2 * (_BYTES * 256)) >> 16
    total = a[:, None] + b[None, :]
    # Saturated results may lie anywhere beyond, as far as the accumulator reaches.
    least = np.where(wanted == -128, _INT32_MIN, wanted << _FRACTION)
    most = np.where(wanted == 127, _INT32_MAX, ((wanted + 1) << _FRACTION) - 1)
    lowest = max(_INT32_MIN, int((least - total).max()), int((_INT32_MIN - a).max()))
    highest = min(_INT32_MAX, int((most - total).min()), int((_INT32_MAX - a).min()))
    return None if lowest > highest else lowest + (highest - lowest) // 2


def _wrapped(x: Any) -> Int64Array:
    """int32 arithmetic: a result beyond 32 bits wraps."""
    wrapped: Int64Array = np.asarray(x, np.int64).astype(np.int32).astype(np.int64)
    return wrapped


def _rescale(x: Int64Array, multiplier: int, shift: int) -> Int64Array:
    """`mn_rescale`: x · multiplier · 2^(shift - 31) with TFLite's two roundings."""
    left, right = max(shift, 0), max(-shift, 0)
    high = _wrapped((_wrapped(x << left) * multiplier + (1 << 30)) >> 31)
    mask = (1 << right) - 1
    rounded: Int64Array = (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))
    return rounded


def prepare_mean(op: Mean, multiplier: int, shift: int) -> Mean:
    """`mn_prepare_mean`: the division by the number of positions goes into the multiplier."""
    positions = op.input[0] * op.input[1]
    bits = min(positions.bit_length() - 1, 31 + shift)
    return replace(op, multiplier=(multiplier << bits) // positions, shift=shift - bits)
