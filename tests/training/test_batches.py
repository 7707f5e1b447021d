"""Training batches: standardised, endless, repeatable, and continued where a run was interrupted."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.training import network_input, training_batches

Batch = tuple[NDArray[np.float32], NDArray[np.int32]]


def some_windows(count: int = 22, triads: tuple[tuple[int, int, int], ...] = ()) -> Windows:
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, (count, 8, 4)) * [1.0, 10.0, 0.1, 5.0]
    return Windows.of(x, np.arange(count) % 2, triads=triads)


def unclipped(windows: Windows) -> Standardisation:
    fitted = Standardisation.fit(windows)
    return Standardisation(fitted.mean, fitted.std, limit=1e3)


def take(windows: Windows, count: int, *, seed: int = 0, skip: int = 0, degrees: float = 15.0) -> list[Batch]:
    dataset = training_batches(
        windows, unclipped(windows), batch_size=5, rotation_degrees=degrees, seed=seed, skip=skip
    )
    return [(x.numpy(), y.numpy()) for x, y in islice(dataset, count)]


def test_network_input_is_standardised() -> None:
    windows = some_windows()
    found = network_input(windows, Standardisation.fit(windows))
    assert found.shape == (22, 8, 4, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean((0, 1, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std((0, 1, 3)), 1.0, atol=1e-5)


def test_batches_hold_standardised_windows_with_their_labels() -> None:
    windows = some_windows()
    known = network_input(windows, Standardisation.fit(windows))
    for x, y in take(windows, 6):
        assert (x.shape, y.shape) == ((5, 8, 4, 1), (5,))
        assert x.dtype == np.float32
        for window, label in zip(x, y, strict=True):
            distance = np.abs(known - window).max((1, 2, 3))
            assert distance.min() < 1e-5  # without triads, the window itself
            assert windows.y[distance.argmin()] == label


def test_batches_are_clipped_as_the_network_input_is() -> None:
    windows = some_windows()
    given = Standardisation.fit(windows)
    tight = Standardisation(given.mean, given.std, limit=0.5)
    batches = training_batches(windows, tight, batch_size=22, rotation_degrees=0.0, seed=0)
    found = np.sort(next(iter(batches))[0].numpy().ravel())
    expected = np.sort(network_input(windows, tight).ravel())
    assert expected[-1] == 0.5
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_they_are_endless_and_see_each_window_once_in_a_pass() -> None:
    """22 windows in batches of 5: 44 of them are two passes, and the next batch goes on."""
    windows = some_windows()
    known = network_input(windows, Standardisation.fit(windows))
    seen = [int(np.abs(known - window).max((1, 2, 3)).argmin()) for x, _ in take(windows, 14) for window in x]
    assert len(seen) == 70
    for start in (0, 22, 44):
        assert sorted(seen[start : start + 22]) == list(range(22))
    assert seen[:22] != seen[22:44]  # shuffled again


def test_rotation_happens_in_raw_units_before_standardisation() -> None:
    """Undone, the norm of a triad is the raw window's; on standardised values it would be another."""
    windows = some_windows(triads=((0, 1, 2),))
    scale = Standardisation.fit(windows)
    norms = np.linalg.norm(windows.x[..., :3], axis=-1)
    plain = network_input(windows, scale)
    for x, _ in take(windows, 3, degrees=40.0):
        raw = x[..., 0] * scale.std + scale.mean
        for window in raw:
            distance = np.abs(norms - np.linalg.norm(window[:, :3], axis=-1)).max(1)
            assert distance.min() < 1e-3
            same = int(distance.argmin())
            np.testing.assert_allclose(window[:, 3], windows.x[same, :, 3], rtol=1e-4, atol=1e-4)
        assert all(np.abs(plain - window).max((1, 2, 3)).min() > 1e-2 for window in x)


@pytest.mark.parametrize("triads", [(), ((0, 1, 2),)], ids=["plain", "rotated"])
def test_skip_continues_the_same_stream(triads: tuple[tuple[int, int, int], ...]) -> None:
    tf.random.set_seed(0)
    windows = some_windows(triads=triads)
    whole = take(windows, 12)
    for one, other in zip(whole[7:], take(windows, 5, skip=7), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_the_stream_repeats_with_the_seed_and_differs_without() -> None:
    tf.random.set_seed(0)
    windows = some_windows()
    one, same, other = (np.concatenate([x for x, _ in take(windows, 4, seed=seed)]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1
