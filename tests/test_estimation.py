"""Which latency source a search gets for its board and runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from micronas_tf import estimation
from micronas_tf.boards import load_board
from micronas_tf.cost import Measurement, Table, TableHeader, table_path, write_table
from micronas_tf.errors import CostError
from micronas_tf.estimation import latency_source
from micronas_tf.ops import OpSpec

BOARD = load_board("nucleo_f446re")
OP = OpSpec("softmax", ((1, 1, 6),), (1, 1, 6))
TABLE = Table(
    TableHeader(BOARD.id, BOARD.clock_hz, "bundle", "portable/1", "gcc -O2", "2026-01-31", "made up"),
    (Measurement(OP, 1234.0, 3),),
)


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder with a table of the runtime `bundle`."""
    monkeypatch.setattr(estimation, "user_tables", lambda: tmp_path)
    write_table(table_path(tmp_path, BOARD.id, "bundle"), TABLE)
    return tmp_path


def test_a_table_is_found_by_its_runtime() -> None:
    assert latency_source("auto", BOARD, "bundle").cycles(OP).cycles == 1234.0
    assert latency_source("auto", BOARD).cycles(OP).cycles != 1234.0
    assert latency_source("auto", BOARD).runtime == "tflm"


def test_a_named_table_is_of_the_runtime_that_is_asked_for(tables: Path) -> None:
    path = str(table_path(tables, BOARD.id, "bundle"))
    assert latency_source(path, BOARD, "bundle").knows(OP)
    with pytest.raises(CostError, match=r"is of the runtime bundle. Received: --runtime tflm"):
        latency_source(path, BOARD)
    with pytest.raises(CostError, match=r"is of nucleo_f446re. Received: --board nucleo_l552ze_q"):
        latency_source(path, load_board("nucleo_l552ze_q"), "bundle")


def test_without_a_table_the_remedy_is_to_measure() -> None:
    with pytest.raises(CostError, match="make characterize BOARD=nucleo_l552ze_q"):
        latency_source("auto", load_board("nucleo_l552ze_q"), "bundle")


def test_the_operation_count_is_of_tflm() -> None:
    assert latency_source("ops", BOARD).runtime == "tflm"
    with pytest.raises(CostError, match="Received: --runtime bundle"):
        latency_source("ops", BOARD, "bundle")


def test_emulated_cycles_have_a_larger_error(tables: Path) -> None:
    assert latency_source("auto", BOARD, "bundle").cycles(OP).rel_error == 0.01
    emulated = replace(TABLE.header, provenance="emulated: instructions × 1.56")
    write_table(table_path(tables, BOARD.id, "bundle"), replace(TABLE, header=emulated))
    assert latency_source("auto", BOARD, "bundle").cycles(OP).rel_error == 0.03
