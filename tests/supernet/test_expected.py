"""Expected costs: exact at one-hot gates, an expectation at soft ones, and differentiable."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
import tensorflow as tf

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget, MemoryFigure, load_board
from micronas_tf.cost import (
    PERSISTENT_BASE_BYTES,
    align,
    default_source,
    flash_bytes,
    network_latency,
    operator_persistent_bytes,
    peak_memory_bytes,
    scratch_sizes,
)
from micronas_tf.ops import Network
from micronas_tf.search import expected_costs, tabulate_figures
from micronas_tf.space import SearchSpace, SpaceConfig, build_space, largest, lower, random_architecture
from micronas_tf.supernet import ExpectedCosts, GateIndex
from micronas_tf.supernet.expected import smooth_maximum

from .oracles import FloatArray, small_space

BOARD = load_board("nucleo_f446re")
SOURCE = default_source("nucleo_f446re")  # the fitted model that ships: no folder of the user is read


def costs_of(space: SearchSpace, figure: MemoryFigure = "arena") -> ExpectedCosts:
    return expected_costs(tabulate_figures(space, BOARD, Budget(memory_figure=figure), SOURCE))


def draws(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [largest(space), *(random_architecture(space, rng) for _ in range(count - 1))]


def at(costs: ExpectedCosts, architectures: list[Architecture]) -> dict[str, FloatArray]:
    """Every figure at the one-hot gates of each architecture, traced once."""
    compute = tf.function(costs)
    found = [compute(tf.constant(costs.index.one_hot(dict(one)))) for one in architectures]
    return {name: np.array([float(item[name]) for item in found]) for name in found[0]}


def live_bytes(network: Network) -> int:
    """Largest sum over the tensors and scratch that exist while one operator runs, each rounded up to 16."""
    last = {tensor: step for step, node in enumerate(network.nodes) for tensor in node.inputs}
    most = 0
    for step, node in enumerate(network.nodes):
        alive = [0] if last[0] >= step else []
        alive += [before.output for before in network.nodes[:step] if last.get(before.output, -1) >= step]
        sizes = [prod(network.tensors[tensor]) for tensor in {*alive, node.output}]
        most = max(most, sum(map(align, [*sizes, *scratch_sizes(node.op)])))
    return most


@pytest.mark.parametrize(("window", "sensors"), [(128, 9), (64, 30), (17, 1)])
def test_one_hot_gates_cost_what_the_architecture_costs(window: int, sensors: int) -> None:
    """Random architectures, 200 of the paper's space for UCI HAR: the latency is required to 1e-6 relative."""
    space = build_space(window, sensors, 6)
    architectures = draws(space, 200 if window == 128 else 50)
    networks = [lower(space, architecture) for architecture in architectures]
    found = at(costs_of(space), architectures)
    exact = [network_latency(network, SOURCE, BOARD).latency_ms for network in networks]
    np.testing.assert_allclose(found["latency_ms"], exact, rtol=1e-6)
    # float32 holds whole numbers up to 2^24 exactly, and so every partial sum of bytes.
    np.testing.assert_array_equal(found["flash_bytes"], [flash_bytes(network) for network in networks])


@pytest.mark.parametrize(("window", "sensors"), [(128, 9), (64, 30), (17, 6)])
def test_memory_at_one_hot_gates_is_close_to_the_live_set(window: int, sensors: int) -> None:
    """The smooth maximum is at most the maximum; how far below, is bounded over random architectures."""
    space = build_space(window, sensors, 6)
    architectures = draws(space, 60)
    networks = [lower(space, architecture) for architecture in architectures]
    persistent = np.array(
        [PERSISTENT_BASE_BYTES + sum(operator_persistent_bytes(node.op) for node in n.nodes) for n in networks]
    )
    ratio = (at(costs_of(space), architectures)["memory_bytes"] - persistent) / [live_bytes(n) for n in networks]
    assert ratio.max() <= 1.0 + 1e-5
    assert ratio.min() >= 0.95
    assert np.median(ratio) >= 0.98


def test_the_papers_memory_at_one_hot_gates_is_close_to_the_peak() -> None:
    space = build_space(128, 9, 6)
    architectures = draws(space, 60)
    found = at(costs_of(space, "peak"), architectures)["memory_bytes"]
    ratio = found / [peak_memory_bytes(lower(space, architecture)) for architecture in architectures]
    assert ratio.max() <= 1.0 + 1e-5
    assert ratio.min() >= 0.95


