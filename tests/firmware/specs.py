"""Random operators in the text form of OpSpec."""

from __future__ import annotations

import numpy as np

Rng = np.random.Generator
KINDS = (
    *("conv2d", "depthwise_conv2d", "fully_connected", "add"),
    *("mean", "average_pool2d", "max_pool2d", "softmax"),
)
WINDOWED = ("conv2d", "depthwise_conv2d", "average_pool2d", "max_pool2d")


def _filters(rng: Rng) -> int:
    return int(rng.choice([1, 4, 8, 12, 16, 32, 64, int(rng.integers(1, 24))]))


def _windowed(rng: Rng, kind: str) -> str:
    same = bool(rng.random() < 0.7)
    kernel = [int(rng.choice([1, 3, 5, 7])), 1]
    if rng.random() < 0.4:
        kernel = [1 if rng.random() < 0.7 else kernel[0], int(rng.integers(1, 10))]
    strides = [int(rng.integers(1, 4)), int(rng.choice([1, 1, 2]))]
    extents = [int(rng.integers(1, 20)), int(rng.integers(1, 10))]
    if not same:
        extents = [max(extent, size) for extent, size in zip(extents, kernel, strict=True)]
    out = [
        -(-(extent if same else extent - size + 1) // stride)
        for extent, size, stride in zip(extents, kernel, strides, strict=True)
    ]
    filters_in = _filters(rng)
    filters = int(rng.integers(1, 20)) if kind == "conv2d" else filters_in
    padding, activation = "same" if same else "valid", "relu" if rng.random() < 0.5 else "linear"
    return (
        f"{kind} ({extents[0]},{extents[1]},{filters_in})->({out[0]},{out[1]},{filters}) "
        f"k({kernel[0]},{kernel[1]}) s({strides[0]},{strides[1]}) {padding} {activation}"
    )


def random_spec(rng: Rng, kind: str) -> str:
    if kind in WINDOWED:
        return _windowed(rng, kind)
    time, sensors, filters = int(rng.integers(1, 20)), int(rng.integers(1, 10)), _filters(rng)
    shape = f"({time},{sensors},{filters})"
    match kind:
        case "add":
            return f"add {shape}+{shape}->{shape}"
        case "mean":
            return f"mean {shape}->(1,1,{filters})"
        case "fully_connected":
            return f"fully_connected (1,1,{int(rng.integers(1, 500))})->(1,1,{int(rng.integers(1, 20))})"
        case _:
            return f"softmax {shape}->{shape}"
