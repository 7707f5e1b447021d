"""Whether an int8 flatbuffer keeps its promises: accuracy, parity of the runtimes, planned memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from micronas_tf.cost.memory import arena_head_bytes
from micronas_tf.errors import ModelError
from micronas_tf.ops import Network
from micronas_tf.quantize.runtimes import (
    Arena,
    FloatArray,
    Int8Array,
    operator_names,
    output_affine,
    predict_litert,
    predict_tflm,
    tflm_arena,
)


@dataclass(frozen=True, slots=True, eq=False)
class Int8Report:
    """What `verify` found.

    Attributes:
        accuracy: share of windows that TFLM labels correctly.
        macro_f1: mean over the classes that occur of F1, from TFLM's labels.
        scores: int8 [N, classes], TFLM's.
        probabilities: float32 [N, classes], the same dequantised.
        first_difference: where LiteRT's reference kernels first differ from TFLM; `None` where nowhere.
        arena: TFLM's figures on this host.
        planned_head_bytes: the arena's head as planned from the network.
        operators: in execution order, for example `CONV_2D`.
    """

    accuracy: float
    macro_f1: float
    scores: Int8Array
    probabilities: FloatArray
    first_difference: str | None
    arena: Arena
    planned_head_bytes: int
    operators: tuple[str, ...]

    @property
    def bit_equal(self) -> bool:
        """Whether LiteRT and TFLM gave the same scores for every window."""
        return self.first_difference is None

    @property
    def head_as_planned(self) -> bool:
        """Whether TFLM's arena head is exactly the planned one."""
        return self.arena.head_bytes == self.planned_head_bytes

    def confusions(self, y: NDArray[np.integer]) -> list[list[int]]:
        """How often TFLM gave each label: rows true, columns predicted, by class number; of the same windows."""
        counts = confusion_matrix(y, self.scores.argmax(axis=1), labels=range(self.scores.shape[1]))
        return [[int(count) for count in row] for row in counts]


def verify(flatbuffer: bytes, network: Network, x: FloatArray, y: NDArray[np.integer]) -> Int8Report:
    """Run the model over all windows on both runtimes and measure what was promised.

    Args:
        flatbuffer: an int8 .tflite file.
        network: what it computes.
        x: standardised windows [N, time, sensors, filters].
        y: class numbers [N].

    Raises:
        ModelError: windows or labels do not fit the model, or a runtime refuses it.
    """
    classes = network.output_shape[2]
    if len(y) != len(x) or y.min() < 0 or y.max() >= classes:
        raise ModelError(
            f"Verification needs one label in 0..{classes - 1} per window. "
            f"Received: {len(x)} windows, {len(y)} labels from {y.min()} to {y.max()}."
        )
    scores = predict_tflm(flatbuffer, x)
    return Int8Report(
        **_accuracy(scores, y),
        scores=scores,
        probabilities=output_affine(flatbuffer).dequantise(scores),
        first_difference=first_difference(predict_litert(flatbuffer, x), scores),
        arena=tflm_arena(flatbuffer),
        planned_head_bytes=arena_head_bytes(network),
        operators=operator_names(flatbuffer),
    )


def int8_accuracy(flatbuffer: bytes, x: FloatArray, y: NDArray[np.integer]) -> dict[str, float]:
    """`accuracy` and `macro_f1` of an int8 model on TFLM, without any check of it."""
    return _accuracy(predict_tflm(flatbuffer, x), y)


def _accuracy(scores: Int8Array, y: NDArray[np.integer]) -> dict[str, float]:
    predicted = scores.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_f1": float(f1_score(y, predicted, average="macro", labels=np.unique(y), zero_division=0)),
    }


def first_difference(litert: Int8Array, tflm: Int8Array) -> str | None:
    """Window, class and both values of the first score that differs; `None` where all are equal."""
    places = np.argwhere(litert != tflm)
    if not len(places):
        return None
    window, label = (int(index) for index in places[0])
    return f"window {window}, class {label}: LiteRT {litert[window, label]}, TFLM {tflm[window, label]}"
