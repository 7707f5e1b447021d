"""The terms of TensorFlow Lite Micro's operators.

Those of conv2d follow CMSIS-NN's `arm_convolve_s8` (im2col into int16, then two columns at a time) and, for 1x1
convolutions, `arm_convolve_1x1_s8_fast` (no im2col).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import Final

from micronas_tf.cost.term_set import (
    TermSet,
    conv2d_sizes,
    elementwise_sizes,
    fully_connected_sizes,
    valid_window_taps,
    windowed_sizes,
)
from micronas_tf.ops import OpKind, OpSpec


def is_fast_conv(op: OpSpec) -> bool:
    """Whether CMSIS-NN of 2022 takes its 1x1 kernel, which reads the input in place."""
    return op.kernel == (1, 1) and op.strides == (1, 1) and op.inputs[0][2] % 4 == 0


_IM2COL: Final = (
    "positions",
    "rows",
    "taps",
    "tap_filters",
    "tap_rest",
    "padded_taps",
    "padded_tap_filters",
    "outputs",
    "macs",
    "rest_macs",
    "rest_outputs",
    "odd_filter_macs",
)
_FAST: Final = ("fast_positions", "fast_outputs", "fast_macs", "fast_rest_macs")


def _conv2d(op: OpSpec) -> tuple[float, ...]:
    channels, filters = op.inputs[0][2], op.output[2]
    positions, taps = op.output[0] * op.output[1], prod(op.kernel)
    patch = taps * channels
    outputs = positions * filters
    if is_fast_conv(op):
        # Sums run over blocks of 16; what is left of the input filters takes a slower loop.
        fast = (positions, outputs, outputs * patch, outputs * (patch % 16))
        return (1.0, filters, *(0.0 for _ in _IM2COL), *fast)
    data = valid_window_taps(op)
    padded = positions * taps - data
    im2col = (
        positions,
        positions * op.kernel[0],
        data,
        data * channels,
        data * (channels % 4),
        padded,
        padded * channels,
        outputs,
        outputs * patch,
        outputs * (patch % 4),
        outputs * (patch % 4 > 0),
        positions * patch * (filters % 2),
    )
    return (1.0, filters, *im2col, *(0.0 for _ in _FAST))


def _windowed(op: OpSpec) -> tuple[float, ...]:
    outputs = prod(op.output)
    return (1.0, op.output[2], outputs, outputs * prod(op.kernel))


def _fully_connected(op: OpSpec) -> tuple[float, ...]:
    return (1.0, op.output[2], op.output[2] * prod(op.inputs[0]))


def _elementwise(op: OpSpec) -> tuple[float, ...]:
    return (prod(op.inputs[0]), 1.0)


_POOL: Final = TermSet(("operator", "filters", "outputs", "output_taps"), _windowed, windowed_sizes)
_ELEMENTWISE: Final = TermSet(("elements", "operator"), _elementwise, elementwise_sizes)

TFLM_TERMS: Final[Mapping[OpKind, TermSet]] = MappingProxyType(
    {
        "conv2d": TermSet(("operator", "filters", *_IM2COL, *_FAST), _conv2d, conv2d_sizes),
        "depthwise_conv2d": _POOL,
        "average_pool2d": _POOL,
        "max_pool2d": _POOL,
        "fully_connected": TermSet(("operator", "filters", "macs"), _fully_connected, fully_connected_sizes),
        "add": _ELEMENTWISE,
        "mean": _ELEMENTWISE,
        "softmax": _ELEMENTWISE,
    }
)
"""The terms of every kind."""
