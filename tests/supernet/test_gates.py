"""Gumbel gates: proportions that sum to 1, hard draws with soft gradients, and no NaN when it gets cold."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from micronas_tf.errors import SpaceError
from micronas_tf.supernet import GumbelGates

SIZES = (3, 8, 2, 1, 4) * 20
EXISTS = np.arange(max(SIZES)) < np.array(SIZES)[:, None]


def gates(seed: int = 0, spread: float = 2.0, sizes: tuple[int, ...] = SIZES) -> Any:
    layer = GumbelGates(sizes, initial_stddev=[spread] * len(sizes), seed=seed)
    layer.build()
    return layer


def samples(layer: Any, temperature: float, count: int = 3, *, hard: bool = False) -> Any:
    """[count, groups, choices]"""
    return np.stack([layer.sample(temperature, hard=hard).numpy() for _ in range(count)])


@pytest.mark.parametrize("temperature", [5.0, 1.0, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("hard", [False, True])
def test_rows_sum_to_1_and_padding_is_exactly_0(temperature: float, hard: bool) -> None:
    drawn = samples(gates(), temperature, hard=hard)
    np.testing.assert_allclose(drawn.sum(-1), 1.0, atol=1e-6)
    assert (drawn >= 0).all()
    assert (drawn[:, ~EXISTS] == 0).all()


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    layer = gates()
    logits = np.asarray(layer.logits.numpy(), np.float64)
    powers = np.where(EXISTS, np.exp(logits), 0.0)
    found = layer.probabilities().numpy()
    np.testing.assert_allclose(found, powers / powers.sum(-1, keepdims=True), atol=1e-6)
    assert (found[~EXISTS] == 0).all()


@pytest.mark.parametrize("temperature", [0.1, 1e-3, 1e-8])
def test_no_nan_at_the_floor_nor_far_below(temperature: float) -> None:
    layer = gates(spread=30.0)
    with tf.GradientTape() as tape:
        drawn = layer.sample(temperature)
        value = tf.reduce_sum(drawn * tf.random.stateless_uniform(drawn.shape, [1, 2]))
    gradient = tape.gradient(value, layer.logits.value)
    assert np.isfinite(drawn.numpy()).all()
    assert np.isfinite(gradient.numpy()).all()


def test_padding_stays_0_however_cold_it_gets() -> None:
    drawn = samples(gates(), 1e-12)
    assert np.isfinite(drawn).all()
    assert (drawn[:, ~EXISTS] == 0).all()


def test_extreme_logits_give_finite_probabilities_and_entropy() -> None:
    layer = gates()
    layer.logits.assign(np.where(np.arange(max(SIZES)) == 0, 1e4, -1e4) * np.ones((len(SIZES), 1)))
    np.testing.assert_array_equal(layer.probabilities().numpy()[:, 0], 1.0)
    np.testing.assert_array_equal(layer.entropy().numpy(), 0.0)
    assert np.isfinite(samples(layer, 0.1)).all()


def test_a_cold_draw_is_one_hot_and_follows_the_probabilities() -> None:
    """The Gumbel-max trick: the arg-max is a draw from the softmax (Jang et al., arXiv 1611.01144, eq. 1)."""
    layer, logits = gates(sizes=(4,) * 3000), np.array([0.5, -1.0, 0.0, 1.0])
    layer.logits.assign(np.tile(logits, (3000, 1)))
    drawn = layer.sample(1e-3).numpy()  # 3,000 groups: as many draws at once
    assert np.mean(drawn.max(-1) > 0.999) > 0.99
    frequency = (drawn > 0.5).mean(0)
    # Three standard errors of a frequency near 1/2 over 3,000 draws.
    np.testing.assert_allclose(frequency, np.exp(logits) / np.exp(logits).sum(), atol=3 * np.sqrt(0.25 / 3000))


def test_a_warm_draw_is_near_uniform() -> None:
    drawn = samples(gates(), 1e4)
    np.testing.assert_allclose(drawn, np.broadcast_to(EXISTS / np.array(SIZES)[:, None], drawn.shape), atol=1e-2)


def test_a_hard_draw_is_one_hot_forward_and_soft_backward() -> None:
    """Same noise for both: the generator's state is put back."""
    layer, weights = gates(), np.random.default_rng(0).normal(size=EXISTS.shape).astype("float32")
    state = layer.noise.state.numpy().copy()
    results = []
    for hard in (True, False):
        layer.noise.state.assign(state)
        with tf.GradientTape() as tape:
            drawn = layer.sample(0.7, hard=hard)
            value = tf.reduce_sum(drawn * weights)
        results.append((drawn.numpy(), tape.gradient(value, layer.logits.value).numpy()))
    (one_hot, hard_gradient), (soft, soft_gradient) = results
    np.testing.assert_allclose(one_hot, np.eye(max(SIZES))[soft.argmax(-1)], atol=1e-6)
    np.testing.assert_allclose(hard_gradient, soft_gradient, atol=1e-6)
    assert np.abs(soft_gradient[np.array(SIZES) > 1]).max(-1).min() > 0


def test_the_gradient_of_a_draw_is_that_of_the_softmax() -> None:
    """∂ Σ w·softmax(z/τ) / ∂ logits = s·(w - s·w)/τ, with s the draw itself."""
    layer, tau = gates(), 0.5
    weights = np.random.default_rng(1).normal(size=EXISTS.shape)
    with tf.GradientTape() as tape:
        drawn = layer.sample(tau)
        value = tf.reduce_sum(drawn * weights.astype("float32"))
    soft = drawn.numpy().astype(float)
    expected = soft * (weights - (soft * weights).sum(-1, keepdims=True)) / tau
    np.testing.assert_allclose(tape.gradient(value, layer.logits.value).numpy(), expected, atol=1e-5)


def test_draws_repeat_with_the_seed_and_differ_without() -> None:
    one, same, other = (samples(gates(seed), 1.0, 5) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01
    assert np.abs(one[0] - one[1]).max() > 0.01  # and one after the other


def test_entropy_is_relative_to_the_uniform_distribution() -> None:
    layer = gates()
    p = layer.probabilities().numpy().astype(float)
    nats = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), -1)
    np.testing.assert_allclose(layer.entropy().numpy(), nats / np.log(np.maximum(SIZES, 2)), atol=1e-6)
    layer.logits.assign(np.zeros(EXISTS.shape))
    np.testing.assert_allclose(layer.entropy().numpy(), np.array(SIZES) > 1, atol=1e-6)


def test_initial_logits_spread_as_asked() -> None:
    layer = GumbelGates([8] * 400, initial_stddev=[0.0] * 200 + [0.5] * 200, seed=1)
    layer.build()
    logits = layer.logits.numpy()
    assert (logits[:200] == 0).all()
    # 1,600 draws: the standard deviation is known to 1/√(2·1600) = 1.8 %.
    assert logits[200:].std() == pytest.approx(0.5, rel=0.06)


@pytest.mark.parametrize(("sizes", "stddev"), [((), None), ((2, 0), None), ((2, 3), (0.1,))])
def test_impossible_gates_are_refused(sizes: tuple[int, ...], stddev: tuple[float, ...] | None) -> None:
    with pytest.raises(SpaceError, match="at least one group"):
        GumbelGates(sizes, initial_stddev=stddev)


def test_gates_survive_serialisation() -> None:
    layer = gates(seed=5)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    back = keras.saving.deserialize_keras_object(config)
    assert back.get_config() == layer.get_config()
    np.testing.assert_array_equal(back.logits.numpy(), layer.logits.numpy())
