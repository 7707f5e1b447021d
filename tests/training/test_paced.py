"""A training whose time is limited, with a clock that the test moves: fewer steps, the whole schedule."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests.machine import Machine
from tests.training.test_recipe import plain_model, waves

from micronas_tf.datasets import Standardisation
from micronas_tf.timing import Pace
from micronas_tf.training import AtPosition, TrainingRecipe, train

WINDOWS = waves(48, 0)
RECIPE = TrainingRecipe(epochs=20, least_steps=0, batch_size=12)  # 4 steps an epoch, 80 in all, made 30 times 3


pytestmark = pytest.mark.usefixtures("eager")


class Noting(Machine):
    """Notes the learning rate of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def note(self) -> None:
        self.rates.append(float(self.model.optimizer.learning_rate))


def trained(limit_s: float | None) -> tuple[Any, Noting, list[tuple[int, int]], Pace | None]:
    model, machine, heard = plain_model(), Noting(), list[tuple[int, int]]()
    pace = None if limit_s is None else Pace(lambda first, step: limit_s - machine.time, now=lambda: machine.time)
    train(
        model,
        WINDOWS,
        Standardisation.fit(WINDOWS),
        RECIPE,
        seed=0,
        progress=lambda stage, done, total, figures: heard.append((done, total)),
        callbacks=[machine],
        pace=pace,
    )
    return model, machine, heard, pace


def test_a_shortened_training_goes_through_its_whole_schedule() -> None:
    model, machine, heard, pace = trained(40.0)
    assert pace is not None
    assert 36 <= pace.done <= 41
    assert int(model.optimizer.iterations) == pace.done == len(machine.rates)
    assert max(machine.rates) == pytest.approx(RECIPE.peak_learning_rate, rel=0.05)
    assert machine.rates[-1] < 0.02 * RECIPE.peak_learning_rate
    assert heard[-1] == (pace.done, pace.done)


def test_enough_time_changes_nothing() -> None:
    """Weights and learning rates are equal to the last bit."""
    whole, slow, _, _ = trained(None)
    paced, fast, heard, pace = trained(1000.0)
    assert pace is not None
    assert pace.done == 90
    assert heard[-1] == (90, 90)
    assert fast.rates == slow.rates
    for mine, theirs in zip(whole.get_weights(), paced.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, mine)


def test_a_schedule_is_read_where_the_position_is() -> None:
    position = tf.Variable(0.0)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 200)
    paced = AtPosition(schedule, position)
    for where in (0.0, 50.5, 200.0):
        position.assign(where)
        assert float(paced(17)) == pytest.approx(0.05 * (1 + np.cos(np.pi * where / 200)), abs=1e-8)
