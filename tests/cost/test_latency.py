"""Latency sources: who knows what, who answers, and what a network's error is."""

from __future__ import annotations

import pytest

from micronas_tf.boards import load_board
from micronas_tf.cost.latency import Chain, Estimate, LookupTable, OperationCount, network_latency
from micronas_tf.cost.macs import network_macs
from micronas_tf.errors import CostError

from .networks import add, branched, conv

CONV = conv((16, 5, 8), 16, (5, 1))
OTHER = conv((16, 5, 8), 16, (3, 1))


def _table(entries: dict[object, float], runtime: str = "tflm") -> LookupTable:
    estimates = {op: Estimate(cycles, 0.01, "measured") for op, cycles in entries.items()}
    return LookupTable("nucleo_f446re", runtime, estimates)  # type: ignore[arg-type]


def test_an_unknown_operator_says_what_to_run() -> None:
    with pytest.raises(CostError) as error:
        _table({CONV: 1.0}).cycles(conv((128, 3, 8), 16, (5, 1), (2, 1)))
    assert str(error.value) == (
        "No latency for conv2d (128,3,8)->(64,3,16) k(5,1) s(2,1) same relu on nucleo_f446re. "
        "Measure it: `micronas-tf characterize SOURCE --board nucleo_f446re` for the windows of SOURCE if the board "
        "has a firmware, else a table of your own and `micronas-tf fit-latency CSV --board nucleo_f446re` "
        "(docs/own-board.md)."
    )


def test_an_operator_is_known_exactly_or_not_at_all() -> None:
    table = _table({CONV: 7.0})
    assert table.cycles(CONV).cycles == 7.0
    assert not table.knows(conv((16, 5, 8), 16, (5, 1), activation="linear"))


def test_the_operation_count_is_proportional_to_macs() -> None:
    source = OperationCount("nucleo_f446re", 3.5, 0.21)
    network = branched()
    total = sum(source.cycles(node.op).cycles for node in network.nodes)
    assert total == pytest.approx(3.5 * network_macs(network))
    assert source.cycles(add((16, 5, 8))).cycles == 0


def test_the_first_source_of_a_chain_that_knows_an_operator_answers() -> None:
    chain = Chain((_table({CONV: 7.0}), _table({CONV: 8.0, OTHER: 9.0})))
    assert chain.cycles(CONV).cycles == 7.0
    assert chain.cycles(OTHER).cycles == 9.0
    assert chain.knows(OTHER)
    assert not chain.knows(add((16, 5, 8)))
    with pytest.raises(CostError, match="No latency for add"):
        chain.cycles(add((16, 5, 8)))


def test_a_chain_counts_distinct_operators_by_source() -> None:
    table, model = _table({CONV: 7.0}), OperationCount("nucleo_f446re", 3.5, 0.21)
    chain = Chain((table, model))
    assert chain.counts([CONV, CONV, OTHER]) == {table.name: 1, model.name: 1}


def test_a_chain_of_two_runtimes_is_refused() -> None:
    with pytest.raises(CostError, match="one runtime"):
        Chain((_table({CONV: 7.0}), _table({CONV: 7.0}, "bundle")))


def test_a_networks_latency_worked_by_hand() -> None:
    network = branched()
    errors = [0.01 * (1 + index) for index in range(len(network.nodes))]
    entries = {
        node.op: Estimate(1000.0 * (1 + index), error, "measured")
        for index, (node, error) in enumerate(zip(network.nodes, errors, strict=True))
    }
    board = load_board("nucleo_f446re")
    latency = network_latency(network, LookupTable("nucleo_f446re", "tflm", entries), board)
    # Both adds are one operator: the later entry (7,000 cycles, 7 %) stands for node 4 and node 6.
    cycles = [1000, 2000, 3000, 4000, 7000, 6000, 7000, 8000, 9000, 10000]
    total = sum(cycles) + 10 * board.op_overhead_cycles
    assert [estimate.cycles for estimate in latency.estimates] == cycles
    assert latency.total_cycles == total
    assert latency.latency_ms == pytest.approx(total / 180_000)
    expected = sum(c * c / 1000 * 0.01 for c in cycles) / total
    assert latency.rel_error == pytest.approx(expected)


def test_a_bundle_has_no_interpreter_overhead() -> None:
    network = branched()
    entries = {node.op: Estimate(100.0, 0.0, "measured") for node in network.nodes}
    latency = network_latency(network, LookupTable("b", "bundle", entries), load_board("nucleo_f446re"))
    assert latency.total_cycles == 1000
    assert latency.runtime == "bundle"


@pytest.mark.parametrize(("cycles", "error"), [(-1.0, 0.1), (1.0, -0.1), (float("nan"), 0.1)])
def test_impossible_estimates_are_refused(cycles: float, error: float) -> None:
    with pytest.raises(CostError, match="at least 0"):
        Estimate(cycles, error, "x")
