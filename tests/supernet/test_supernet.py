"""The supernet as a model: its weights in a plain model, its two ways to compute, its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from micronas_tf.architecture import Architecture
from micronas_tf.errors import SpaceError
from micronas_tf.models import build_model
from micronas_tf.space import SearchSpace, SpaceConfig, build_space, canonical, largest, lower, random_architecture
from micronas_tf.supernet import Limit, SuperNet

from .oracles import copy_weights, scatter, small_space

# The paper's numbers on a UCI-HAR and a SkodaR extent, and small ones that reach every branch.
SPACES = {
    "128x9": build_space(128, 9, 6),
    "64x30": build_space(64, 30, 4, SpaceConfig(extra_cells=0)),
    "17x6": small_space(),
    "16x1": small_space(16, 1, 2),
}


def windows(space: SearchSpace, count: int = 4, seed: int = 0) -> tf.Tensor:
    """Noise, each window louder than the one before: their outputs differ also where all is averaged."""
    noise = np.random.default_rng(seed).normal(size=(count, *space.input_shape))
    return tf.constant(noise * np.geomspace(0.2, 5.0, count)[:, None, None, None], tf.float32)


def draws(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [largest(space), *(random_architecture(space, rng) for _ in range(count - 1))]


@pytest.fixture(scope="module", params=SPACES, ids=list(SPACES))
def moved(request: pytest.FixtureRequest) -> SuperNet:
    """A supernet whose weights and BatchNorm statistics are nobody's initial values."""
    supernet = SuperNet.of(SPACES[request.param], seed=1)
    scatter(supernet, 2)
    soft = supernet.gates.sample(1.0)
    for step in range(2):
        supernet(windows(supernet.space, 8, step), gates=soft, training=True)
    return supernet


def settle(supernet: SuperNet, gates: tf.Tensor, x: tf.Tensor) -> None:
    """Moving statistics = those of this batch, where this architecture has any: new = 0.9·old + 0.1·batch, solved."""
    moving = [weight for weight in supernet.weights if "moving" in weight.name]
    before = [weight.numpy() for weight in moving]
    supernet.sampled(x, gates, training=True)
    for weight, old in zip(moving, before, strict=True):
        new = weight.numpy()
        weight.assign(np.where(new == old, old, 10.0 * (new - 0.9 * old)))


def test_copied_weights_give_the_plain_model_the_same_outputs(moved: SuperNet) -> None:
    space = moved.space
    x = windows(space)
    for architecture in draws(space, 2):
        model = build_model(lower(space, architecture))
        settle(moved, moved.architecture_gates(architecture), x)
        copy_weights(moved, model)
        logits = moved(x, gates=moved.architecture_gates(architecture))
        # The supernet is required to agree to 1e-5; probabilities, so absolute.
        np.testing.assert_allclose(model(x).numpy(), tf.nn.softmax(logits).numpy(), atol=1e-5)
        assert np.ptp(model(x).numpy(), axis=0).max() > 1e-2  # the windows do differ


def test_dead_groups_do_not_change_the_output(moved: SuperNet) -> None:
    space, rng = moved.space, np.random.default_rng(5)
    x = windows(space, 2)
    raw = dict(random_architecture(space, rng))
    cell = space.cells[-1]
    raw |= {name: 0 for name in cell if ".conv" in name} | {f"{cell[0].rpartition('.')[0]}.skip": 1}
    widest = {name: space.group(name).choices[-1] for name in cell if name.endswith("bottleneck")}
    outputs = [
        moved(x, gates=moved.architecture_gates(Architecture(dict(choices)))).numpy()
        for choices in ({**raw, **widest}, canonical(space, {**raw, **widest}))
    ]
    np.testing.assert_array_equal(*outputs)


def test_sampled_is_call_for_one_hot_gates(moved: SuperNet) -> None:
    x = windows(moved.space)
    for architecture in draws(moved.space, 3, seed=1):
        gates = moved.architecture_gates(architecture)
        np.testing.assert_allclose(moved.sampled(x, gates).numpy(), moved(x, gates=gates).numpy(), rtol=1e-4, atol=1e-5)


def test_without_gates_the_most_probable_architecture_answers(moved: SuperNet) -> None:
    start, x = moved.logits.numpy(), windows(moved.space, 2)
    architecture = draws(moved.space, 2, seed=3)[1]
    try:
        moved.logits.assign(3.0 * moved.architecture_gates(architecture).numpy())
        expected = moved(x, gates=moved.architecture_gates(architecture)).numpy()
        np.testing.assert_array_equal(moved(x).numpy(), expected)
    finally:
        moved.logits.assign(start)


