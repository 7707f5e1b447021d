"""The C kernels of the firmware, built for this machine and called through ctypes."""

from __future__ import annotations

import ctypes
import math
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware_pio"
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


class Shape(ctypes.Structure):
    _fields_: ClassVar = [(name, ctypes.c_int16) for name in ("time", "sensors", "filters")]


class Pair(ctypes.Structure):
    _fields_: ClassVar = [(name, ctypes.c_int16) for name in ("time", "sensors")]


class Window(ctypes.Structure):
    _fields_: ClassVar = [("input", Shape), ("output", Shape), ("kernel", Pair), ("stride", Pair), ("pad", Pair)]


class Channel(ctypes.Structure):
    _fields_: ClassVar = [(name, ctypes.c_int32) for name in ("bias", "multiplier", "shift")]


class Conv2d(ctypes.Structure):
    _fields_: ClassVar = [
        ("window", Window),
        ("input_zero_point", ctypes.c_int16),
        ("output_zero_point", ctypes.c_int16),
        ("activation_min", ctypes.c_int8),
        ("activation_max", ctypes.c_int8),
        ("layout", ctypes.c_uint8),
        ("weights", ctypes.c_void_p),
        ("channels", ctypes.c_void_p),
    ]


class Conv2dSource(ctypes.Structure):
    _fields_: ClassVar = [
        ("window", Window),
        ("input_zero_point", ctypes.c_int16),
        ("output_zero_point", ctypes.c_int16),
        ("activation_min", ctypes.c_int8),
        ("activation_max", ctypes.c_int8),
        ("weights", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("multiplier", ctypes.c_void_p),
        ("shift", ctypes.c_void_p),
    ]


class Add(ctypes.Structure):
    _fields_: ClassVar = [
        ("count", ctypes.c_int32),
        ("zero_point1", ctypes.c_int16),
        ("zero_point2", ctypes.c_int16),
        ("output_zero_point", ctypes.c_int16),
        ("activation_min", ctypes.c_int8),
        ("activation_max", ctypes.c_int8),
        *(
            (name, ctypes.c_int32)
            for name in (
                *("multiplier1", "shift1", "multiplier2", "shift2", "output_multiplier", "output_shift"),
                *("fast", "gain1", "gain2", "offset"),
            )
        ),
    ]


class Mean(ctypes.Structure):
    _fields_: ClassVar = [
        ("input", Shape),
        ("input_zero_point", ctypes.c_int16),
        ("output_zero_point", ctypes.c_int16),
        ("multiplier", ctypes.c_int32),
        ("shift", ctypes.c_int32),
    ]


class Pool(ctypes.Structure):
    _fields_: ClassVar = [("window", Window), ("activation_min", ctypes.c_int8), ("activation_max", ctypes.c_int8)]


class Softmax(ctypes.Structure):
    _fields_: ClassVar = [(name, ctypes.c_int32) for name in ("rows", "depth", "multiplier", "left_shift", "diff_min")]


def build_library(sources: list[Path], target: Path, *flags: str) -> ctypes.CDLL:
    """Compiles C sources into a shared library with the firmware's warnings, as errors, and loads it."""
    includes = [f"-I{FIRMWARE / folder}" for folder in ("include", "src", "src/kernels/shared")]
    command = ["cc", "-std=c11", "-O2", "-g", *WARNINGS, "-shared", "-fPIC", *includes, *flags]
    subprocess.run([*command, *map(str, sources), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def kernel_sources() -> list[Path]:
    folders = (FIRMWARE / "src/kernels" / name for name in ("shared", "portable"))
    return sorted(path for folder in folders for path in folder.glob("*.c"))


def aligned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that starts on a word, as tensors do on the board."""
    copy = np.empty(values.size + 4 // values.itemsize, values.dtype)
    copy = copy[: values.size].reshape(values.shape)
    copy[...] = values
    assert copy.ctypes.data % 4 == 0
    return copy


def quantize_multiplier(real: float) -> tuple[int, int]:
    """TFLite's QuantizeMultiplier: real = multiplier * 2^(shift - 31)."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)
