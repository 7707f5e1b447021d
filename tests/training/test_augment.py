"""Random rotation: proper rotations, with the angles and axes that were asked for, of the triads alone."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import halfnorm, kstest

from micronas_tf.training import RandomRotation, random_rotations

TRIADS = ((0, 1, 2), (5, 3, 4))
LEAST_P = 1e-3
"""Of a Kolmogorov-Smirnov test on a fixed draw: a right distribution fails for one seed in a thousand."""


def matrices(count: int = 4000, stddev: float = 0.3, seed: int = 1) -> NDArray[np.float64]:
    return np.asarray(random_rotations(count, stddev, [seed, seed]).numpy(), float)


def rotated(x: NDArray[np.float32], degrees: float = 15.0, seed: int = 0) -> NDArray[np.float32]:
    found: NDArray[np.float32] = RandomRotation(TRIADS, degrees)(tf.constant(x), tf.constant([seed, seed])).numpy()
    return found


@pytest.fixture(scope="module")
def x() -> NDArray[np.float32]:
    """64 windows of 20 samples, 7 channels; the last one is in no triad."""
    return np.random.default_rng(0).normal(size=(64, 20, 7)).astype(np.float32)


def test_they_are_proper_rotations() -> None:
    found = matrices()
    np.testing.assert_allclose(found @ found.transpose(0, 2, 1), np.broadcast_to(np.eye(3), found.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(found), 1.0, atol=1e-5)


@pytest.mark.parametrize("degrees", [5.0, 15.0, 40.0])
def test_angles_are_normal(degrees: float) -> None:
    """|angle| from the trace, 1 + 2·cos; half-normal up to 180°, which 4.5 σ of 40° reach."""
    trace = np.trace(matrices(stddev=degrees * pi / 180), axis1=1, axis2=2)
    angle = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    # Below about 0.05° float32 cannot tell cos from 1.
    assert kstest(angle, halfnorm(scale=degrees).cdf).pvalue > LEAST_P
    assert angle.std() > 0


def test_axes_are_uniform_on_the_sphere() -> None:
    """Each coordinate of a uniform axis is uniform in [-1, 1] (Archimedes); the axis from the antisymmetric part."""
    found = matrices(stddev=0.6)
    axis = np.stack([found[:, i, j] - found[:, j, i] for i, j in ((2, 1), (0, 2), (1, 0))], -1)
    norm = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = (axis / norm)[norm[:, 0] > 1e-3]
    for coordinate in axis.T:
        assert kstest(coordinate, "uniform", args=(-1, 2)).pvalue > LEAST_P


def test_the_norm_of_each_triad_is_preserved(x: NDArray[np.float32]) -> None:
    found = rotated(x)
    for triad in TRIADS:
        channels = list(triad)
        before, after = (np.linalg.norm(a[..., channels], axis=-1) for a in (x, found))
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
        assert np.abs(found[..., channels] - x[..., channels]).max() > 0.1


def test_other_channels_stay_as_they_are(x: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(rotated(x)[..., 6], x[..., 6])


def test_one_rotation_a_window_for_all_its_samples_and_triads(x: NDArray[np.float32]) -> None:
    """Least squares finds the rotation of each triad: the residual is 0, and both are the same matrix."""
    found = rotated(x, degrees=30.0)
    solved = []
    for window, turned in zip(x, found, strict=True):
        fits = [np.linalg.lstsq(window[:, list(t)], turned[:, list(t)], rcond=None) for t in TRIADS]
        for matrix, residual, *_ in fits:
            np.testing.assert_allclose(residual, 0.0, atol=1e-8)
            np.testing.assert_allclose(matrix, fits[0][0], atol=1e-4)
        solved.append(fits[0][0].T)
    np.testing.assert_allclose(solved, matrices(len(x), 30.0 * pi / 180, seed=0), atol=1e-4)
    assert len({tuple(np.round(matrix, 3).ravel()) for matrix in solved}) == len(x)  # another one for each window


def test_draws_repeat_with_the_seed(x: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(rotated(x, seed=3), rotated(x, seed=3))
    assert np.abs(rotated(x, seed=3) - rotated(x, seed=4)).max() > 0.1


def test_without_triads_or_angle_nothing_happens(x: NDArray[np.float32]) -> None:
    seed = tf.constant([0, 0])
    for rotation in (RandomRotation(()), RandomRotation(TRIADS, 0.0)):
        np.testing.assert_array_equal(rotation(tf.constant(x), seed).numpy(), x)
