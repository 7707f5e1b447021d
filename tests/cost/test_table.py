"""Lookup-table files: round trip, refusals that name the line, and which source a board gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from micronas_tf.cost.latency import Chain, LookupTable
from micronas_tf.cost.operator_model import OperatorModel, load_operator_model, model_path, write_operator_model
from micronas_tf.cost.records import read_measurements
from micronas_tf.cost.sources import default_source, table_path
from micronas_tf.cost.table import EMULATED, Measurement, Table, TableHeader, read_table, write_table
from micronas_tf.errors import CostError

from .networks import add, branched, conv

HEADER = TableHeader(
    board="nucleo_f446re",
    clock_hz=180_000_000,
    runtime="tflm",
    kernels="CMSIS-NN 7.0",
    compiler="arm-none-eabi-gcc 12.2 -Ofast",
    date="2026-08-01",
    provenance="emulated: QEMU netduinoplus2",
)
ADD = "add,16x5x8+16x5x8,16x5x8,1x1,1x1,same,linear,89640,3,0.0002"


def _table() -> Table:
    ops = dict.fromkeys(node.op for node in branched().nodes)
    return Table(HEADER, tuple(Measurement(op, 1000.5 + index, 3, 0.002) for index, op in enumerate(ops)))


def test_round_trip(tmp_path: Path) -> None:
    write_table(tmp_path / "sub" / "table.csv", _table())
    assert read_table(tmp_path / "sub" / "table.csv") == _table()
    assert read_measurements(tmp_path / "sub" / "table.csv") == _table().measurements
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["table.csv"]


def test_the_file_describes_itself(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", Table(HEADER, (Measurement(add((16, 5, 8)), 89640, 3, 0.0002),)))
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[:4] == [
        "# micronas-tf lookup table",
        "# schema: 1",
        "# board: nucleo_f446re",
        "# clock_hz: 180000000",
    ]
    assert lines[-1] == ADD


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# micronas-tf lookup table", "# something", "line 1: a lookup table begins with"),
        ("# schema: 1", "# schema: 2", "line 2: a lookup table has schema 1"),
        ("# compiler: ", "# compilers: ", "missing or unknown: compiler, compilers"),
        ("clock_hz: 180000000", "clock_hz: fast", "line 9: .*'fast'"),
        ("runtime: tflm", "runtime: arduino", "runtime is one of"),
        (",cycles,", ",ticks,", "line 10: missing columns: cycles"),
        (ADD, ADD + ",1", "line 11: expected 10 cells, found 11"),
        (ADD, ADD + "\n" + ADD, "line 12: .* stands on line 11 already"),
        (ADD, ADD.replace("89640", "many"), "line 11: .*'many'"),
        (ADD, ADD.replace("89640", "0"), "line 11: .*cycles > 0"),
        (ADD, ADD.replace("89640", "nan"), "line 11: .*cycles > 0"),
        (ADD, ADD.replace("same", "none"), "line 11: expected one of same, valid, found 'none'"),
        (ADD, ADD.replace("16x5x8,1x1", "16x5,1x1"), "line 11: not enough values"),
        (ADD, ADD.replace("add", "subtract"), "line 11: Unknown operator kind"),
        (ADD, ADD.replace("16x5x8,1x1", "16x5x9,1x1"), "line 11: .*output shape must be"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "table.csv"
    write_table(path, Table(HEADER, (Measurement(add((16, 5, 8)), 89640, 3, 0.0002),)))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(CostError, match=message):
        read_table(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CostError, match="Cannot read"):
        read_table(tmp_path / "none.csv")


def test_a_header_is_one_line_a_key() -> None:
    with pytest.raises(CostError, match="one line"):
        replace(HEADER, kernels="two\nlines")


RECORDS = """op,input_t,input_s,input_c,output_t,output_s,output_c,kernel_t,kernel_s,\
stride_t,stride_s,padding,activation,quantised,cycles,n,spread_pct
conv2d,16,5,8,16,5,6,1,1,1,1,same,relu,True,47935,2,0.5
add,16,5,8,16,5,8,,,,,,,True,74640,1,0.0
gap2d,16,5,6,,,6,,,,,,,True,97103,1,0.0
softmax,,,6,,,6,,,,,,,True,5055,1,0.0
softmax,,,7,,,7,,,,,,,False,9999,1,0.0
"""


def test_records_of_the_authors_leave_implied_shapes_out(tmp_path: Path) -> None:
    (tmp_path / "records.csv").write_text(RECORDS)
    rows = read_measurements(tmp_path / "records.csv")
    (tmp_path / "spreadsheet.csv").write_text(RECORDS, encoding="utf-8-sig")
    assert read_measurements(tmp_path / "spreadsheet.csv") == rows
    assert [str(row.op) for row in rows] == [
        "conv2d (16,5,8)->(16,5,6) k(1,1) s(1,1) same relu",
        "add (16,5,8)+(16,5,8)->(16,5,8)",
        "mean (16,5,6)->(1,1,6)",
        "softmax (1,1,6)->(1,1,6)",
    ]
    assert (rows[0].cycles, rows[0].repeats, rows[0].spread) == (47935.0, 2, 0.005)


def test_two_tables_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    write_table(path, _table())
    text = path.read_text()
    path.write_text(text + text)
    with pytest.raises(CostError, match="mixed provenance"):
        read_table(path)


def test_an_unknown_record_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "records.csv").write_text(RECORDS.replace("gap2d", "lstm"))
    with pytest.raises(CostError, match=r"line 4: expected conv2d, .* found 'lstm'"):
        read_measurements(tmp_path / "records.csv")


def test_all_records_are_read(shared: Path) -> None:
    counts = {path.stem: len(read_measurements(path)) for path in (shared / "lookup").glob("n*.csv")}
    assert counts == {"nucleo_f446re": 1436, "nucleo_l552ze_q": 2126, "nicla_sense_me": 4261}


def test_without_a_table_the_shipped_model_answers(tmp_path: Path) -> None:
    source = default_source("nucleo_f446re", [tmp_path])
    assert isinstance(source, OperatorModel)
    assert source == load_operator_model("nucleo_f446re")


def test_a_users_table_takes_precedence(tmp_path: Path) -> None:
    write_table(table_path(tmp_path, "nucleo_f446re", "tflm"), _table())
    source = default_source("nucleo_f446re", [tmp_path / "none", tmp_path])
    assert isinstance(source, Chain)
    measured, modelled = branched().nodes[0].op, conv((40, 2, 8), 8, (3, 1))
    assert source.cycles(measured).cycles == 1000.5
    assert source.cycles(measured).provenance.startswith("measured (emulated: QEMU")
    assert source.cycles(modelled).provenance == "fitted model of nucleo_f446re"


def test_a_table_alone_is_enough_for_a_board_without_a_model(tmp_path: Path) -> None:
    header = replace(HEADER, board="my_board", runtime="bundle")
    write_table(table_path(tmp_path, "my_board", "bundle"), Table(header, _table().measurements))
    assert isinstance(default_source("my_board", [tmp_path], "bundle"), LookupTable)


def test_a_users_model_takes_precedence_over_the_shipped_one(tmp_path: Path) -> None:
    shipped = load_operator_model("nucleo_f446re")
    own = replace(shipped, kinds={"conv2d": shipped.kinds["conv2d"]}, provenance=f"{EMULATED}: mine")
    write_operator_model(model_path(tmp_path, "nucleo_f446re", "tflm"), own)
    source = default_source("nucleo_f446re", [tmp_path])
    assert source == Chain((own, shipped))
    assert source.name == "your fitted model of nucleo_f446re, emulated, then fitted model of nucleo_f446re"
    # Fitted on convolutions alone, it leaves the others to the one that ships.
    nodes = {node.op.kind: node.op for node in branched().nodes}
    assert source.cycles(nodes["conv2d"]).provenance.startswith("your fitted model of nucleo_f446re, emulated")
    assert source.cycles(nodes["add"]) == shipped.cycles(nodes["add"])


def test_a_board_without_any_source_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CostError, match="micronas-tf fit-latency CSV --board my_board"):
        default_source("my_board", [tmp_path], "bundle")


def test_an_emulated_board_has_the_model_of_the_board_that_it_stands_for(tmp_path: Path) -> None:
    source = default_source("qemu_cortex_m4", [tmp_path], "bundle", "nucleo_f446re")
    assert source == load_operator_model("nucleo_f446re", "bundle")
    own = replace(load_operator_model("nucleo_f446re", "bundle"), board_id="qemu_cortex_m4")
    write_operator_model(model_path(tmp_path, "qemu_cortex_m4", "bundle"), own)
    assert default_source("qemu_cortex_m4", [tmp_path], "bundle", "nucleo_f446re") == own


def test_a_table_of_another_board_is_refused(tmp_path: Path) -> None:
    write_table(table_path(tmp_path, "nucleo_l552ze_q", "tflm"), _table())
    with pytest.raises(CostError, match="must be of nucleo_l552ze_q"):
        default_source("nucleo_l552ze_q", [tmp_path])
