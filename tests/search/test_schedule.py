"""What changes from epoch to epoch: limits that tighten, gates that decide, a search that ends when they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from micronas_tf.boards import Budget
from micronas_tf.datasets import Standardisation
from micronas_tf.search import SearchRecipe, search
from micronas_tf.search.schedule import Decide, Tighten, most_probable, undecided
from micronas_tf.space import build_space
from micronas_tf.supernet import SuperNet

from .toys import config, figures_of, waves

SPACE = build_space(16, 3, 3, config(extra_cells=0))
TRAIN, ALPHA = waves(24, 0), waves(24, 1)
SCALE = Standardisation.fit(TRAIN)

pytestmark = [pytest.mark.usefixtures("eager"), pytest.mark.filterwarnings("ignore:Gradients do not exist")]


def model(**settings: Any) -> Any:
    return SimpleNamespace(search=SimpleNamespace(**settings), stop_training=False)


def slacks(callback: Tighten, epochs: int) -> list[float]:
    callback.set_model(model(slack={"latency_ms": keras.Variable(1.0)}))
    found = []
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch)
        found.append(float(callback.model.search.slack["latency_ms"].numpy()))
    return found


def test_a_limit_falls_in_equal_ratios_to_its_value() -> None:
    """By hand: 16 times the limit, halved in each of the four epochs from the second on."""
    assert slacks(Tighten({"latency_ms": 16.0}, 1, 5), 7) == pytest.approx([16, 16, 8, 4, 2, 1, 1])


def test_a_limit_above_the_cost_stays() -> None:
    assert slacks(Tighten({"latency_ms": 0.3}, 1, 5), 7) == [1.0] * 7


def test_the_weight_of_the_entropy_rises_to_its_value() -> None:
    callback = Decide(0.6, 2, 5, 0.05)
    callback.set_model(model(entropy_weight=keras.Variable(9.0)))
    found = []
    for epoch in range(7):
        callback.on_epoch_begin(epoch)
        found.append(float(callback.model.search.entropy_weight.numpy()))
    assert found == pytest.approx([0, 0, 0, 0.2, 0.4, 0.6, 0.6])


def certain(supernet: SuperNet, height: float) -> None:
    """The first choice of every group, with logits that far above the others."""
    logits = np.zeros(supernet.logits.shape, np.float32)
    logits[:, 0] = height
    supernet.logits.assign(logits)


def test_undecided_is_the_largest_entropy_of_what_matters() -> None:
    supernet = SuperNet.of(build_space(24, 6, 4, config(extra_cells=1)))
    certain(supernet, 0.0)
    assert undecided(supernet) == pytest.approx(1.0)
    certain(supernet, 12.0)
    assert undecided(supernet) < 1e-3
    # A cell that is skipped: its own groups do not matter, whatever their entropy.
    row = {group.name: index for index, group in enumerate(supernet.space.groups)}
    logits = supernet.logits.numpy()
    logits[row["fusion0.1.identity"]] = [0.0, 12.0] + [0.0] * (logits.shape[1] - 2)
    logits[row["fusion0.1.width"]] = 0.0
    supernet.logits.assign(logits)
    assert most_probable(supernet.space, supernet.probabilities())["fusion0.1.identity"] == 1
    assert undecided(supernet) < 1e-3
    logits[row["fusion0.0.skip"], :2] = [0.0, 0.5]
    supernet.logits.assign(logits)
    p = 1 / (1 + np.exp(-0.5))
    expected = -(p * np.log(p) + (1 - p) * np.log(1 - p)) / np.log(2)
    assert undecided(supernet) == pytest.approx(expected, rel=1e-5)


class Decided(keras.callbacks.Callback):
    """Decides every gate in the given epoch, and counts the epochs."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch, self.epochs = epoch, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1
        if epoch == self.epoch:
            certain(self.model, 30.0)


def test_a_decided_search_ends_and_stays_ended(tmp_path: Path) -> None:
    """Also when it is resumed from its checkpoint: another epoch would change the weights."""
    recipe = SearchRecipe(epochs=4, least_steps=0, batch_size=12, warmup=0.0)
    figures = figures_of(SPACE, Budget(latency_ms=2.0))
    counter, heard = Decided(1), list[tuple[str, int, int]]()

    def progress(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        heard.append((stage, done, total))

    options: dict[str, Any] = {"directory": tmp_path, "callbacks": [counter], "progress": progress}
    ended = search(figures, TRAIN, ALPHA, SCALE, recipe, seed=0, **options)
    assert counter.epochs == 2
    # Two of four epochs with two batches each: it says that this was all.
    assert (heard[0], heard[-1]) == (("search", 0, 8), ("search", 4, 4))
    again = Decided(9)
    keras.utils.clear_session()
    resumed = search(figures, TRAIN, ALPHA, SCALE, recipe, seed=0, directory=tmp_path, callbacks=[again])
    assert again.epochs == 0
    for mine, theirs in zip(ended.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    counter = Decided(1)
    search(figures, TRAIN, ALPHA, SCALE, replace(recipe, decided=0.0), seed=0, callbacks=[counter])
    assert counter.epochs == 4
