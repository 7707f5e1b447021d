"""The Python twin of the packing against the C code, byte for byte."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from tests.firmware import cases
from tests.firmware import kernels as c

from micronas_tf.deploy.pack import (
    PAIRED,
    PLAIN,
    SINGLE,
    Add,
    ConvSource,
    Mean,
    Window,
    pack_conv2d,
    pack_depthwise_conv2d,
    prepare_add,
    prepare_mean,
    window_of,
)
from micronas_tf.ops import OpSpec

Rng = np.random.Generator


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return c.build_library(c.kernel_sources(), tmp_path_factory.mktemp("pack") / "libkernels.so")


def as_window(window: c.Window) -> Window:
    def triple(shape: c.Shape) -> tuple[int, int, int]:
        return shape.time, shape.sensors, shape.filters

    pairs = [(pair.time, pair.sensors) for pair in (window.kernel, window.stride, window.pad)]
    return Window(triple(window.input), triple(window.output), *pairs)


def packed_by_c(library: ctypes.CDLL, window: c.Window, data: cases.Weights, name: str) -> tuple[int, bytes, list[int]]:
    """Layout, weights and channels."""
    arrays = [c.aligned(a) for a in (data.weights, data.bias, data.multiplier, data.shift)]
    zeros = (data.input.zero_point, data.output.zero_point)
    source = c.Conv2dSource(window, *zeros, -128, 127, *(a.ctypes.data for a in arrays))
    room = np.zeros(data.weights.size + 256, np.int32)
    channels = np.zeros((len(data.bias) + 1, 3), np.int32)
    op = c.Conv2d()
    getattr(library, name)(
        ctypes.byref(source), ctypes.c_void_p(room.ctypes.data), ctypes.c_void_p(channels.ctypes.data), ctypes.byref(op)
    )
    library.mn_conv2d_weight_bytes.restype = ctypes.c_size_t
    size = library.mn_conv2d_weight_bytes(ctypes.byref(window), op.layout) if "depthwise" not in name else 0
    count = library.mn_conv2d_channels(ctypes.byref(window), op.layout)
    return op.layout, room.tobytes()[: size or data.weights.size], channels[:count].reshape(-1).tolist()


def source_of(window: c.Window, data: cases.Weights) -> ConvSource:
    zeros = (data.input.zero_point, data.output.zero_point)
    return ConvSource(as_window(window), *zeros, -128, 127, data.weights, data.bias, data.multiplier, data.shift)


def test_convolutions(library: ctypes.CDLL) -> None:
    layouts = set()
    for seed in range(300):
        rng = np.random.default_rng((5, seed))
        filters = int(rng.integers(1, 18))
        place = cases.geometry(rng, cases.input_filters(rng))
        shape = (filters, *place.kernel, place.filters)
        data = cases.weights(rng, shape, 0, taps=int(np.prod(shape[1:])), per_filter=True)
        window = place.window(library, filters)
        expected = packed_by_c(library, window, data, "mn_pack_conv2d")
        found = pack_conv2d(source_of(window, data))
        assert (found.layout, found.weights, found.channels.reshape(-1).tolist()) == expected, seed
        layouts.add(found.layout)
    assert layouts == {PLAIN, PAIRED, SINGLE}


def test_depthwise_convolutions(library: ctypes.CDLL) -> None:
    for seed in range(30):
        rng = np.random.default_rng((6, seed))
        filters = int(rng.integers(1, 20))
        place = cases.geometry(rng, filters)
        shape = (1, *place.kernel, filters)
        data = cases.weights(rng, shape, 3, taps=place.kernel[0] * place.kernel[1], per_filter=True)
        window = place.window(library, filters)
        expected = packed_by_c(library, window, data, "mn_pack_depthwise_conv2d")
        found = pack_depthwise_conv2d(source_of(window, data))
        assert (found.layout, found.weights, found.channels.reshape(-1).tolist()) == expected, seed


def drawn_add(rng: Rng) -> Add:
    """Scales like those of trained networks, powers of two, and extremes for which no shortcut exists."""
    draw, zeros = rng.random(), [cases.zero_point(rng) for _ in range(3)]
    if draw < 0.2:
        multipliers, shifts = [1 << 30] * 3, [0, int(rng.integers(-3, 1)), int(rng.integers(-20, -15))]
    else:
        multipliers = [int(value) for value in rng.integers(1 << 30, (1 << 31) - 1, 3)]
        shifts = [0 if draw < 0.6 else -1, int(rng.integers(-5, 1)), int(rng.integers(-22 if draw < 0.9 else -31, -12))]
    pairs = (value for pair in zip(multipliers, shifts, strict=True) for value in pair)
    return Add(int(rng.integers(1, 200)), zeros[0], zeros[1], zeros[2], -128, 127, *pairs)


def test_sums(library: ctypes.CDLL) -> None:
    fast = []
    for seed in range(60):
        op = drawn_add(np.random.default_rng((7, seed)))
        names = [name for name, *_ in c.Add._fields_]
        expected = c.Add(*(getattr(op, name) for name in names[:12]))
        library.mn_prepare_add(ctypes.byref(expected))
        found = prepare_add(op)
        assert found.fast == expected.fast, seed
        if found.fast:
            assert [getattr(found, name) for name in names] == [getattr(expected, name) for name in names], seed
        fast.append(found.fast)
    assert set(fast) == {0, 1}


def test_means(library: ctypes.CDLL) -> None:
    for seed in range(100):
        rng = np.random.default_rng((8, seed))
        shape = (int(rng.integers(1, 200)), int(rng.integers(1, 30)), int(rng.integers(1, 70)))
        multiplier, shift = int(rng.integers(1 << 30, (1 << 31) - 1)), int(rng.integers(-6, 5))
        expected = c.Mean(c.Shape(*shape), 3, -7)
        library.mn_prepare_mean(ctypes.byref(expected), multiplier, shift)
        found = prepare_mean(Mean(shape, 3, -7, 0, 0), multiplier, shift)
        assert (found.multiplier, found.shift) == (expected.multiplier, expected.shift), seed


def test_windows(library: ctypes.CDLL) -> None:
    for seed in range(200):
        rng = np.random.default_rng((9, seed))
        place = cases.geometry(rng, 4)
        _, time, sensors, _ = place.output(6)
        op = OpSpec(
            "conv2d",
            ((place.time, place.sensors, 4),),
            (time, sensors, 6),
            place.kernel,
            place.strides,
            "same" if place.same else "valid",
        )
        assert window_of(op) == as_window(place.window(library, 6)), seed


def test_a_fully_connected_operator_is_a_window_of_one_position(library: ctypes.CDLL) -> None:
    assert window_of(OpSpec("fully_connected", ((2, 3, 4),), (1, 1, 5))) == as_window(
        cases.Geometry(1, 1, 24, (1, 1), (1, 1), same=True).window(library, 5)
    )


def test_the_least_int8_weight_keeps_the_plain_layout(library: ctypes.CDLL) -> None:
    """-128 does not fit a pair of filters in a halfword."""
    rng = np.random.default_rng(0)
    place = cases.Geometry(4, 1, 4, (1, 1), (1, 1), same=True)
    data = cases.weights(rng, (2, 1, 1, 4), 0, taps=4, per_filter=True)
    data.weights[0, 0, 0, 0] = -128
    assert pack_conv2d(source_of(place.window(library, 2), data)).layout == PLAIN
