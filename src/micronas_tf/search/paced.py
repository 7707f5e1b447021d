"""A search whose time is limited: temperature and warm-up follow the position in the schedule."""

from __future__ import annotations

import tensorflow as tf

from micronas_tf.supernet import SuperNet
from micronas_tf.timing import Pace
from micronas_tf.training import PaceCallback, ProgressCallback


def search_pace(
    supernet: SuperNet,
    pace: Pace,
    position: tf.Variable,
    show: ProgressCallback,
    *,
    warmup: float,
    cooling: float,
) -> PaceCallback:
    """The callback that moves a search.

    Args:
        supernet: compiled without a temperature decay of its own.
        pace: begun.
        position: where the learning rates are read, in steps of the recipe.
        show: follows the pace.
        warmup: position up to which only the weights learn.
        cooling: position at which the temperature reaches its floor, geometrically from 1.
    """

    def move(where: float) -> None:
        floor = supernet.search.temperature_floor
        supernet.temperature.assign(max(floor, floor ** (where / cooling)))
        supernet.alpha_enabled.assign(where >= warmup)

    move(pace.position)
    return PaceCallback(pace, position, show, move)
