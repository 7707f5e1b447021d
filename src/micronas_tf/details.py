"""What a report shows beyond `metrics.json`: the network's costs one by one, what int8 saves.

Written at the end of a run, where the models and the data are at hand, so that a report needs neither.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from micronas_tf.boards import Board
from micronas_tf.cost import NetworkLatency
from micronas_tf.datasets import Dataset, describe
from micronas_tf.estimation import operator_figures
from micronas_tf.ops import Network
from micronas_tf.quantize import float_flatbuffer, int8_accuracy, quantise_ptq

DETAILS_SCHEMA: Final = 1


def run_details(network: Network, latency: NetworkLatency, board: Board, dataset: Dataset) -> dict[str, Any]:
    """What is known before anything runs: the board, the data, and each operator's latency."""
    return {
        "schema": DETAILS_SCHEMA,
        "board": asdict(board),
        "data": describe(dataset),
        **operator_figures(network, latency, board),
    }


def compare_float_and_ptq(
    network: Network,
    model: keras.Model,
    calibration: NDArray[np.float32] | None,
    x: NDArray[np.float32],
    y: NDArray[np.integer],
) -> dict[str, Any]:
    """What int8 saves, and what quantisation-aware training is worth.

    Args:
        network: of the model.
        model: the float model.
        calibration: standardised windows for post-training quantisation; None where that was the run's own way.
        x: standardised test windows [N, time, sensors, 1].
        y: their class numbers [N].

    Returns:
        `float_flatbuffer_bytes`, and under `ptq` its accuracy and macro-F1 in int8 (None where not compared).
    """
    ptq = None if calibration is None else int8_accuracy(quantise_ptq(network, model, calibration), x, y)
    return {"float_flatbuffer_bytes": len(float_flatbuffer(network, model)), "ptq": ptq}
