"""What a person sees while a run goes on, and what a program reads at its end: piped, 80 columns wide, odd names."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from micronas_tf import console
from micronas_tf.boards import Budget
from micronas_tf.console import show_estimate, show_fit, show_front, show_summary

NAME = "[rev-b] [/y] :rocket:"
LONG = Path(*["a folder of many words"] * 5)

METRICS: dict[str, Any] = {
    "board": "nucleo_f446re",
    "latency_ms": {"value": 12.5, "rel_error": 0.03, "source": f"lookup table {NAME}"},
    "budget": {"latency_ms": 50.0, "memory_bytes": None, "flash_bytes": None, "memory_figure": "arena"},
    "verification": {"planned_head_bytes": 100, "windows": 40, "bit_equal": True},
    "verified": True,
    **dict.fromkeys(("arena_bytes", "peak_memory_bytes", "flash_bytes", "flatbuffer_bytes"), 1024),
    **{part: {"accuracy": 0.9, "macro_f1": 0.9} for part in ("float", "int8")},
    "time": {
        "budget_s": 600,
        "used_s": 500,
        "steps": {name: [1000, 3000] for name in ("search", "training", "trials")},
    },
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def squeezed(text: str) -> str:
    """Without white space: a table may break a line where it likes."""
    return re.sub(r"\s", "", text)


def test_each_file_of_a_run_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    directory = LONG / NAME
    show_summary(METRICS, directory)
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert str(directory / "model.tflite") in lines
    assert lines[-1] == str(directory / "bundle")
    (spent,) = [line for line in lines if line.startswith("time budget 0:10:00")]
    assert spent.endswith("training 1000 of 3000 steps, trials 1000 of 3000")
    assert squeezed(f"lookup table {NAME}") in squeezed(printed)


def test_names_in_an_estimate_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    operator = {"op": "softmax (1,1,3)", "cycles": 100.0, "latency_ms": 0.1, "share": 1.0, "rel_error": 0.01}
    operator |= {"name": "[/y]", "source": f"lookup table of {LONG / NAME}"}
    figures: dict[str, Any] = {
        "model": str(LONG / NAME / "model.keras"),
        "board": "nucleo_f446re",
        "latency_ms": {"value": 0.1, "rel_error": 0.01},
        "operators": [operator],
        **dict.fromkeys(("overhead_cycles", "arena_bytes", "peak_memory_bytes", "flash_bytes", "macs"), 1000),
    }
    show_estimate(figures)
    printed = capsys.readouterr().out
    assert f"[1] lookup table of {LONG / NAME}" in printed.splitlines()
    assert printed.splitlines()[-1].endswith("1,000 MACs")
    assert squeezed(figures["model"]) in squeezed(printed)
    assert re.search(r"│ \[/y\] +│ softmax \(1,1,3\)", printed)


def test_the_file_of_a_fitted_model_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    model = {"board": "my_board", "runtime": "tflm", "provenance": f"measured by {NAME}", "operators": {}}
    path = LONG / NAME / "my_board.tflm.json"
    show_fit({**model, "operation_count": {"cycles_per_mac": 2.0, "mean_error": 0.2}}, path)
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == str(path)
    assert "Fewer than two rows, so no model: conv2d, add, mean, softmax. A search takes their latency from" in printed
    assert squeezed(f"my_board · tflm · measured by {NAME}") in squeezed(printed)


def test_a_bar_learns_a_new_total(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage may find more to do than it began with, or be cut short."""
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(console, "Console", lambda **options: terminal)
    with console.ConsoleProgress(Budget()) as progress:
        for stage, done, total in (("projecting", 4, 4), ("projecting", 6, 6), ("search", 8, 480), ("search", 96, 96)):
            progress(stage, done, total, {})
        bars = {task.description: (task.completed, task.total, task.finished) for task in progress.bars.tasks}
    assert bars == {"projecting": (6, 6, True), "search": (96, 96, True)}


def test_models_that_had_no_time_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    costs = {"limit": 5.0, "latency_ms": 4.0, "arena_bytes": 1024, "flash_bytes": 2048, "supernet_accuracy": 0.5}
    point = {**costs, "int8_accuracy": 0.9, "trained": True, "chosen": True, "knee": False, "folder": None}
    late = {**point, "int8_accuracy": None, "trained": False, "chosen": False, "folder": "pareto/1"}
    show_front({"axis": "latency", "points": [point, {**late, "folder": None}]})
    assert "no time" not in capsys.readouterr().out
    show_front({"axis": "latency", "points": [late, point, {**late, "folder": "pareto/2"}]})
    assert "2 more had no time: micronas-tf search --resume, with a larger --time-budget" in capsys.readouterr().out
