"""Numbers as text, real-time figures, the command of a run, operators."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from micronas_tf.boards import Board, load_board
from micronas_tf.cli import main
from micronas_tf.cost import network_buffers
from micronas_tf.errors import BoardError, RunError
from micronas_tf.ops import Network, Node, OpSpec
from micronas_tf.report import Stream
from micronas_tf.report.command import command_of
from micronas_tf.report.figures.arena import float_head_bytes, plan_blocks
from micronas_tf.report.figures.choices import cells_of, stacked
from micronas_tf.report.figures.layout import Place, place_tensors
from micronas_tf.report.operators import live_bytes
from micronas_tf.report.realtime import paces
from micronas_tf.report.run import read_run
from micronas_tf.report.text import kilobytes, milliseconds, percent, shorten, signed, thousands, two_lines
from micronas_tf.space import build_space, largest, lower
from micronas_tf.timing import parse_duration

from .sample import CLASSES, record, write_run

BOARD = load_board("nucleo_f446re")


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (percent(0.9514), "95.1 %"),
        (percent(0.0), "0.0 %"),
        (percent(0.0004), "< 0.1 %"),
        (percent(None), "–"),
        (percent(0.97, 0), "97 %"),
        (milliseconds(0.0281), "0.028 ms"),
        (milliseconds(48.517), "48.52 ms"),
        (milliseconds(238.61), "238.6 ms"),
        (milliseconds(2560.0), "2.56 s"),
        (milliseconds(None), "–"),
        (kilobytes(560), "560 B"),
        (kilobytes(32768), "32.0 KB"),
        (thousands(512), "512"),
        (thousands(6912), "6.9 k"),
        (thousands(93312), "93 k"),
        (thousands(1_784_832), "1.78 M"),
        (thousands(126_632_960), "127 M"),
        (signed(-0.136, 2, "points"), "−0.14 points"),
        (signed(0.41, 2, "points"), "+0.41 points"),
        (shorten("walking", 7), "walking"),
        (shorten("walking downstairs", 10), "walkin…irs"),
        (two_lines("WALKING_DOWNSTAIRS", 13), "WALKING_\nDOWNSTAIRS"),
        (two_lines("Donaudampfschiff", 8), "Donau…ff"),
    ],
)
def test_text(shown: str, text: str) -> None:
    assert shown == text


def test_shortened_names_keep_to_their_length() -> None:
    name = "a_rather_long_class name-with separators"
    for length in range(4, 40):
        assert len(shorten(name, length)) == length
        assert all(len(line) <= length + 1 for line in two_lines(name, length).splitlines())


def test_duty_cycle_and_energy() -> None:
    """40 ms every 640 ms; 3.3 V · 40 mA · 40 ms = 5.28 mJ; 1/16 · 40 mA + 15/16 · 0.016 mA = 2.515 mA."""
    board = replace(BOARD, supply_v=3.3, active_ma=40.0, sleep_ma=0.016)
    (pace,) = paces(40.0, board, rate_hz=50.0, window=128, hop=32)
    assert (pace.hop, pace.period_ms, pace.duty) == (32, 640.0, 0.0625)
    assert pace.energy_mj == pytest.approx(5.28)
    assert pace.average_ma == pytest.approx(2.515)


def test_an_unknown_hop_gives_three_paces() -> None:
    found = paces(40.0, BOARD, rate_hz=50.0, window=128, hop=None)
    assert [pace.hop for pace in found] == [128, 64, 32]
    assert {pace.energy_mj for pace in found} == {None}


def test_a_board_that_cannot_keep_up_never_sleeps() -> None:
    board = replace(BOARD, supply_v=3.3, active_ma=40.0, sleep_ma=0.016)
    (pace,) = paces(100.0, board, rate_hz=100.0, window=64, hop=5)
    assert pace.duty == 2.0
    assert pace.average_ma is None


@pytest.mark.parametrize("wrong", [{"rate_hz": 0.0}, {"rate_hz": float("nan")}, {"hop": 0}])
def test_streams_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="Received"):
        Stream(**wrong)


@pytest.mark.parametrize("name", ["supply_v", "active_ma", "sleep_ma"])
def test_currents_are_positive(name: str) -> None:
    with pytest.raises(BoardError, match=name):
        Board(**{**asdict(BOARD), name: 0.0})


def parsed(command: str) -> dict[str, Any]:
    """The options of a command line, as click reads them."""
    words = shlex.split(command.replace("\\\n", " "))[1:]
    with main.make_context("micronas-tf", list(words)) as group:
        name, chosen, rest = main.resolve_command(group, words)
        assert chosen is not None
        return chosen.make_context(name, rest, parent=group).params


def test_the_command_says_again_what_the_run_was_told() -> None:
    budget = {"latency_ms": 213.57142857, "memory_bytes": 24 * 1024, "flash_bytes": None, "memory_figure": "peak"}
    found = record(CLASSES, budget, build_space(64, 6, 3), "my data/windows.npz")
    found["settings"] |= {
        "quantisation": "ptq",
        "strategy": "darts-gumbel",
        "margin": 0.05,
        "runtime": "bundle",
        "saved_model": True,
        "time_budget_s": 90.0,
        "pareto": {"axis": "memory", "points": 3},
    }
    found |= {"window": 64, "hop": 16, "test_fraction": 0.4}
    options = parsed(command_of(found))
    assert parse_duration(str(options["time_budget"])) == 90.0
    told = {
        "source": "my data/windows.npz", "window": 64, "hop": 16, "test_fraction": 0.4, "board": "nucleo_f446re",
        "latency_ms": 213.57142857, "memory_kb": 24.0, "flash_kb": None, "strategy": "darts-gumbel",
        "memory_figure": "peak", "epochs": 12, "seed": 7, "quantize": "ptq",
        "latency_source": "auto", "runtime": "bundle", "margin": 0.05, "saved_model": True, "extra_cells": None,
        "pareto": "memory", "pareto_points": 3,
    }  # fmt: skip
    assert {name: options[name] for name in told} == told


def test_a_run_on_arrays_is_a_line_of_python() -> None:
    budget = {"latency_ms": 12.5, "memory_bytes": None, "flash_bytes": None, "memory_figure": "arena"}
    text = command_of(record(CLASSES, budget, build_space(64, 6, 3), "arrays"))
    assert text == "MicroNAS('nucleo_f446re', latency_ms=12.5, epochs=12, seed=7).fit(x, y, …)"


def diamond() -> Network:
    """conv a; then branches b and c of a; their sum; one more conv."""
    shape = (8, 2, 4)
    conv = OpSpec("conv2d", (shape,), shape, kernel=(3, 1))
    first = OpSpec("conv2d", ((8, 2, 1),), shape, kernel=(3, 1))
    nodes = (
        Node("a", first, (0,), 1),
        Node("b", conv, (1,), 2),
        Node("c", conv, (1,), 3),
        Node("sum", OpSpec("add", (shape, shape), shape), (2, 3), 4),
        Node("d", conv, (4,), 5),
    )
    return Network((8, 2, 1), nodes)


def test_branches_stand_side_by_side() -> None:
    assert place_tensors(diamond()) == (
        Place(0, 0), Place(1, 0), Place(2, 0), Place(2, 1), Place(3, 0), Place(4, 0),
    )  # fmt: skip


def test_no_two_operators_stand_in_one_place_and_no_line_runs_through_one() -> None:
    space = build_space(128, 30, 6)
    network = lower(space, largest(space))
    places = place_tensors(network)
    at = {(place.row, place.column): tensor for tensor, place in enumerate(places)}
    assert len(at) == len(places)
    for node in network.nodes:
        for tensor in node.inputs:
            source, reader = places[tensor], places[node.output]
            column = max(source.column, reader.column)
            between = {(row, column) for row in range(source.row + 1, reader.row)}
            assert not between & at.keys()


def test_live_bytes_by_hand() -> None:
    """Tensors of 16 and 64 bytes; scratch 4·3·1 → 16 for a, 4·3·4 = 48 for the others; during c: a, b, c."""
    a, b, c, total, d = live_bytes(diamond(), "tflm")
    assert a == 16 + 64 + 16
    assert b == 64 + 64 + 48
    assert c == 3 * 64 + 48
    assert total == 3 * 64
    assert d == 2 * 64 + 48
    # Without an interpreter's kernels there is no scratch.
    assert live_bytes(diamond(), "bundle")[2] == 3 * 64
    # In float, without scratch: three tensors of 4 · 64 bytes.
    assert float_head_bytes(diamond()) == 3 * 256


def test_blocks_of_the_plan_never_overlap(tmp_path: Path) -> None:
    network = write_run(tmp_path, widest=True)
    run = read_run(tmp_path)
    blocks = plan_blocks(network, run.operators, "tflm")
    assert len(blocks) == len(network_buffers(network, scratch=True))
    for k, one in enumerate(blocks):
        for other in blocks[:k]:
            together = one.first <= other.last and other.first <= one.last
            apart = one.offset + one.size <= other.offset or other.offset + other.size <= one.offset
            assert apart or not together


def test_choices_by_cell_with_the_chosen_ones() -> None:
    columns = [
        "epoch",
        "p(time0.kernel=3)",
        "p(time0.kernel=5)",
        "p(f.skip=0)",
        "p(f.skip=1)",
        "p(f.conv3=0)",
        "p(f.conv3=1)",
    ]
    chosen = {"time0.kernel": 5, "f.skip": 1, "f.conv3": 0}
    time0, fusion = cells_of(columns, chosen, frozenset({"time0.kernel", "f.skip"}))
    ((kernel, choices),) = time0.groups
    assert (time0.name, kernel) == ("time0", "kernel")
    assert [(choice.label, choice.chosen) for choice in choices] == [("3", False), ("5", True)]
    assert [(name, rows[0].column, rows[0].chosen) for name, rows in fusion.groups] == [
        ("skip", "p(f.skip=1)", True),
        ("conv3", "p(f.conv3=1)", None),
    ]


def test_columns_are_in_order_and_level() -> None:
    names = [f"p(cell{k}.width={c})" for k in range(7) for c in (4, 8)]
    cells = cells_of(names, None, frozenset())
    stacks = stacked(cells, 4)
    assert [cell for stack in stacks for cell in stack] == list(cells)
    assert max(map(len, stacks)) == 2
    assert len(stacks) <= 4