@pytest.mark.parametrize("name", ["17x6", "16x1"])
def test_one_training_step_moves_the_statistics_alike(name: str) -> None:
    """`call` also moves those of filters and branches that are off; where `sampled` moves any, both agree."""
    space = SPACES[name]
    one, other = (SuperNet.of(space, seed=1) for _ in range(2))
    scatter(one, 2)
    other.set_weights(one.get_weights())
    x = windows(space, 6)
    for architecture in draws(space, 2, seed=2):
        gates = one.architecture_gates(architecture)
        before = {weight.path: weight.numpy() for weight in other.weights}
        outputs = (one(x, gates=gates, training=True), other.sampled(x, gates, training=True))
        np.testing.assert_allclose(outputs[1].numpy(), outputs[0].numpy(), rtol=1e-3, atol=1e-4)
        compared = 0
        for mine, theirs in zip(one.weights, other.weights, strict=True):
            if "moving" in mine.name:
                changed = theirs.numpy() != before[theirs.path]
                np.testing.assert_allclose(theirs.numpy()[changed], mine.numpy()[changed], rtol=1e-4, atol=1e-5)
                compared += int(changed.sum())
        assert compared > 0
        other.set_weights(one.get_weights())


def test_a_cell_with_nothing_on_takes_its_skip_conv() -> None:
    supernet = SuperNet.of(small_space(extra_cells=0))
    space = supernet.space
    branches = ("fusion0.0.skip", "fusion0.0.conv3", "fusion0.0.conv5")
    empty = supernet.architecture_gates(Architecture({**largest(space), **dict.fromkeys(branches, 0)}))
    skip = supernet.architecture_gates(Architecture({**largest(space), **dict.fromkeys(branches[1:], 0)}))
    np.testing.assert_array_equal(supernet.with_a_branch(empty).numpy(), skip.numpy())
    np.testing.assert_array_equal(supernet.with_a_branch(skip).numpy(), skip.numpy())


def test_soft_gates_lose_the_probability_of_an_empty_cell_to_the_skip_conv() -> None:
    supernet = SuperNet.of(small_space(), seed=3)
    supernet.logits.assign(np.random.default_rng(0).normal(size=supernet.logits.shape))
    gates = supernet.gates.probabilities()
    found = supernet.gate_index.by_group(supernet.with_a_branch(gates))
    given = supernet.gate_index.by_group(gates)
    for name, gate in given.items():
        cell = name.rpartition(".")[0]
        expected = gate.numpy()
        if name.endswith(".skip"):
            empty = np.prod([given[f"{cell}.{branch}"][0].numpy() for branch in ("skip", "conv3", "conv5")])
            expected = expected + np.array([-empty, empty])
        np.testing.assert_allclose(found[name].numpy(), expected, atol=1e-6)
        assert found[name].numpy().min() >= 0


def test_the_seed_decides_the_initial_weights_and_logits() -> None:
    """The weights by Keras's own random state, the logits by the supernet's seed."""
    nets = []
    for seed in (4, 4, 5):
        keras.utils.set_random_seed(seed)
        nets.append(SuperNet.of(small_space(), seed=seed))
    one, same, other = nets
    for mine, theirs in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert any(not np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
    widths = [row for row, group in enumerate(one.space.groups) if group.kind == "width"]
    assert (one.logits.numpy()[widths] == 0).all()
    assert 0 < np.abs(one.logits.numpy()).max() < 0.01


def test_probabilities_have_the_choices_of_each_group() -> None:
    supernet = SuperNet.of(small_space())
    found = supernet.probabilities()
    assert {name: len(values) for name, values in found.items()} == {g.name: len(g) for g in supernet.space.groups}
    assert all(sum(values) == pytest.approx(1.0, abs=1e-6) for values in found.values())


def test_config_rebuilds_the_space() -> None:
    supernet = SuperNet.of(small_space(), seed=7)
    back = SuperNet.from_config(json.loads(json.dumps(supernet.get_config())))
    assert back.space == supernet.space
    assert back.seed == 7


def test_weights_round_trip(tmp_path: Path) -> None:
    supernet, back = (SuperNet.of(small_space(), seed=seed) for seed in (1, 9))
    scatter(supernet, 2)
    supernet.logits.assign(np.random.default_rng(3).normal(size=supernet.logits.shape))
    supernet.temperature.assign(0.3)
    supernet.save_weights(tmp_path / "supernet.weights.h5")
    back.load_weights(tmp_path / "supernet.weights.h5")
    for mine, theirs in zip(supernet.weights, back.weights, strict=True):
        np.testing.assert_array_equal(theirs.numpy(), mine.numpy())


def test_a_saved_supernet_loads_and_computes_the_same(tmp_path: Path) -> None:
    supernet = SuperNet.of(small_space(), seed=1)
    scatter(supernet, 2)
    supernet.save(tmp_path / "supernet.keras")
    back: Any = keras.models.load_model(tmp_path / "supernet.keras")
    x, gates = windows(supernet.space), supernet.architecture_gates(largest(supernet.space))
    np.testing.assert_array_equal(back(x, gates=gates).numpy(), supernet(x, gates=gates).numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": {"latency_ms": Limit(1.0, 2.0)}}, r"Received limits for: \['latency_ms'\]"),
        ({"temperature_floor": 0.0}, r"in \(0, 1\]\. Received: 0\.0, 0\.995"),
        ({"temperature_decay": 1.5}, r"Received: 0\.1, 1\.5"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SuperNet.of(small_space(extra_cells=0)).compile(**options)
