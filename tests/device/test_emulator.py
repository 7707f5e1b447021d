"""Emulated boards measured by the code that measures real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from tests.firmware.images import build_image, require_tools

from micronas_tf.boards import load_board
from micronas_tf.cost import Measurement, load_operator_model, network_latency, read_table
from micronas_tf.device import (
    MACHINES,
    Bench,
    DisconnectedError,
    calibrate,
    characterise,
    check_calibrates,
    emulated_bench,
    network_counts,
)
from micronas_tf.errors import CostError, DeviceError
from micronas_tf.ops import OpSpec
from micronas_tf.space import build_space, lower, random_architecture

OPERATORS = build_space(128, 9, 6).operators()[::25]


@pytest.fixture(params=MACHINES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    require_tools()
    board = load_board(request.param)
    assert board.cycles_per_instruction is not None
    yield emulated_bench(board, "bundle", build_image(board.id), board.cycles_per_instruction)
    assert not emulators(), "QEMU outlives its board"


def emulators(parent: int | None = None) -> list[int]:
    """Process ids of the QEMUs that this process, or another one, has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            if int(rest.split()[1]) == (parent or os.getpid()) and "qemu" in name:
                found.append(int(stat.parent.name))
    return found


def runs_qemu(pid: int) -> bool:
    with suppress(OSError):
        return "qemu" in Path(f"/proc/{pid}/stat").read_text()
    return False


def test_two_runs_are_identical(bench: Bench, tmp_path: Path) -> None:
    tables = [characterise(bench, OPERATORS, tmp_path / f"{run}.csv").table for run in range(2)]
    assert [row.op for row in tables[0].measurements] == list(OPERATORS)
    assert tables[0] == tables[1]
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
    assert tables[0].header.provenance.startswith("emulated: ")
    assert max(row.spread for row in tables[0].measurements) < 0.001


def test_the_shipped_model_predicts_operators_that_it_was_not_fitted_on(bench: Bench, tmp_path: Path) -> None:
    """Another window than those of data/README.md. Measured: 0.3 % in the mean; kernels that change show here."""
    model = load_operator_model(bench.board.emulates, "bundle")
    operators = build_space(90, 7, 8).operators()[::6]
    found = characterise(bench, operators, tmp_path / "t.csv", repeats=1).table.measurements
    errors = [abs(model.cycles(row.op).cycles / row.cycles - 1) for row in found]
    assert len(errors) > 60
    assert fmean(errors) < 0.01
    assert max(errors) < 0.05


def test_a_network_takes_the_sum_of_its_operators(bench: Bench, tmp_path: Path) -> None:
    """Each measured alone; measured difference 0.04 % at most. Node by node, the firmware adds some 20 instructions."""
    space = build_space(64, 5, 4)
    network = lower(space, random_architecture(space, np.random.default_rng(2)))
    table = characterise(bench, [node.op for node in network.nodes], tmp_path / "t.csv").table.source()
    with bench.connect() as link:
        per_count = bench.cycles_per_count(link.connect())
        found = network_counts(link, network, 2, bench.board.clock_hz)
    assert abs(found[0] - found[1]) <= 1
    expected = network_latency(network, table, bench.board).total_cycles
    assert found[0] * per_count == pytest.approx(expected, rel=0.002)


def test_cycles_are_instructions_times_the_constant(bench: Bench, tmp_path: Path) -> None:
    op = next(op for op in build_space(128, 9, 6).operators() if op.kind == "add")
    found = characterise(bench, [op], tmp_path / "t.csv").table.measurements[0]
    assert bench.board.cycles_per_instruction is not None
    instructions = found.cycles / bench.board.cycles_per_instruction
    elements = op.output[0] * op.output[1] * op.output[2]
    assert 5 < instructions / elements < 14


def test_the_constant_is_fitted_on_a_table_of_the_real_board(bench: Bench, tmp_path: Path) -> None:
    """A table made by the emulator itself with another constant gives that constant back."""
    table = characterise(replace(bench, cycles_per_instruction=2.0), OPERATORS, tmp_path / "t.csv").table
    found = calibrate(bench, table.measurements)
    assert found.cycles_per_instruction == pytest.approx(2.0, rel=1e-4)
    assert found.mean_error < 1e-3
    assert found.operators == 20
    check_calibrates(bench.board, "bundle", (bench.board.emulates, "bundle"))
    with pytest.raises(CostError, match=f"Received: {bench.board.id}"):
        check_calibrates(bench.board, "bundle", (bench.board.id, "bundle"))
    with pytest.raises(CostError, match="and tflm"):
        check_calibrates(bench.board, "bundle", (bench.board.emulates, "tflm"))


def test_operators_too_large_for_the_board(bench: Bench) -> None:
    op = OpSpec("mean", ((512, 64, 8),), (1, 1, 8))
    with pytest.raises(CostError, match="No operator of the table fits"):
        calibrate(bench, [Measurement(op, 1e9)])


def _end_in_use(bench: Bench) -> None:
    with bench.connect() as link:
        link.connect()
        (pid,) = emulators()
        os.kill(pid, signal.SIGKILL)
        link.ask("HELLO", timeout_s=0.5)


def test_an_emulator_that_ends_says_so(bench: Bench) -> None:
    with pytest.raises(DisconnectedError, match="QEMU ended with status -9"):
        _end_in_use(bench)


def test_an_image_that_is_none(tmp_path: Path) -> None:
    require_tools()
    bench = emulated_bench(load_board("qemu_cortex_m4"), "bundle", tmp_path / "absent.elf", 1.5)
    with pytest.raises(DeviceError, match=r"QEMU ended with status 1.*absent\.elf"):
        characterise(bench, OPERATORS, tmp_path / "t.csv")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_a_table_and_no_emulator(ending: signal.Signals, tmp_path: Path) -> None:
    require_tools()
    build_image("qemu_cortex_m4")
    table = tmp_path / "t.csv"
    window = ("--window", "128", "--sensors", "9", "--classes", "6")
    arguments = ("characterize", "--board", "qemu_cortex_m4", *window, "--repeats", "32", "--out", str(table))
    # A shell's background jobs, and all that they start, ignore Ctrl-C; Python then leaves it ignored.
    listening = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    )
    command = [sys.executable, "-c", f"{listening}; from micronas_tf.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 180
    while not table.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    boards = emulators(process.pid)
    process.send_signal(ending)
    try:
        _, said = process.communicate(timeout=120)
    finally:
        left = [pid for pid in boards if runs_qemu(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert (process.returncode, len(boards), left) == (2, 1, [])
    held = len(read_table(table).measurements)
    assert 0 < held < 510
    assert f"Interrupted. {table} holds {held} operators, {510 - held} are left. Go on with --resume." in said
