"""Post-training quantisation: the ranges come from representative windows, the weights stay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from micronas_tf.ops import Network
from micronas_tf.quantize.convert import to_flatbuffer, twin_of


def quantise_ptq(network: Network, model: Any, calibration: NDArray[np.float32]) -> bytes:
    """Convert a trained Keras 3 model without training it again.

    Args:
        network: what `model` computes.
        model: the plain model, as `build_model(network)` makes it.
        calibration: [n, time, sensors, filters] standardised windows; some hundreds do.

    Returns:
        The int8 flatbuffer, in the order of the network.

    Raises:
        ModelError: the result is no clean int8 model of the network.
    """
    return to_flatbuffer(network, twin_of(network, model), calibration)
