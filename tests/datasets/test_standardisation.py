from __future__ import annotations

import json

import numpy as np
import pytest

from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.errors import DataError


def train() -> Windows:
    x = np.random.default_rng(0).normal([3.0, -100.0, 9.81], [2.0, 0.01, 0.0], (30, 16, 3))
    return Windows.of(x, [0, 1] * 15)


def test_standardised_train_has_mean_0_and_std_1_and_constant_channels_are_0() -> None:
    windows = train()
    fitted = Standardisation.fit(windows)
    # The normal draw's extremes lie beyond the usual limit.
    standard = Standardisation(fitted.mean, fitted.std, limit=10.0).apply(windows.x)
    assert standard.dtype == np.float32
    # float32 of -100 ± 0.01 resolves 8e-6, so its standardised mean to about 1e-3.
    np.testing.assert_allclose(standard.mean((0, 1), np.float64), 0, atol=1e-3)
    np.testing.assert_allclose(standard.std((0, 1), np.float64), [1, 1, 0], atol=1e-3)


def test_a_small_but_real_signal_is_not_constant() -> None:
    x = np.random.default_rng(0).normal(0, 1e-9, (10, 16, 1))
    fitted = Standardisation.fit(Windows.of(x, [0, 1] * 5))
    assert fitted.std[0] == pytest.approx(1e-9, rel=0.1)


def test_other_data_are_standardised_by_the_train_figures() -> None:
    given = Standardisation(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    np.testing.assert_array_equal(given.apply(np.array([3.0, 2.0])), [1.0, 0.0])
    np.testing.assert_array_equal(given.apply(np.full((5, 8, 2), 5)), np.broadcast_to([2.0, 0.75], (5, 8, 2)))


def test_what_lies_beyond_the_limit_is_clipped() -> None:
    given = Standardisation(np.array([1.0]), np.array([2.0]), limit=3.0)
    np.testing.assert_array_equal(given.apply([[-99.0], [-5.0], [6.0], [7.1], [99.0]])[:, 0], [-3, -3, 2.5, 3, 3])


def test_the_json_round_trip_is_exact() -> None:
    fitted = Standardisation.fit(train())
    again = Standardisation.from_json(json.loads(json.dumps(fitted.to_json())))
    np.testing.assert_array_equal(again.mean, fitted.mean)
    np.testing.assert_array_equal(again.std, fitted.std)
    assert again.limit == fitted.limit
    with pytest.raises(ValueError, match="read-only"):
        again.mean[0] = 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"schema": 1, "mean": [0], "std": [1]}, "schema 2. Received: 1"),
        ({"schema": 2, "mean": [0, 0], "std": [1], "limit": 4}, "one mean and one std"),
        ({"schema": 2, "mean": [0], "std": [0], "limit": 4}, "positive"),
        ({"schema": 2, "mean": [float("nan")], "std": [1], "limit": 4}, "finite"),
        ({"schema": 2, "mean": [0], "std": [1], "limit": 0}, "limit is finite and positive. Received: 0"),
    ],
)
def test_a_malformed_standardisation_is_refused(data: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Standardisation.from_json(data)


def test_other_channels_are_refused() -> None:
    with pytest.raises(DataError, match=r"3 channels.*\(16, 2\)"):
        Standardisation.fit(train()).apply(np.zeros((16, 2)))


def test_undo_gives_samples_that_standardise_to_what_was_given() -> None:
    scale = Standardisation(np.array([100.0, -3.0]), np.array([25.0, 0.5]))
    standard = np.random.default_rng(0).uniform(-4.0, 4.0, (5, 7, 2)).astype(np.float32)
    raw = scale.undo(standard)
    assert raw.dtype == np.float32
    # Two roundings of float32 around 100 and back: 100·2⁻²⁴/25 each.
    np.testing.assert_allclose(scale.apply(raw), standard, atol=2e-6)
