"""`characterize` and `lut`: what a person sees before and after the measuring."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.device.fake_board import FakeBoard, bench_of
from tests.firmware.images import require_tools

from micronas_tf import characterisation, estimation
from micronas_tf.cli import main
from micronas_tf.cost import Measurement, Table, TableHeader, macs, read_table, write_table
from micronas_tf.device import MACHINES, serial_port
from micronas_tf.space import SpaceConfig, build_space

WINDOW = ("--window", "16", "--sensors", "2", "--classes", "3", "--extra-cells", "0")
SPACE = characterisation.WindowShape(16, 2, 3, 0).space()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBoard]:
    with FakeBoard() as fake:
        monkeypatch.setattr(characterisation, "prepare_bench", lambda *_, **__: bench_of(fake))
        yield fake


def test_a_table_in_the_users_folder(board: FakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characterisation, "user_tables", lambda: tmp_path)
    done = call("characterize", "--board", "nucleo_f446re", *WINDOW)
    assert done.exit_code == 0, done.output
    table = read_table(tmp_path / "nucleo_f446re.bundle.csv")
    assert tuple(row.op for row in table.measurements) == SPACE.operators()
    assert f"{len(SPACE.operators())} operators measured" in done.output
    assert "micronas-tf search --board nucleo_f446re --runtime bundle" in done.output


@pytest.mark.parametrize("out", [None, "my tables/elsewhere.csv"])
def test_the_command_that_is_offered_reads_the_table(
    out: str | None, board: FakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options are parsed as `search` parses them; then every operator of the space comes from the table."""
    for module in (characterisation, estimation):
        monkeypatch.setattr(module, "user_tables", lambda: tmp_path / "data")
    (tmp_path / "my tables").mkdir()
    done = call("characterize", "--board", "nucleo_f446re", *WINDOW, *(() if out is None else ("--out", out)))
    assert done.exit_code == 0, done.output
    words = shlex.split(done.stdout.splitlines()[-1].removeprefix("Use it: micronas-tf search "))
    given = main.commands["search"].make_context("search", words).params
    config = SpaceConfig(extra_cells=given["extra_cells"])
    space = build_space(16, 2, 3, config)
    notes = estimation.latency_notes(given["latency_source"], given["board"], given["runtime"], space)
    count = len(space.operators())
    (note,) = notes
    assert note.startswith(f"Latency of {count} operators: {count} by the lookup table of nucleo_f446re (")


