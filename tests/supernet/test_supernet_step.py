"""Search steps: they move every group, keep to the budget, stay finite, learn, and work with Keras's `fit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from micronas_tf.boards import Budget, load_board
from micronas_tf.cost import default_source
from micronas_tf.errors import SpaceError
from micronas_tf.search import expected_costs, tabulate_figures
from micronas_tf.space import SearchSpace, build_space
from micronas_tf.supernet import ExpectedCosts, Limit, Relaxation, SuperNet

from .oracles import small_space

BATCH = 16

# Eagerly, Keras warns of the branches that a step's draw leaves out; traced, their gradient is 0.
pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")


def costs_of(space: SearchSpace) -> ExpectedCosts:
    source = default_source("nucleo_f446re")
    return expected_costs(tabulate_figures(space, load_board("nucleo_f446re"), Budget(), source))


def toy(space: SearchSpace, count: int, seed: int) -> tuple[Any, Any]:
    """Sines whose frequency is the class, in noise: learnable, but not from a single sample."""
    rng = np.random.default_rng(seed)
    y = rng.integers(space.classes, size=count)
    time = np.arange(space.window)[None, :, None] / space.window
    phase = rng.uniform(0, 2 * np.pi, (count, 1, space.sensors))
    x = np.sin(2 * np.pi * (1 + 2 * y[:, None, None]) * time + phase) + rng.normal(
        0, 0.2, (count, space.window, space.sensors)
    )
    return x[..., None].astype("float32"), y.astype("int32")


def data(space: SearchSpace, seed: int = 0) -> tf.data.Dataset:
    parts = (tf.data.Dataset.from_tensor_slices(toy(space, 96, seed + part)).repeat().batch(BATCH) for part in (0, 1))
    return tf.data.Dataset.zip(tuple(parts))


def compiled(
    space: SearchSpace, seed: int = 0, limits: Mapping[str, Limit] | None = None, *, eager: bool = True, **options: Any
) -> SuperNet:
    """A step that runs a few times is faster eagerly than traced."""
    keras.utils.set_random_seed(seed)
    supernet = SuperNet.of(space, seed=seed)
    optimizer = keras.optimizers.Adam(options.pop("learning_rate", 1e-3))
    supernet.compile(optimizer, costs=costs_of(space), limits=limits, run_eagerly=eager, **options)
    return supernet


def step(supernet: SuperNet, batches: Any) -> dict[str, float]:
    return {name: float(value) for name, value in supernet.train_step(next(batches)).items()}


@pytest.mark.parametrize(
    ("space", "limited"),
    [(build_space(128, 9, 6), False), (small_space(16, 1, 3, extra_cells=2), True)],
    ids=["128x9, no limit", "16x1, three limits"],
)
def test_one_step_moves_the_logits_of_every_group(space: SearchSpace, limited: bool) -> None:
    names = ("latency_ms", "memory_bytes", "flash_bytes")
    limits = {name: Limit(1e-3, 2.0) for name in names} if limited else None
    supernet = compiled(space, limits=limits)
    before = supernet.logits.numpy()
    x, y = toy(space, 4, 0)
    supernet.train_step(((x, y), (x, y)))
    after = supernet.logits.numpy()
    assert np.isfinite(after).all()
    for row, group in enumerate(space.groups):
        assert (after[row, : len(group)] != before[row, : len(group)]).any(), group.name
        # One softmax each: what one choice gains the others lose.
        assert (after - before)[row].sum() == pytest.approx(0.0, abs=1e-5)
        assert (after[row, len(group) :] == before[row, len(group) :]).all()


def half_limits(supernet: SuperNet, *figures: str) -> tuple[dict[str, float], dict[str, Limit]]:
    """The current expected figures, and limits at half of them, weighed as the authors do."""
    start = {name: float(supernet.expected_costs()[name]) for name in figures}
    return start, {name: Limit(value / 2, 4.0 if name == "memory_bytes" else 2.0) for name, value in start.items()}


def test_all_three_figures_fall_towards_their_limits() -> None:
    """α steps only, with the authors' learning rate of the logits."""
    space = small_space(extra_cells=0)
    start, limits = half_limits(compiled(space), "latency_ms", "memory_bytes", "flash_bytes")
    supernet = compiled(space, limits=limits)
    batches = iter(data(space))
    for _ in range(10):
        supernet._alpha_step(next(batches)[1])
    found = supernet.expected_costs()
    assert all(float(found[name]) < 0.95 * value for name, value in start.items())


