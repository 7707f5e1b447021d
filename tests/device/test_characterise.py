"""Measuring into a table, against a board that lies on a pty: nothing lost, nothing measured twice."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from micronas_tf.cost import Table, read_table, write_table
from micronas_tf.device import WrongFirmwareError, characterise
from micronas_tf.errors import CostError, DeviceError, RunError
from micronas_tf.ops import OpSpec
from micronas_tf.space import build_space

from .fake_board import FakeBoard, bench_of, counted

# The package's name of the module is the function's.
MODULE = importlib.import_module("micronas_tf.device.characterise")
OPERATORS = build_space(128, 9, 6).operators()[::50]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tables" / "nucleo_f446re.bundle.csv"


def test_every_operator_is_in_the_table(path: Path) -> None:
    with FakeBoard() as board:
        found = characterise(bench_of(board), OPERATORS, path)
        assert board.asked == [f"OP {op} n=3" for op in OPERATORS]
    table = read_table(path)
    assert table == found.table
    assert [(row.op, row.cycles, row.repeats, row.spread) for row in table.measurements] == [
        (op, counted(str(op)), 3, 0.0) for op in OPERATORS
    ]
    assert (table.header.board, table.header.runtime, table.header.clock_hz) == ("nucleo_f446re", "bundle", 180_000_000)
    assert (table.header.kernels, table.header.compiler) == ("portable/1", "gcc-12 -O2")
    assert (found.measured, found.refused, found.flagged) == (len(OPERATORS), {}, ())


def test_an_unplugged_cable_leaves_a_table_that_is_gone_on_with(path: Path) -> None:
    def unplugged(board: FakeBoard, reply: bytes) -> bytes:
        board.unplug()
        return b""

    with (
        FakeBoard({4: unplugged}) as board,
        pytest.raises(DeviceError, match=rf"is gone.*holds 4 operators, {len(OPERATORS) - 4} are left.*--resume"),
    ):
        characterise(bench_of(board), OPERATORS, path)
    former = read_table(path)
    assert [row.op for row in former.measurements] == list(OPERATORS[:4])
    with FakeBoard() as board:
        found = characterise(bench_of(board), OPERATORS, path, former=former)
        assert board.asked == [f"OP {op} n=3" for op in OPERATORS[4:]]
    assert found.measured == len(OPERATORS) - 4
    assert [row.op for row in read_table(path).measurements] == list(OPERATORS)


def test_ctrl_c_leaves_a_table(path: Path) -> None:
    def interrupting(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with FakeBoard() as board, pytest.raises(RunError, match=r"Interrupted.*holds 3 operators.*--resume"):
        characterise(bench_of(board), OPERATORS, path, progress=interrupting)
    assert len(read_table(path).measurements) == 3


def test_a_complete_table_is_not_measured_again(path: Path) -> None:
    with FakeBoard() as board:
        former = characterise(bench_of(board), OPERATORS, path).table
    with FakeBoard() as board:
        found = characterise(bench_of(board), OPERATORS, path, former=former)
        assert board.asked == []
    assert found.table == former


def test_repeats_that_disagree_are_measured_again_and_flagged(path: Path) -> None:
    once, twice = str(OPERATORS[0]), str(OPERATORS[1])
    answers = {
        once: ["OK cycles=1000,1000,1011", "OK cycles=1000,1000,1010"],
        twice: ["OK cycles=1000,1000,1100", "OK cycles=1000,1001,1050"],
    }
    with FakeBoard(answers=answers) as board:
        found = characterise(bench_of(board), OPERATORS, path)
        assert len(board.asked) == len(OPERATORS) + 2
    assert found.flagged == (OPERATORS[1],)
    assert [row.spread for row in found.table.measurements[:2]] == pytest.approx([0.01, 50 / 1001])


def test_operators_that_do_not_fit_are_named(path: Path) -> None:
    with FakeBoard(answers={str(OPERATORS[2]): ["ERR ram"]}) as board:
        found = characterise(bench_of(board), OPERATORS, path)
    assert found.refused == {OPERATORS[2]: "ram"}
    assert OPERATORS[2] not in [row.op for row in read_table(path).measurements]


def _silent(board: FakeBoard, reply: bytes) -> bytes:
    board.deaf = True
    return b""


def test_a_board_that_hangs_is_opened_anew_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_LEAST_PATIENCE_S", 0.2)
    with FakeBoard({2: _silent}) as board:
        bench = bench_of(board)

        def restart() -> object:
            board.deaf = False
            return bench.connect()

        found = characterise(replace(bench, connect=restart), OPERATORS, path)  # type: ignore[arg-type]
    assert found.measured == len(OPERATORS)


def test_an_operator_that_hangs_the_board_twice_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_LEAST_PATIENCE_S", 0.2)
    quick = build_space(128, 9, 6).operators()[:4]
    silence = {number: lambda board, reply: b"" for number in range(2, 20)}
    with FakeBoard(silence) as board, pytest.raises(DeviceError) as caught:
        characterise(bench_of(board), quick, path)
    assert str(quick[2]) in str(caught.value)
    assert "holds 2 operators" in str(caught.value)
    assert len(read_table(path).measurements) == 2


@pytest.mark.parametrize(("board", "backend"), [("nucleo_l552ze_q", "portable/1"), ("nucleo_f446re", "cmsis-nn/7.0.0")])
def test_firmware_of_another_board_or_runtime(path: Path, board: str, backend: str) -> None:
    with (
        FakeBoard(board=board, backend=backend) as fake,
        pytest.raises(DeviceError, match="Nothing was measured") as it,
    ):
        characterise(bench_of(fake), OPERATORS, path)
    assert isinstance(it.value.__cause__, WrongFirmwareError)
    assert not path.exists()


def test_a_table_that_is_there_is_not_replaced_by_an_empty_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_LEAST_PATIENCE_S", 0.2)
    with FakeBoard() as board:
        full = characterise(bench_of(board), OPERATORS, path).table
    with FakeBoard({number: lambda board, reply: b"" for number in range(20)}) as board:
        bench = bench_of(board)
        with pytest.raises(DeviceError, match="Nothing was measured"):
            characterise(bench, OPERATORS, path)
    assert read_table(path) == full


def test_a_table_of_other_kernels_is_not_gone_on_with(path: Path) -> None:
    with FakeBoard() as board:
        former = characterise(bench_of(board), OPERATORS, path).table
    other = Table(replace(former.header, kernels="portable/0"), former.measurements)
    write_table(path, other)
    with FakeBoard() as board, pytest.raises(CostError, match=r"portable/0.*portable/1.*--resume"):
        characterise(bench_of(board), OPERATORS, path, former=other)
    assert read_table(path) == other


def test_a_disk_that_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_SAVE_EVERY_S", 0.0)
    saved: list[int] = []

    def filling(where: Path, table: Table) -> None:
        if len(table.measurements) > 2:
            raise RunError(f"Cannot write {where}: No space left on device.")
        write_table(where, table)
        saved.append(len(table.measurements))

    monkeypatch.setattr(MODULE, "write_table", filling)
    with FakeBoard() as board, pytest.raises(RunError, match="No space left"):
        characterise(bench_of(board), OPERATORS, path)
    assert len(read_table(path).measurements) == saved[-1] == 2


def test_a_counter_that_stands_still(path: Path) -> None:
    op: OpSpec = OPERATORS[0]
    with (
        FakeBoard(answers={str(op): ["OK cycles=0,0,0"]}) as board,
        pytest.raises(DeviceError, match="counter stands still"),
    ):
        characterise(bench_of(board), OPERATORS, path)