def test_soft_gates_give_the_expectation_over_all_architectures() -> None:
    """Every combination of choices, weighed by its probability; empty cells take their skip conv."""
    space = small_space(16, 3, 3, extra_cells=1)
    space = build_space(16, 3, 3, SpaceConfig(**{**space.config.to_json(), "fusion_kernels": (3,)}))
    index, costs = GateIndex(space), costs_of(space)
    gates = np.random.default_rng(0).dirichlet(np.ones(index.columns), index.shape[0]).astype("float32")
    # Where no branch is on there is no network: these rows must not matter, so all skip convs are on.
    for group in space.groups:
        if group.name.endswith(".skip"):
            gates[index.row[group.name]] = np.eye(index.columns)[1]
    expected = dict.fromkeys(("latency_ms", "flash_bytes"), 0.0)
    for values in product(*(range(len(group)) for group in space.groups)):
        weight = float(np.prod([gates[row, value] for row, value in enumerate(values)], dtype=float))
        if weight:
            choices = {g.name: g.choices[value] for g, value in zip(space.groups, values, strict=True)}
            network = lower(space, choices)
            expected["latency_ms"] += weight * network_latency(network, SOURCE, BOARD).latency_ms
            expected["flash_bytes"] += weight * flash_bytes(network)
    found = costs(tf.constant(gates))
    # float32 sums of some twenty terms.
    assert {name: float(found[name]) for name in expected} == pytest.approx(expected, rel=1e-5)


def test_soft_gates_over_the_papers_space_by_monte_carlo() -> None:
    """500 draws; the mean must be within four of its own standard errors."""
    space = build_space(128, 9, 6)
    index, costs, rng = GateIndex(space), costs_of(space), np.random.default_rng(1)
    gates = np.zeros(index.shape, "float32")
    for row, group in enumerate(space.groups):
        gates[row, : len(group)] = [0.0, 1.0] if group.name.endswith(".skip") else rng.dirichlet(np.ones(len(group)))
    drawn = []
    for _ in range(500):
        choices = {
            group.name: int(rng.choice(group.choices, p=gates[row, : len(group)] / gates[row, : len(group)].sum()))
            for row, group in enumerate(space.groups)
        }
        network = lower(space, choices)
        drawn.append((network_latency(network, SOURCE, BOARD).latency_ms, float(flash_bytes(network))))
    mean, error = np.mean(drawn, 0), np.std(drawn, 0) / np.sqrt(len(drawn))
    found = costs(tf.constant(gates))
    assert abs(float(found["latency_ms"]) - mean[0]) < 4 * error[0]
    assert abs(float(found["flash_bytes"]) - mean[1]) < 4 * error[1]


def test_every_gate_that_costs_has_the_gradient_of_finite_differences() -> None:
    space = small_space()
    costs, rng = costs_of(space), np.random.default_rng(2)
    index = GateIndex(space)
    gates = np.zeros(index.shape)
    for row, group in enumerate(space.groups):
        gates[row, : len(group)] = rng.dirichlet(2 * np.ones(len(group)))
    with tf.GradientTape() as tape:
        matrix = tf.constant(gates, tf.float32)
        tape.watch(matrix)
        value = costs(matrix)["latency_ms"]
    gradient = tape.gradient(value, matrix).numpy()
    for row, group in enumerate(space.groups):
        for column in range(len(group)):
            # Latency is a polynomial of degree one in each gate: a large step has no error but rounding.
            ends = []
            for step in (-0.5, 0.5):
                moved = gates.copy()
                moved[row, column] += step
                ends.append(float(costs(tf.constant(moved, tf.float32))["latency_ms"]))
            # In the identity's own literals a width's degree can be two: `(w, w)` never is a site's pair of inputs.
            assert gradient[row, column] == pytest.approx(ends[1] - ends[0], rel=2e-3, abs=1e-5), group.name


def test_smooth_maximum_is_below_the_maximum_and_ignores_what_is_small() -> None:
    assert float(smooth_maximum(tf.constant([100.0, 50.0, 0.0]))) == pytest.approx(100.0, rel=1e-6)
    assert float(smooth_maximum(tf.constant([100.0, 100.0]))) == pytest.approx(100.0, rel=1e-6)
    assert 97.0 < float(smooth_maximum(tf.constant([100.0, 99.0, 98.0, 97.0]))) < 100.0


def test_one_hot_gates_hold_a_1_in_each_row() -> None:
    space = build_space(128, 9, 6)
    index, architecture = GateIndex(space), largest(space)
    matrix = index.one_hot(dict(architecture))
    assert (matrix.sum(1) == 1).all()
    for name, gate in index.by_group(tf.constant(matrix)).items():
        group = space.group(name)
        assert gate.shape == (len(group),)
        assert group.choices[int(np.argmax(gate))] == architecture[name]
