"""What the terms of all runtimes are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from micronas_tf.ops import OpSpec, Padding


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


def padding_before(extent: int, kernel: int, stride: int, outputs: int, padding: Padding) -> int:
    """Samples of padding before the first one of an axis, as TensorFlow pads."""
    return max((outputs - 1) * stride + kernel - extent, 0) // 2 if padding == "same" else 0


@lru_cache(maxsize=4096)
def valid_taps(extent: int, kernel: int, stride: int, outputs: int, padding: Padding) -> int:
    """How many taps along one axis fall on data, not on padding, over all output positions."""
    before = padding_before(extent, kernel, stride, outputs, padding)
    taps = 0
    for tap in range(kernel):
        first = max(-(-(before - tap) // stride), 0)
        last = min((extent - 1 + before - tap) // stride, outputs - 1)
        taps += max(last - first + 1, 0)
    return taps


def valid_window_taps(op: OpSpec) -> int:
    """The same over both axes of an operator with a window."""
    return prod(
        valid_taps(op.inputs[0][axis], op.kernel[axis], op.strides[axis], op.output[axis], op.padding)
        for axis in (0, 1)
    )


def windowed_sizes(op: OpSpec) -> dict[str, int]:
    """Sizes of a pool or of a depthwise convolution."""
    return {"positions": op.output[0] * op.output[1], "taps": prod(op.kernel), "filters": op.output[2]}


def conv2d_sizes(op: OpSpec) -> dict[str, int]:
    """Sizes of a convolution."""
    patch = prod(op.kernel) * op.inputs[0][2]
    return {"positions": op.output[0] * op.output[1], "patch": patch, "filters": op.output[2]}


def fully_connected_sizes(op: OpSpec) -> dict[str, int]:
    """Sizes of a fully connected operator."""
    return {"patch": prod(op.inputs[0]), "filters": op.output[2]}


def elementwise_sizes(op: OpSpec) -> dict[str, int]:
    """Sizes of an operator whose work follows from its elements."""
    return {"elements": prod(op.inputs[0])}
