"""A search whose time is limited: temperature and schedule follow the position, not the number of the step."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from micronas_tf.search.schedule import Scheduled
from micronas_tf.supernet import SuperNet
from micronas_tf.timing import Pace
from micronas_tf.training import PaceCallback, ProgressCallback


def search_pace(
    supernet: SuperNet,
    pace: Pace,
    position: tf.Variable,
    show: ProgressCallback,
    schedule: Sequence[Scheduled],
    *,
    per_epoch: int,
    cooling: float,
) -> PaceCallback:
    """The callback that moves a search.

    Args:
        supernet: compiled without a temperature decay of its own.
        pace: begun.
        position: where the learning rates are read, in steps of the recipe.
        show: follows the pace.
        schedule: what changes from epoch to epoch; callbacks of the same fit.
        per_epoch: steps of the recipe's epochs.
        cooling: share of the recipe after which the temperature is at its floor, geometrically from 1.
    """

    def move(where: float) -> None:
        floor = supernet.search.temperature_floor
        supernet.temperature.assign(max(floor, floor ** (where / (cooling * pace.recipe))))
        for part in schedule:
            part.at(where / per_epoch)

    return PaceCallback(pace, position, show, move)
