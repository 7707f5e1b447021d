"""The float recipe: it learns, its schedule is as long as the training, and nonsense is refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.errors import DataError
from micronas_tf.models import build_model
from micronas_tf.ops import Network, Node, OpSpec
from micronas_tf.space import SpaceConfig, build_space, largest, lower
from micronas_tf.training import TrainingRecipe, float_scores, network_input, train
from micronas_tf.training.recipe import compile_for_training

CONFIG = SpaceConfig(time_filters_max=8, fusion_filters_max=8, fusion_kernels=(3,), extra_cells=0)


def waves(count: int, seed: int) -> Windows:
    """Three classes of noisy sines that differ in frequency; phase and mean are random."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    angle = 2 * np.pi * (1 + 2 * y[:, None, None]) * np.arange(16)[None, :, None] / 16
    x = np.sin(angle + rng.uniform(0, 2 * np.pi, (count, 1, 1))) + rng.normal(0, 0.2, (count, 16, 3))
    return Windows.of(20 + 5 * x, y, channel_names=["acc_x", "acc_y", "acc_z"])


def plain_model() -> Any:
    keras.utils.set_random_seed(1)
    space = build_space(16, 3, 3, CONFIG)
    return build_model(lower(space, largest(space)))


@pytest.fixture(scope="module")
def trained() -> tuple[Any, dict[str, list[float]], list[tuple[str, int, int]]]:
    heard: list[tuple[str, int, int]] = []
    model, windows = plain_model(), waves(240, 0)
    recipe = TrainingRecipe(epochs=12, least_steps=0, batch_size=16, peak_learning_rate=1e-2)
    history = train(
        model,
        windows,
        Standardisation.fit(windows),
        recipe,
        seed=0,
        progress=lambda stage, done, total, figures: heard.append((stage, done, total)),
    )
    return model, history, heard


def test_training_learns(trained: tuple[Any, dict[str, list[float]], Any]) -> None:
    model, history, _ = trained
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    unseen, train_part = waves(90, 1), waves(240, 0)
    scores = float_scores(model, network_input(unseen, Standardisation.fit(train_part)), unseen.y)
    assert scores["accuracy"] > 0.9  # chance is 1/3


def test_progress_ends_where_it_said(trained: tuple[Any, Any, list[tuple[str, int, int]]]) -> None:
    """240 windows in batches of 16 are 15 steps an epoch; 12 epochs are 180 steps."""
    _, _, heard = trained
    assert heard[0] == ("training", 0, 180)
    assert heard[-1] == ("training", 180, 180)
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)


def test_the_schedule_warms_up_to_the_peak_and_ends_at_0(trained: tuple[Any, Any, Any]) -> None:
    model = plain_model()
    compile_for_training(model, TrainingRecipe(warmup=0.1, peak_learning_rate=3e-3), 200)
    rate = [float(model.optimizer._learning_rate(step)) for step in range(201)]
    assert rate[0] == 0.0
    assert int(np.argmax(rate)) == 20
    assert max(rate) == pytest.approx(3e-3, rel=1e-5)
    assert rate[-1] == pytest.approx(0.0, abs=1e-8)
    # The training uses it up: whatever the number of steps, the last one is at (almost) no learning rate.
    trained_model, _, _ = trained
    optimizer = trained_model.optimizer
    assert int(optimizer.iterations) == 180
    assert float(optimizer._learning_rate(180)) == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize(
    ("filters", "epochs"),
    [
        # Bytes of one convolution (1, 1) of 20 filters in: 20 f weights and 4 f of biases; 30 · √(12,000 / bytes).
        (500, 30),
        (125, 60),
        (40, 106),
        (4, 120),
    ],
)
def test_small_networks_are_trained_for_longer(filters: int, epochs: int) -> None:
    network = Network((8, 1, 20), (Node("only", OpSpec("conv2d", ((8, 1, 20),), (8, 1, filters)), (0,), 1),))
    found = TrainingRecipe().for_network(network)
    assert (found.epochs, found.least_steps) == (epochs, 1500)
    assert found.for_network(network) == found
    # Trials compare networks after the same number of steps.
    assert TrainingRecipe().shortened(0.5).for_network(network).epochs == 15


@pytest.mark.parametrize(
    ("samples", "batch", "steps"),
    [
        # epochs 30, at least 1,500 steps, batch 64; fewer where there are not four batches.
        (7352, 64, 30 * 115),
        (3200, 64, 1500),
        (256, 64, 1500),
        (100, 25, 1500),
        (40, 10, 1500),
        (3, 1, 1500),
    ],
)
def test_batches_and_steps_by_hand(samples: int, batch: int, steps: int) -> None:
    recipe = TrainingRecipe()
    assert recipe.batch_size_for(samples) == batch
    assert recipe.steps(samples) == steps


@pytest.mark.parametrize(("epochs", "asked", "taken"), [(1, 4, 4), (4, 32, 60), (7, 56, 60), (15, 120, 120)])
def test_the_steps_are_those_that_are_trained(epochs: int, asked: int, taken: int) -> None:
    """Eight batches of 5 windows, or four of 10, an epoch, in thirtieths; by hand, and as Keras counts."""
    recipe = TrainingRecipe(epochs=epochs, least_steps=0, batch_size=10 if epochs == 1 else 5)
    assert (recipe.batches(40), recipe.steps(40)) == (asked, taken)
    if taken <= 60:
        windows, model = waves(40, 0), plain_model()
        train(model, windows, Standardisation.fit(windows), recipe, seed=0)
        assert int(model.optimizer.iterations) == taken


def test_no_least_number_of_steps() -> None:
    assert TrainingRecipe(epochs=2, least_steps=0).steps(100) == 8


@pytest.mark.parametrize(
    "fields",
    [{"epochs": 0}, {"batch_size": 0}, {"least_steps": -1}, {"peak_learning_rate": 0.0}, {"peak_learning_rate": -1.0}],
)
def test_impossible_recipes_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="A recipe needs positive epochs"):
        TrainingRecipe(**fields)


@pytest.mark.parametrize(
    "fields", [{"warmup": 1.5}, {"warmup": -0.1}, {"dropout": 1.0}, {"dropout": -0.1}, {"rotation_degrees": -1.0}]
)
def test_impossible_shares_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        TrainingRecipe(**fields)


def test_scores_by_hand() -> None:
    """y 0 0 1 2, found 0 1 1 1: accuracy 1/2; F1 of the classes 2/3, 1/2, 0."""

    class Fixed:
        def predict(self, x: Any, **options: Any) -> Any:
            return np.eye(4)[[0, 1, 1, 1]]

    found = float_scores(Fixed(), np.zeros((4, 1)), np.array([0, 0, 1, 2]))
    assert found == pytest.approx({"accuracy": 0.5, "macro_f1": (2 / 3 + 1 / 2 + 0) / 3})