def test_the_penalty_is_that_of_the_paper() -> None:
    """Σ γ·log(cost/limit) where cost ≥ limit (King et al., section 6), nothing below, nothing without a limit."""
    limits = {"latency_ms": Limit(10.0, 2.0), "memory_bytes": Limit(1000.0, 4.0)}
    supernet = compiled(small_space(extra_cells=0), limits=limits)
    figures = {"latency_ms": tf.constant(25.0), "memory_bytes": tf.constant(4000.0), "flash_bytes": tf.constant(1e9)}
    assert float(supernet.penalty(figures)) == pytest.approx(2 * np.log(2.5) + 4 * np.log(4.0), rel=1e-6)
    assert float(supernet.penalty({**figures, "latency_ms": tf.constant(9.9)})) == pytest.approx(4 * np.log(4.0))
    assert float(compiled(small_space(extra_cells=0)).penalty(figures)) == 0.0


def test_slack_moves_a_limit() -> None:
    limits = {"latency_ms": Limit(10.0, 2.0)}
    supernet = compiled(small_space(extra_cells=0), limits=limits)
    supernet.search.slack["latency_ms"].assign(2.0)
    assert float(supernet.penalty({"latency_ms": tf.constant(25.0)})) == pytest.approx(2 * np.log(1.25), rel=1e-6)
    assert float(supernet.penalty({"latency_ms": tf.constant(19.9)})) == 0.0


def test_a_weight_on_the_entropy_decides_the_gates() -> None:
    """Without it ten steps on noise leave the gates as they are; with it every group's entropy falls."""
    space = small_space(extra_cells=0)
    entropies = {}
    for weight in (0.0, 50.0):
        supernet = compiled(space)
        start = np.random.default_rng(0).normal(0, 0.3, supernet.logits.shape)
        supernet.logits.assign(np.where(supernet.gates.exists, start, 0.0))
        before = supernet.gates.entropy().numpy()
        supernet.search.entropy_weight.assign(weight)
        batches = iter(data(space))
        for _ in range(10):
            supernet._alpha_step(next(batches)[1])
        entropies[weight] = supernet.gates.entropy().numpy() / before
    assert entropies[50.0].max() < 0.8
    assert entropies[0.0].min() > entropies[50.0].max()


@pytest.mark.parametrize("relaxation", ["gumbel", "softmax"])
def test_the_baselines_train_on_mixtures(relaxation: Relaxation) -> None:
    """One w step moves the weights of every branch, where a hard sample leaves some out."""
    space = small_space(extra_cells=0)
    supernet = compiled(space, relaxation=relaxation)
    before = [variable.numpy() for variable in supernet.weights_to_train]
    supernet._weight_step(next(iter(data(space)))[0])
    moved = [(variable.numpy() != old).any() for variable, old in zip(supernet.weights_to_train, before, strict=True)]
    assert all(moved)


def test_a_softmax_mixture_has_no_noise() -> None:
    supernet = compiled(small_space(extra_cells=0), relaxation="softmax")
    np.testing.assert_array_equal(supernet._mixture(), supernet.gates.probabilities())


def test_an_unknown_relaxation_is_refused() -> None:
    with pytest.raises(SpaceError, match="Received: 'hard'"):
        compiled(small_space(extra_cells=0), relaxation="hard")


def test_no_nan_at_the_temperatures_floor() -> None:
    """Five steps down to τ = 0.01, a tenth of the default floor, with limits that push every gate."""
    space = small_space(extra_cells=0)
    limits = {"latency_ms": Limit(1e-3, 2.0), "memory_bytes": Limit(1.0, 4.0)}
    supernet = compiled(space, limits=limits, temperature_floor=0.01, temperature_decay=0.01)
    batches = iter(data(space))
    for _ in range(5):
        logs = step(supernet, batches)
        assert all(np.isfinite(value) for value in logs.values()), logs
    assert float(supernet.temperature.numpy()) == pytest.approx(0.01)
    assert all(np.isfinite(weight).all() for weight in supernet.get_weights())


def test_temperature_cools_per_batch_down_to_its_floor() -> None:
    space = small_space(extra_cells=0)
    supernet = compiled(space, temperature_decay=0.5, temperature_floor=0.2)
    supernet.alpha_enabled.assign(False)
    batches, found = iter(data(space)), []
    for _ in range(4):
        step(supernet, batches)
        found.append(float(supernet.temperature.numpy()))
    assert found == pytest.approx([0.5, 0.25, 0.2, 0.2])


