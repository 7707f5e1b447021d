"""Golden vectors: windows, their int8 inputs, and the scores that every implementation must give."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np

from micronas_tf.datasets import Standardisation
from micronas_tf.deploy.sources import filled, float_literal, wrapped
from micronas_tf.errors import RunError
from micronas_tf.models.flatbuffer import network_from_flatbuffer
from micronas_tf.quantize.runtimes import FloatArray, Int8Array, input_affine, predict_litert, predict_tflm

Reference: TypeAlias = Literal["litert", "tflm"]

GOLDEN_WINDOWS: Final = 256
HEADER_WINDOWS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """
    Attributes:
        windows: raw, float32 [N, T, S], in the units of the data.
        inputs: standardised and quantised, int8 [N, T, S].
        scores: int8 [N, classes].
    """

    windows: FloatArray
    inputs: Int8Array
    scores: Int8Array

    def subset(self, rows: Sequence[int]) -> Golden:
        return Golden(self.windows[rows], self.inputs[rows], self.scores[rows])

    def followed_by(self, other: Golden) -> Golden:
        """These vectors, then the others."""
        return Golden(
            np.concatenate([self.windows, other.windows]),
            np.concatenate([self.inputs, other.inputs]),
            np.concatenate([self.scores, other.scores]),
        )

    def to_npz(self) -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, windows=self.windows, inputs=self.inputs, scores=self.scores)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path) -> Golden:
        """Raises RunError if the file is missing or damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(arrays["windows"], arrays["inputs"], arrays["scores"])
        except Exception as error:  # NumPy raises OSError, ValueError, KeyError, BadZipFile and more
            raise RunError(f"{path} cannot be read: {error}. Export the run again: `micronas-tf export`.") from error

    def header(self) -> str:
        """`golden.h`: the first few windows, which fit any flash."""
        count = min(HEADER_WINDOWS, len(self.windows))
        return filled(
            "golden.h",
            windows=count,
            values=_rows(self.windows[:count], float_literal),
            inputs=_rows(self.inputs[:count], str),
            scores=_rows(self.scores[:count], str),
        )


def _rows(values: FloatArray | Int8Array, literal: object) -> str:
    assert callable(literal)
    return "\n".join(
        f"    {{\n{wrapped((literal(value) for value in row.reshape(-1).tolist()), '     ')}\n    }}," for row in values
    )


def reference_of(flatbuffer: bytes) -> Reference:
    """Whose scores are expected: LiteRT's reference kernels, which TFLM equals but for `fully_connected`.

    LiteRT on a host rounds that operator once and TFLM twice; what runs on a board decides.
    """
    kinds = {node.op.kind for node in network_from_flatbuffer(flatbuffer).nodes}
    return "tflm" if "fully_connected" in kinds else "litert"


def make_golden(flatbuffer: bytes, standardisation: Standardisation, windows: FloatArray) -> Golden:
    """The golden vectors of raw windows [N, T, S].

    Raises:
        ModelError: the windows do not fit the model.
    """
    windows = np.asarray(windows, np.float32)
    standard = standardisation.apply(windows)[..., np.newaxis]
    predict = predict_tflm if reference_of(flatbuffer) == "tflm" else predict_litert
    scores = predict(flatbuffer, standard)
    return Golden(windows, input_affine(flatbuffer).quantise(standard)[..., 0], scores)


def spread_out(count: int, most: int = GOLDEN_WINDOWS) -> list[int]:
    """At most `most` indices from 0 to `count` - 1, evenly spread."""
    chosen = min(count, most)
    return [index * count // chosen for index in range(chosen)]


def drawn_windows(flatbuffer: bytes, count: int, seed: int) -> FloatArray:
    """Windows for a model without data [count, T, S]: every int8 input is equally likely."""
    shape = network_from_flatbuffer(flatbuffer).input_shape
    drawn = np.random.default_rng(seed).integers(-128, 128, (count, prod(shape))).astype(np.int8)
    return input_affine(flatbuffer).dequantise(drawn).reshape(count, shape[0], -1)