@pytest.mark.parametrize("name", MACHINES)
def test_an_emulated_board_from_the_command_to_the_search(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Builds the image, measures, and `auto` finds every operator of the space in the table."""
    require_tools()
    for module in (characterisation, estimation):
        monkeypatch.setattr(module, "user_tables", lambda: tmp_path)
    done = call("characterize", "--board", name, *WINDOW, "--repeats", "2", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["measured"], said["refused"], said["flagged"]) == (len(SPACE.operators()), {}, [])
    (note,) = estimation.latency_notes("auto", name, "bundle", SPACE)
    assert note.startswith(f"Latency of {said['measured']} operators: {said['measured']} by the lookup table of {name}")


def built_too_early(*_: object, **__: object) -> None:
    pytest.fail("the firmware was built before the options were checked")


@pytest.mark.parametrize(
    ("board", "instead"), [("nucleo_f446re", "qemu_cortex_m4"), ("nucleo_l552ze_q", "qemu_cortex_m33")]
)
def test_a_real_board_is_not_calibrated(
    board: str, instead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before its firmware is built and uploaded, with the board that can be."""
    monkeypatch.setattr(characterisation, "prepare_bench", built_too_early)
    path = tmp_path / "records.csv"
    path.write_text("op\n")
    done = call("characterize", "--board", board, *WINDOW, "--calibrate", str(path))
    assert done.exit_code == 2
    assert f"Received: {board}, a real board" in done.stderr
    assert done.stderr.rstrip().endswith(f"choose --board {instead}.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("BasicMotions", "--sensors", "9"), "Received besides it: --sensors. Leave that out"),
        (("BasicMotions", "--classes", "4", "--sensors", "6"), "Received besides it: --sensors and --classes"),
        ((*WINDOW, "--hop", "8"), "--hop cuts the samples of SOURCE"),
    ],
)
def test_what_would_be_ignored_is_refused(
    arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(characterisation, "prepare_bench", built_too_early)
    done = call("characterize", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_records_calibrate_an_emulated_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of TFLM's kernels: refused, with the reason, for ours, before anything is built."""
    monkeypatch.setattr(characterisation, "prepare_bench", built_too_early)
    records = tmp_path / "records.csv"
    records.write_text("op\n")
    done = call("characterize", "--board", "qemu_cortex_m4", *WINDOW, "--calibrate", str(records), "--out", "t.csv")
    assert done.exit_code == 2
    assert (
        "is calibrated by cycles of nucleo_f446re with the runtime bundle. Received: nucleo_f446re and tflm"
        in done.stderr
    )


def test_resuming_and_starting_over(board: FakeBoard, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    arguments = ("characterize", *WINDOW, "--out", str(path), "--json")
    assert json.loads(call(*arguments).stdout)["measured"] == len(SPACE.operators())
    asked = len(board.asked)
    assert json.loads(call(*arguments, "--resume").stdout)["measured"] == 0
    assert len(board.asked) == asked
    assert not path.with_name("t.csv.old").exists()
    assert json.loads(call(*arguments).stdout)["operators"] == len(SPACE.operators())
    assert len(board.asked) == 2 * asked
    full = read_table(path)
    assert read_table(path.with_name("t.csv.old")) == full
    # A run that ended early must not push the full table out of its copy.
    write_table(path, Table(full.header, full.measurements[:3]))
    call(*arguments)
    assert read_table(path.with_name("t.csv.old")) == full


def test_without_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "list_port_infos", list)
    done = call("characterize", "--board", "nucleo_f446re", *WINDOW)
    assert done.exit_code == 2
    assert "No board nucleo_f446re is attached" in done.stderr
    assert "Received ports: none" in done.stderr
    assert "--board qemu_cortex_m4" in done.stderr


def test_a_board_without_firmware_is_refused_by_name() -> None:
    done = call("characterize", "--board", "nicla_sense_me", *WINDOW)
    assert done.exit_code == 2
    assert "nicla_sense_me has no firmware" in done.stderr


def test_a_window_that_is_not_said() -> None:
    done = call("characterize", "--window", "128")
    assert done.exit_code == 2
    assert "--sensors and --classes. Received: 128, None, None" in done.stderr


def test_a_source_gives_the_window(board: FakeBoard, tmp_path: Path) -> None:
    """BasicMotions: 100 samples, 6 channels, 4 classes."""
    done = call("characterize", "BasicMotions", "--extra-cells", "0", "--out", str(tmp_path / "t.csv"), "--json")
    assert done.exit_code == 0, done.output
    expected = characterisation.WindowShape(100, 6, 4, 0).space().operators()
    assert json.loads(done.stdout)["operators"] == len(expected)


def test_the_health_of_a_table(tmp_path: Path) -> None:
    header = TableHeader("nucleo_f446re", 180_000_000, "bundle", "portable/1", "gcc -O2", "2026-01-31", "made up")
    operators = build_space(128, 9, 6).operators()
    rows = tuple(Measurement(op, 500.0 + max(2 * macs(op), op.inputs[0][0]), 3) for op in operators)
    path = tmp_path / "t.csv"
    write_table(path, Table(header, rows))
    window = ("--window", "128", "--sensors", "9", "--classes", "6")
    done = call("lut", "check", str(path), *window)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "Nothing found.")
    write_table(path, Table(header, rows[2:]))
    done = call("lut", "check", str(path), *window, "--json")
    assert done.exit_code == 1
    assert [item["rule"] for item in json.loads(done.stdout)] == ["missing", "missing"]
    path.write_text("kind\n")
    assert call("lut", "check", str(path)).exit_code == 2
