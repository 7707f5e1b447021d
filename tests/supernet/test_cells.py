"""The searchable cells: what a skipped cell is, and what survives serialisation."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from micronas_tf.supernet import SensorFusionCell, TimeReduceCell
from micronas_tf.supernet.assemble import searchable_cells

from .oracles import scatter, small_space

OFF, ON = [1.0, 0.0], [0.0, 1.0]


def fusion(seed: int = 0, *, identity: bool = True, strides: tuple[int, int] = (1, 1)) -> SensorFusionCell:
    cell = SensorFusionCell(
        branches={"conv3": (3, 1), "conv5": (5, 1)},
        bottleneck_kernel=(1, 4),
        skip_kernel=(1, strides[1]),
        strides=strides,
        bottleneck_widths=(4, 8),
        widths=(4, 8),
        has_identity=identity,
        name="fusion",
    )
    cell.build((None, 9, 4, 8))
    scatter(cell, seed)
    return cell


def gates(**changed: list[float]) -> dict[str, tf.Tensor]:
    start = {"bottleneck": OFF, "width": ON, "skip": ON, "conv3": ON, "conv5": ON, "identity": OFF}
    return {name: tf.constant(gate) for name, gate in {**start, **changed}.items()}


@pytest.fixture
def x() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(2, 9, 4, 8)), tf.float32)


@pytest.mark.parametrize("method", ["call", "sampled"])
def test_a_skipped_cell_hands_its_input_on(x: tf.Tensor, method: str) -> None:
    found = getattr(fusion(), method)(x, gates(identity=ON))
    np.testing.assert_array_equal(found.numpy(), x.numpy())


def test_branches_add_up(x: tf.Tensor) -> None:
    """ReLU stands before the sum, so the whole is the sum of its branches alone."""
    cell = fusion()
    alone = [
        cell(x, gates(**{name: ON if name == kept else OFF for name in ("skip", "conv3", "conv5")})).numpy()
        for kept in ("skip", "conv3", "conv5")
    ]
    np.testing.assert_allclose(cell(x, gates()).numpy(), sum(alone), atol=1e-5)
    assert all(np.abs(branch).max() > 0.1 for branch in alone)


def test_soft_switches_weigh_their_branches(x: tf.Tensor) -> None:
    cell, soft = fusion(), [0.3, 0.7]
    only_skip = gates(conv3=OFF, conv5=OFF)
    found = cell(x, gates(conv3=OFF, conv5=OFF, skip=soft)).numpy()
    np.testing.assert_allclose(found, 0.7 * cell(x, only_skip).numpy(), atol=1e-6)
    found = cell(x, gates(conv3=OFF, conv5=OFF, identity=soft)).numpy()
    np.testing.assert_allclose(found, 0.3 * cell(x, only_skip).numpy() + 0.7 * x.numpy(), atol=1e-6)


def test_a_soft_width_weighs_the_filters_beyond_the_narrow_one(x: tf.Tensor) -> None:
    cell = fusion()
    wide, found = cell(x, gates()).numpy(), cell(x, gates(width=[0.25, 0.75])).numpy()
    np.testing.assert_allclose(found, wide * ([1.0] * 4 + [0.75] * 4), atol=1e-5)


@pytest.mark.parametrize("strides", [(1, 1), (1, 2)])
@pytest.mark.parametrize("training", [False, True])
def test_sampled_fusion_is_call_on_the_chosen_filters(x: tf.Tensor, strides: tuple[int, int], training: bool) -> None:
    for changed in ({}, {"skip": OFF}, {"conv3": OFF, "conv5": OFF}, {"width": OFF, "bottleneck": ON, "conv3": OFF}):
        one, other = (fusion(1, identity=False, strides=strides) for _ in range(2))
        chosen = gates(**changed)
        filters = 8 if chosen["width"][1] else 4
        expected = one(x, chosen, training=training).numpy()
        found = other.sampled(x, chosen, training=training).numpy()
        assert found.shape == (2, 9, 4 // strides[1], filters)
        np.testing.assert_allclose(found, expected[..., :filters], atol=1e-5)
        assert (expected[..., filters:] == 0).all()


def test_the_cells_of_a_space_survive_serialisation() -> None:
    space = small_space()
    kinds = []
    for cell in searchable_cells(space):
        back = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(cell))))
        assert json.dumps(back.get_config()) == json.dumps(cell.get_config())
        assert back.name == cell.name
        kinds.append(type(back))
    assert kinds == [TimeReduceCell, SensorFusionCell, SensorFusionCell]


def test_a_rebuilt_cell_with_the_same_weights_computes_the_same(x: tf.Tensor) -> None:
    cell: Any = fusion()
    back = SensorFusionCell.from_config(json.loads(json.dumps(cell.get_config())))
    back.build((None, 9, 4, 8))
    back.set_weights(cell.get_weights())
    np.testing.assert_array_equal(back(x, gates()).numpy(), cell(x, gates()).numpy())
