"""A search whose time is limited, with a clock that the test moves: fewer steps, the whole schedule."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from tests.machine import Machine

from micronas_tf.boards import Budget
from micronas_tf.datasets import Standardisation
from micronas_tf.search import SearchRecipe, load_supernet, search
from micronas_tf.space import build_space
from micronas_tf.supernet import SuperNet
from micronas_tf.timing import Changes, Pace, position_at

from .toys import config, figures_of, waves

SPACE = build_space(16, 3, 3, config())
TRAIN, ALPHA = waves(36, 0), waves(24, 1)
FIGURES = figures_of(SPACE, Budget(latency_ms=0.2))
# 3 steps an epoch, 30 in all; the limit tightens from epoch 2 to epoch 6. It ends with its steps, however decided.
RECIPE = SearchRecipe(epochs=10, least_steps=0, batch_size=12, warmup=0.2, decided=0.0)

pytestmark = [pytest.mark.usefixtures("eager"), pytest.mark.filterwarnings("ignore:Gradients do not exist")]


class Noting(Machine):
    """Notes what the schedule has set."""

    def __init__(self) -> None:
        super().__init__()
        self.temperatures: list[float] = []
        self.enabled: list[bool] = []
        self.slack: list[float] = []
        self.entropy_weights: list[float] = []

    def note(self) -> None:
        self.temperatures.append(float(self.model.temperature.numpy()))
        self.enabled.append(bool(self.model.alpha_enabled.numpy()))
        self.slack.append(float(self.model.search.slack["latency_ms"].numpy()))
        self.entropy_weights.append(float(self.model.search.entropy_weight.numpy()))


def searched(folder: Path | None, limit_s: float | None, changes: Changes = ()) -> tuple[SuperNet, Noting, Pace | None]:
    keras.utils.clear_session()
    machine = Noting()
    pace = (
        None
        if limit_s is None
        else Pace(lambda first, step: limit_s - machine.time, changes=changes, now=lambda: machine.time)
    )
    scale = Standardisation.fit(TRAIN)
    supernet = search(FIGURES, TRAIN, ALPHA, scale, RECIPE, seed=0, directory=folder, callbacks=[machine], pace=pace)
    return supernet, machine, pace


def test_a_shortened_search_cools_down_and_repeats_nothing(tmp_path: Path) -> None:
    supernet, machine, pace = searched(tmp_path, 17.0)
    assert pace is not None
    assert 15 <= pace.done <= 18
    assert len(machine.temperatures) == pace.done
    assert machine.temperatures[0] == 1.0
    assert machine.temperatures == sorted(machine.temperatures, reverse=True)
    assert machine.temperatures[-1] == pytest.approx(RECIPE.temperature_floor)
    # Warm-up ends where the schedule has gone a fifth of its way.
    assert machine.enabled == sorted(machine.enabled)
    assert machine.enabled[6:] == [True] * (pace.done - 6)
    # The limit has its value where six tenths of the way are gone, and from there on the entropy weighs.
    assert machine.slack[0] > 1.0 == machine.slack[-1]
    assert machine.slack == sorted(machine.slack, reverse=True)
    where = [position_at(pace.changes, step, 30) for step in range(pace.done)]
    assert [slack == 1.0 for slack in machine.slack] == [position >= 18 for position in where]
    assert [weight > 0 for weight in machine.entropy_weights] == [position > 18 for position in where]
    assert machine.entropy_weights == sorted(machine.entropy_weights)
    assert machine.entropy_weights[-1] == pytest.approx(RECIPE.entropy_weight)
    epochs = -(-pace.done // 3)
    assert pd.read_csv(tmp_path / "history.csv")["epoch"].tolist() == list(range(1, epochs + 1))
    # It is finished: what resumes it trains nothing, and gets the same supernet.
    again, idle, _ = searched(tmp_path, 17.0, pace.changes)
    assert idle.temperatures == []
    np.testing.assert_array_equal(again.logits.numpy(), supernet.logits.numpy())
    loaded = load_supernet(FIGURES, RECIPE, tmp_path, seed=0)
    assert loaded.probabilities() == supernet.probabilities()


def test_enough_time_changes_nothing(tmp_path: Path) -> None:
    """But rounding: the temperature is a power of the position here, a product of factors there."""
    _, slow, _ = searched(None, None)
    _, fast, pace = searched(None, 1000.0)
    assert pace is not None
    assert pace.done == 30
    assert fast.temperatures == pytest.approx(slow.temperatures, rel=1e-4)
    assert fast.enabled == slow.enabled
    # The schedule moves from step to step here, from epoch to epoch there.
    assert fast.slack[::3] == pytest.approx(slow.slack[::3])
    assert fast.entropy_weights[::3] == pytest.approx(slow.entropy_weights[::3])
