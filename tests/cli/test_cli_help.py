"""`--help` is fast: no command imports TensorFlow before it needs it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert", "tflite_micro")
COMMANDS = (
    "search",
    "report",
    "export",
    "verify",
    "estimate",
    "characterize",
    "boards",
    "datasets",
    "fit-latency",
    "lut check",
)

PROBE = """
import sys
from micronas_tf.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    code = end.code or 0
print("HEAVY", code, sorted({{name.partition(".")[0] for name in sys.modules}} & set({heavy!r})))
"""


def probe(*arguments: str) -> str:
    script = PROBE.format(arguments=list(arguments), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY 0 []"), done.stdout[-300:]
    return done.stdout


def test_help_names_the_commands_and_the_exit_codes() -> None:
    text = probe("--help")
    listed = text.partition("Commands:\n")[2].splitlines()
    assert {line.split()[0] for line in listed if re.match(r"  \w", line)} == {name.split()[0] for name in COMMANDS}
    assert "0 within budget, 1 the promise does not hold, 2 wrong input" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str) -> None:
    text = probe(*command.split(), "--help")
    assert text.startswith("Usage: ")
    assert f" {command} " in text.splitlines()[0]
    assert ("--json" in text) == (command != "report")  # whose output is a page


@pytest.mark.parametrize("arguments", [("--version",), ("boards",), ("-h",)])
def test_what_needs_no_model_does_without_tensorflow(arguments: tuple[str, ...]) -> None:
    probe(*arguments)


def test_help_of_search_names_every_option_that_decides_a_run() -> None:
    text = probe("search", "--help")
    for option in ("--latency-ms", "--memory-kb", "--flash-kb", "--memory-figure", "--epochs", "--seed", "--out"):
        assert option in text
    for option in ("--time-budget", "--pareto", "--pareto-points"):
        assert option in text
    for option in ("--quiet", "--resume", "--board", "--quantize", "--saved-model", "--margin", "--latency-source"):
        assert option in text
