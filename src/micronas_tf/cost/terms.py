"""The terms of the operator models: what a kernel does how often, one number per loop of its code.

Cycles are modelled as Σ coefficient · term with coefficients ≥ 0, each the cycles of one pass through one
loop. The terms of conv2d follow CMSIS-NN's `arm_convolve_s8` (im2col into int16, then two columns at a time)
and, for 1x1 convolutions, `arm_convolve_1x1_s8_fast` (no im2col); they are the same for every board.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Final

from micronas_tf.ops import OpKind, OpSpec, Padding


@dataclass(frozen=True, slots=True)
class TermSet:
    """How one kind of operator is modelled.

    Attributes:
        names: of the terms, in order.
        values: the terms of an operator, as many as names.
        sizes: the figures that say how large an operator is, by name; what lies between the least and the
            largest measured is inside a model's range.
    """

    names: tuple[str, ...]
    values: Callable[[OpSpec], tuple[float, ...]]
    sizes: Callable[[OpSpec], Mapping[str, int]]


@lru_cache(maxsize=4096)
def valid_taps(extent: int, kernel: int, stride: int, outputs: int, padding: Padding) -> int:
    """How many taps along one axis fall on data, not on padding, over all output positions."""
    if padding == "valid":
        return outputs * kernel
    before = max((outputs - 1) * stride + kernel - extent, 0) // 2
    taps = 0
    for tap in range(kernel):
        first = max(-(-(before - tap) // stride), 0)
        last = min((extent - 1 + before - tap) // stride, outputs - 1)
        taps += max(last - first + 1, 0)
    return taps


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
    data = prod(
        valid_taps(op.inputs[0][axis], op.kernel[axis], op.strides[axis], op.output[axis], op.padding)
        for axis in (0, 1)
    )
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


def _windowed_sizes(op: OpSpec) -> dict[str, int]:
    return {"positions": op.output[0] * op.output[1], "taps": prod(op.kernel), "filters": op.output[2]}


def _conv2d_sizes(op: OpSpec) -> dict[str, int]:
    patch = prod(op.kernel) * op.inputs[0][2]
    return {"positions": op.output[0] * op.output[1], "patch": patch, "filters": op.output[2]}


def _fully_connected(op: OpSpec) -> tuple[float, ...]:
    return (1.0, op.output[2], op.output[2] * prod(op.inputs[0]))


def _fully_connected_sizes(op: OpSpec) -> dict[str, int]:
    return {"patch": prod(op.inputs[0]), "filters": op.output[2]}


def _elementwise(op: OpSpec) -> tuple[float, ...]:
    return (prod(op.inputs[0]), 1.0)


def _elementwise_sizes(op: OpSpec) -> dict[str, int]:
    return {"elements": prod(op.inputs[0])}


_POOL: Final = TermSet(("operator", "filters", "outputs", "output_taps"), _windowed, _windowed_sizes)
_ELEMENTWISE: Final = TermSet(("elements", "operator"), _elementwise, _elementwise_sizes)

TERMS: Final[Mapping[OpKind, TermSet]] = MappingProxyType(
    {
        "conv2d": TermSet(("operator", "filters", *_IM2COL, *_FAST), _conv2d, _conv2d_sizes),
        "depthwise_conv2d": _POOL,
        "average_pool2d": _POOL,
        "max_pool2d": _POOL,
        "fully_connected": TermSet(("operator", "filters", "macs"), _fully_connected, _fully_connected_sizes),
        "add": _ELEMENTWISE,
        "mean": _ELEMENTWISE,
        "softmax": _ELEMENTWISE,
    }
)
"""The terms of every kind."""
