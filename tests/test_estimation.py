"""Which latency source a search gets for its board and runtime."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from micronas_tf import estimation
from micronas_tf.boards import board_ids, boards_directory, load_board
from micronas_tf.cli.characterize import characterize
from micronas_tf.cost import Measurement, Runtime, Table, TableHeader, load_operator_model, table_path, write_table
from micronas_tf.errors import CostError
from micronas_tf.estimation import fit_latency, latency_notes, latency_source
from micronas_tf.ops import OpSpec
from micronas_tf.space import SpaceConfig, build_space

BOARD = load_board("nucleo_f446re")
OP = OpSpec("softmax", ((1, 1, 6),), (1, 1, 6))
CONV = OpSpec("conv2d", ((32, 3, 8),), (32, 3, 8), (3, 1))
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


def test_without_any_source_the_remedy_is_to_measure() -> None:
    with pytest.raises(CostError, match=r"characterize SOURCE --board nicla_sense_me` .*, else a table of your own"):
        latency_source("auto", load_board("nicla_sense_me"), "bundle")


@pytest.mark.parametrize("runtime", ["tflm", "bundle"])
def test_every_board_with_firmware_has_a_source_for_both_runtimes(runtime: Runtime) -> None:
    operators = build_space(128, 9, 6).operators()
    for board in map(load_board, board_ids()):
        if board.firmware:
            source = latency_source("auto", board, runtime)
            assert source.runtime == runtime
            assert all(source.knows(op) for op in operators)
            assert ("emulated" in source.name) == (runtime == "bundle")


@pytest.mark.parametrize("runtime", ["tflm", "bundle"])
def test_the_operation_count_is_of_the_runtime(runtime: Runtime) -> None:
    assert latency_source("ops", BOARD, runtime).runtime == runtime
    assert latency_source("ops", load_board("qemu_cortex_m4"), runtime) == latency_source("ops", BOARD, runtime)


def test_an_emulated_boards_table_gives_a_model_of_the_board_that_it_stands_for(tmp_path: Path) -> None:
    header = TableHeader("qemu_cortex_m4", 1, "bundle", "portable/1", "gcc", "2026-01-31", "emulated: x 2")
    model = load_operator_model(BOARD.id, "bundle")
    rows = (Measurement(op, model.cycles(op).cycles) for op in build_space(64, 3, 5).operators())
    write_table(tmp_path / "t.csv", Table(header, tuple(rows)))
    path, fitted = fit_latency(tmp_path / "t.csv", BOARD.id, None, seed=0, out=None)
    assert path.name == "nucleo_f446re.bundle.json"
    assert (fitted.board_id, fitted.provenance) == (BOARD.id, "emulated: x 2")
    assert fitted.kinds["conv2d"].check.mean_error < 0.001
    with pytest.raises(CostError, match=r"is of qemu_cortex_m4. Received: --board nucleo_l552ze_q"):
        fit_latency(tmp_path / "t.csv", "nucleo_l552ze_q", None, seed=0, out=None)
    # Whoever names it otherwise: its error is that of emulated cycles.
    _, told = fit_latency(tmp_path / "t.csv", BOARD.id, "Alice, June", seed=0, out=None)
    assert told.provenance == "emulated: Alice, June"
    assert told.cycles(CONV).rel_error == fitted.cycles(CONV).rel_error > 0.03


def test_a_board_of_ones_own_is_named_by_its_id_or_its_file(tmp_path: Path) -> None:
    shutil.copyfile(boards_directory() / "nucleo_f446re.toml", tmp_path / "mine.toml")
    model = load_operator_model(BOARD.id)
    header = TableHeader("mine", BOARD.clock_hz, "tflm", "cmsis-nn", "gcc", "2026-01-31", "made up")
    rows = tuple(Measurement(op, 2 * model.cycles(op).cycles) for op in build_space(64, 3, 5).operators())
    write_table(tmp_path / "t.csv", Table(header, rows))
    for name in ("mine", str(tmp_path / "mine.toml")):
        path, fitted = fit_latency(tmp_path / "t.csv", name, None, seed=0, out=None)
        assert path == tmp_path / "mine.tflm.json"
    assert latency_source("ops", load_board(tmp_path / "mine.toml")) == fitted.operation_count()
    with pytest.raises(CostError, match=r"A board's id becomes the name of a file\. Received: 'boards/mine'"):
        fit_latency(tmp_path / "t.csv", "boards/mine", None, seed=0, out=None)


SPACE = build_space(64, 3, 5, SpaceConfig(extra_cells=0))
COMMAND = "micronas-tf characterize --board {} --runtime {} --window 64 --sensors 3 --classes 5 --extra-cells 0"


def write_rows(folder: Path, count: int | None) -> None:
    """A table of the first operators of the space."""
    model = load_operator_model(BOARD.id, "bundle")
    rows = tuple(Measurement(op, model.cycles(op).cycles) for op in SPACE.operators()[:count])
    write_table(table_path(folder, BOARD.id, "bundle"), replace(TABLE, measurements=rows))


def test_a_search_says_where_its_latencies_come_from(tables: Path) -> None:
    total = len(SPACE.operators())
    model = f"Latency of {total} operators: {total} by the fitted model of nucleo_f446re."
    assert latency_notes("auto", BOARD.id, "tflm", SPACE) == (
        model,
        f"To measure them: {COMMAND.format(BOARD.id, 'tflm')}",
    )
    write_rows(tables, 7)
    origins, offer = latency_notes("auto", BOARD.id, "bundle", SPACE)
    assert origins == (
        f"Latency of {total} operators: 7 by the lookup table of nucleo_f446re (made up, 2026-01-31); "
        f"{total - 7} by the fitted model of nucleo_f446re, emulated."
    )
    assert offer == f"To measure the other {total - 7}: {COMMAND.format(BOARD.id, 'bundle')} --resume"
    write_rows(tables, None)
    (origins,) = latency_notes("auto", BOARD.id, "bundle", SPACE)
    assert f"{total} by the lookup table" in origins


def test_measuring_is_offered_where_it_can_be_done_and_is_wanted() -> None:
    assert len(latency_notes("auto", "nicla_sense_me", "tflm", SPACE)) == 1
    assert len(latency_notes("ops", BOARD.id, "tflm", SPACE)) == 1
    assert COMMAND.format("qemu_cortex_m4", "bundle") in latency_notes("auto", "qemu_cortex_m4", "bundle", SPACE)[1]
    standard = latency_notes("auto", BOARD.id, "tflm", build_space(128, 9, 6))[1]
    assert standard.endswith("--runtime tflm --window 128 --sensors 9 --classes 6")


def test_no_command_is_offered_for_a_space_that_it_cannot_name() -> None:
    own = build_space(128, 9, 6, SpaceConfig(fusion_filters_max=32))
    assert len(latency_notes("auto", BOARD.id, "tflm", own)) == 1


def test_the_command_that_is_offered_exists() -> None:
    words = latency_notes("auto", BOARD.id, "tflm", SPACE)[1].partition(": ")[2].split()
    context = characterize.make_context("characterize", words[2:])
    assert (context.params["window"], context.params["runtime"], context.params["resume"]) == (64, "tflm", False)


def test_emulated_cycles_have_a_larger_error(tables: Path) -> None:
    assert latency_source("auto", BOARD, "bundle").cycles(OP).rel_error == 0.01
    emulated = replace(TABLE.header, provenance="emulated: instructions × 1.56")
    write_table(table_path(tables, BOARD.id, "bundle"), replace(TABLE, header=emulated))
    assert latency_source("auto", BOARD, "bundle").cycles(OP).rel_error == 0.03