def test_warm_up_leaves_the_logits_alone_and_trains_the_weights() -> None:
    space = small_space(extra_cells=0)
    supernet = compiled(space)
    supernet.alpha_enabled.assign(False)
    before, weights = supernet.logits.numpy(), [variable.numpy() for variable in supernet.weights_to_train]
    batches = iter(data(space))
    for _ in range(2):
        step(supernet, batches)
    np.testing.assert_array_equal(supernet.logits.numpy(), before)
    moved = [np.any(new.numpy() != old) for new, old in zip(supernet.weights_to_train, weights, strict=True)]
    assert sum(moved) > 5  # the draws use some branches and kernels only
    supernet.alpha_enabled.assign(True)
    step(supernet, batches)
    assert (supernet.logits.numpy() != before).any()


def test_an_alpha_step_moves_no_weight_and_a_weight_step_no_logit() -> None:
    space = small_space(extra_cells=0)
    supernet = compiled(space)
    weight_batch, alpha_batch = next(iter(data(space)))
    weights = [variable.numpy() for variable in supernet.weights_to_train]
    supernet._alpha_step(alpha_batch)
    for before, variable in zip(weights, supernet.weights_to_train, strict=True):
        np.testing.assert_array_equal(variable.numpy(), before)
    logits = supernet.logits.numpy()
    supernet._weight_step(weight_batch)
    np.testing.assert_array_equal(supernet.logits.numpy(), logits)


@dataclass(frozen=True)
class Fitted:
    """What one traced `fit` left: 20 steps an epoch, latency limited to half of what is expected at the start."""

    supernet: SuperNet
    history: Mapping[str, list[float]]
    start_ms: float
    latency_ms: list[float]
    """Expected after each epoch."""
    folder: Path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """Traced once, for the tests that follow."""
    space, folder = small_space(16, 2, 3, extra_cells=0), tmp_path_factory.mktemp("fit")
    start, limits = half_limits(compiled(space), "latency_ms")
    supernet = compiled(space, eager=False, learning_rate=5e-3, limits=limits)
    seen: list[float] = []

    def see(epoch: int, logs: Any) -> None:
        seen.append(float(supernet.expected_costs()["latency_ms"]))

    history = supernet.fit(
        data(space),
        epochs=10,
        steps_per_epoch=20,
        validation_data=tf.data.Dataset.from_tensor_slices(toy(space, 64, 7)).batch(32),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=see), keras.callbacks.CSVLogger(folder / "log.csv")],
        shuffle=False,
        verbose=0,
    )
    return Fitted(supernet, history.history, start["latency_ms"], seen, folder)


def test_expected_latency_falls_within_20_steps_towards_half(fitted: Fitted) -> None:
    """By 5 % at least, with the authors' learning rate of the logits and their γ; and it goes on falling."""
    assert fitted.latency_ms[0] < 0.95 * fitted.start_ms
    assert fitted.latency_ms[-1] < fitted.latency_ms[0]


def test_fit_works_with_tf_data_and_callbacks(fitted: Fitted) -> None:
    names = {"loss", "accuracy", "alpha_loss", "alpha_accuracy", "temperature", "entropy"}
    costs = {"latency_ms", "flash_bytes", "memory_bytes"}
    assert set(fitted.history) == names | costs | {"val_loss", "val_accuracy"}
    assert len(fitted.latency_ms) == 10
    assert (fitted.folder / "log.csv").read_text().count("\n") == 11
    assert np.isfinite(list(fitted.history.values())).all()


def test_the_supernet_learns(fitted: Fitted) -> None:
    """Three classes that differ in frequency: chance is a loss of log 3 = 1.10 and 33 %."""
    history = fitted.history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history["accuracy"][-1] > 0.7
    assert history["alpha_accuracy"][-1] > history["alpha_accuracy"][0]
    assert history["val_accuracy"][-1] > 0.5


def test_tensorboard_gets_the_scalars(fitted: Fitted, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    batches = data(fitted.supernet.space)
    board = keras.callbacks.TensorBoard(str(tmp_path))
    fitted.supernet.fit(batches, epochs=2, steps_per_epoch=2, callbacks=[board], shuffle=False, verbose=0)
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    assert {"epoch_loss", "epoch_latency_ms", "epoch_memory_bytes"} <= set(events.Tags()["tensors"])


def test_evaluate_takes_the_most_probable_architecture(fitted: Fitted) -> None:
    x, y = toy(fitted.supernet.space, 64, 7)
    expected = np.mean(fitted.supernet(x).numpy().argmax(-1) == y)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    found = fitted.supernet.evaluate(batches, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(expected, abs=1e-6)
