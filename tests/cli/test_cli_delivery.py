"""`export` and `verify`: what a person sees, and the exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from micronas_tf import delivery
from micronas_tf.errors import ModelError

from .conftest import Invoke, assert_refused

VERIFIED: dict[str, Any] = {
    "board": "qemu_cortex_m4",
    "device": "emulated",
    "windows": 200,
    "drawn_windows": 160,
    "reference": "litert",
    "bit_exact": True,
    "first_difference": None,
    "latency_ms": {
        "predicted": 2.0,
        "rel_error": 0.01,
        "source": "a table",
        "measured": 2.01,
        "input_measured": 0.05,
        "limit": None,
    },
    "within_budget": True,
    "operators": [{"index": 0, "name": "conv", "op": {}, "predicted_cycles": 100.0, "measured_cycles": 102.0}],
    "arena": {"planned_bytes": 1024, "high_water_bytes": 1024},
}
EXPORTED: dict[str, Any] = {
    "directory": "run/bundle",
    "bundle": {"flash_bytes": 12_345, "ram_bytes": 1024, "arena_bytes": 1024, "constant_bytes": 9, "compiler": "gcc 1"},
    "tflm": {"flash_bytes": 6000, "arena_bytes": 4000},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def verify_as(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def verify(path: Path, board: str | None, **options: Any) -> dict[str, Any]:
        asked.append((path, board, options["port"], options["windows"]))
        return found

    monkeypatch.setattr(delivery, "verify", verify)
    return asked


def test_verify_shows_what_was_measured(invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = verify_as(monkeypatch, VERIFIED)
    result = invoke("verify", run, "--board", "qemu_cortex_m4", "--windows", "200")
    assert result.exit_code == 0, result.output
    assert asked == [(run, "qemu_cortex_m4", None, 200)]
    for words in (
        "+2.0%",
        "200 windows (160 of them drawn) bit-exact",
        "latency 2.01 ms (predicted 2.00 ms",
        "1,024 B used of 1,024 B",
    ):
        assert words in result.stdout


def test_verify_without_a_prediction(invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latency = {**VERIFIED["latency_ms"], "predicted": None}
    operators = [{**VERIFIED["operators"][0], "predicted_cycles": None}]
    verify_as(monkeypatch, {**VERIFIED, "latency_ms": latency, "operators": operators})
    assert "no prediction" in invoke("verify", run).stdout


def test_the_first_difference_ends_with_1(invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"window": 7, "what": "model_predict", "index": 2, "expected": -3, "received": 4}
    verify_as(monkeypatch, {**VERIFIED, "bit_exact": False, "first_difference": first})
    result = invoke("verify", run, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["first_difference"] == first
    assert "window 7, model_predict, class 2: expected -3, received 4" in result.stderr


def test_unknown_operators_are_named(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(*arguments: Any, **options: Any) -> None:
        raise ModelError("Received others: TANH at position 3.")

    monkeypatch.setattr(delivery, "verify", verify)
    model = tmp_path / "model.tflite"
    model.touch()
    assert_refused(invoke("verify", model, "--board", "qemu_cortex_m4"), 2, "TANH at position 3")


def test_ctrl_c_is_no_broken_promise(invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 says that a promise does not hold."""

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(delivery, "verify", interrupted)
    monkeypatch.setattr(delivery, "export_run", interrupted)
    for command in ("verify", "export"):
        assert_refused(invoke(command, run), 2, "Interrupted. Run the command again.")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_verification_that_is_asked_to_go_ends_its_board(
    ending: signal.Signals, invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in's child is in a session of its own, as an emulated board is."""
    children: list[subprocess.Popen[bytes]] = []

    def verify(*arguments: Any, **options: Any) -> dict[str, Any]:
        child = subprocess.Popen(["sleep", "60"], start_new_session=True)
        children.append(child)
        try:
            signal.raise_signal(ending)
            return VERIFIED
        finally:
            child.kill()
            child.wait()

    monkeypatch.setattr(delivery, "verify", verify)
    # Or the tests themselves would end where the command does not listen.
    unheard: list[int] = []
    former = signal.signal(ending, lambda number, frame: unheard.append(number))
    try:
        assert_refused(invoke("verify", run), 2, "Interrupted.")
        signal.raise_signal(ending)
        assert unheard == [ending], "the former handler is back"
    finally:
        signal.signal(ending, former)
    assert [child.returncode for child in children] == [-signal.SIGKILL]


def test_export_shows_the_sizes(invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def export_run(path: Path, **options: Any) -> dict[str, Any]:
        asked.append((path, options))
        return EXPORTED

    monkeypatch.setattr(delivery, "export_run", export_run)
    result = invoke("export", run, "--rate", "50", "--out", "lib")
    assert result.exit_code == 0, result.output
    assert asked == [(run, {"target": Path("lib"), "sampling_hz": 50.0})]
    assert "flash 12,345 B (code and weights), RAM 1,024 B, gcc 1" in result.stdout
    assert "model 6,000 B and the interpreter, arena 4,000 B" in result.stdout
    assert json.loads(invoke("export", run, "--json").stdout) == EXPORTED
    monkeypatch.setitem(EXPORTED["bundle"], "flash_bytes", None)
    monkeypatch.setitem(EXPORTED["bundle"], "not_linked", "the compiler is away")
    assert "flash: not linked, for the compiler is away" in invoke("export", run).stdout


def test_a_folder_that_is_no_run_is_refused(invoke: Invoke, run: Path) -> None:
    for command in ("export", "verify"):
        assert_refused(invoke(command, run), 2, f"model.tflite cannot be read: No such file or directory. Is {run} the")
