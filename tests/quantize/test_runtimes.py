"""Input quantisation, captured C output, and the report."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from micronas_tf.cost.memory import arena_head_bytes
from micronas_tf.errors import ModelError
from micronas_tf.models.build import build_model
from micronas_tf.ops import Network
from micronas_tf.quantize.evaluate import first_difference, verify
from micronas_tf.quantize.ptq import quantise_ptq
from micronas_tf.quantize.runtimes import Affine, input_affine, output_affine, predict_tflm
from micronas_tf.quiet import captured_output
from micronas_tf.space import build_space, lower, random_architecture


@pytest.fixture(scope="module")
def case() -> tuple[Network, bytes]:
    space = build_space(32, 6, 3)
    network = lower(space, random_architecture(space, np.random.default_rng(0)))
    samples = np.random.default_rng(1).normal(size=(8, *network.input_shape)).astype(np.float32)
    return network, quantise_ptq(network, build_model(network), samples)


def windows(network: Network, count: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *network.input_shape)).astype(np.float32)


def round_half_away(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def test_quantise_rounds_halves_away_from_zero_and_saturates() -> None:
    affine = Affine(0.25, -3)
    values = [0.0, 0.125, 0.375, -0.125, -0.375, 0.1249, -0.1251, 40.0, -40.0]
    expected = [max(-128, min(127, round_half_away(value / 0.25) - 3)) for value in values]
    assert expected[1:5] == [-2, -1, -4, -5]
    np.testing.assert_array_equal(affine.quantise(np.array(values, np.float32)), np.array(expected, np.int8))


def test_dequantise_inverts_quantise_within_half_a_step() -> None:
    affine = Affine(0.03, 5)
    x = np.linspace(-3.9, 3.6, 500, dtype=np.float32)
    assert np.abs(affine.dequantise(affine.quantise(x)) - x).max() <= 0.015 + 1e-6


def test_scales_are_those_of_the_file(case: tuple[Network, bytes]) -> None:
    _, flatbuffer = case
    assert output_affine(flatbuffer) == Affine(1 / 256, -128)  # TFLite fixes a softmax's output
    assert 0 < input_affine(flatbuffer).scale < 0.1


def test_report_of_a_clean_model(case: tuple[Network, bytes]) -> None:
    network, flatbuffer = case
    x = windows(network, 40)
    y = predict_tflm(flatbuffer, x).argmax(axis=1)
    y[:10] = (y[:10] + 1) % 3
    report = verify(flatbuffer, network, x, y)
    assert report.accuracy == pytest.approx(0.75)
    assert 0 < report.macro_f1 < 1
    assert report.bit_equal
    assert report.head_as_planned
    assert report.planned_head_bytes == arena_head_bytes(network)
    assert report.arena.total_bytes == report.arena.head_bytes + report.arena.tail_bytes
    assert len(report.operators) == len(network.nodes)
    assert report.scores.shape == report.probabilities.shape == (40, 3)
    np.testing.assert_allclose(report.probabilities.sum(axis=1), 1.0, atol=3 / 256)


def test_first_difference_is_named() -> None:
    litert = np.zeros((3, 2), np.int8)
    tflm = litert.copy()
    assert first_difference(litert, tflm) is None
    tflm[1, 1] = 7
    assert first_difference(litert, tflm) == "window 1, class 1: LiteRT 0, TFLM 7"


def test_windows_and_labels_must_fit(case: tuple[Network, bytes]) -> None:
    network, flatbuffer = case
    with pytest.raises(ModelError, match=r"windows \[N, 32, 6, 1\], N > 0. Received: \(2, 6, 32, 1\)"):
        predict_tflm(flatbuffer, windows(network, 2).transpose(0, 2, 1, 3))
    with pytest.raises(ModelError, match=r"one label in 0\.\.2 per window"):
        verify(flatbuffer, network, windows(network, 2), np.array([0, 3]))


def test_captured_output_catches_file_descriptors_and_gives_them_back(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_output() as captured:
        os.write(2, b"from C")
    print("after")
    assert captured.text == "from C"
    assert capfd.readouterr() == ("after\n", "")
