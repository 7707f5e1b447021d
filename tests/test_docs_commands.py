"""Every command of the documentation that needs neither a board nor minutes is run; searches run in the slow tests.

What stands for something of the reader's own (`SOURCE`, `runs/first`, `windows.npz`, …) is there, made up.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from click.testing import CliRunner
from tests.report.sample import write_run
from tests.test_docs import commands

from micronas_tf.boards import boards_directory
from micronas_tf.cli import main
from micronas_tf.cost import Measurement, Table, TableHeader, default_source, write_table
from micronas_tf.models import build_model
from micronas_tf.ops import Network
from micronas_tf.quantize import quantise_ptq

CHEAP: Final = ("boards", "datasets", "estimate", "report", "lut")
OWN: Final = {"SOURCE": "windows.npz", "MODEL": "runs/first/model.tflite", "FILE": "my_table.csv", "RUN": "runs/first"}
"""What the reader puts in place of these words."""

SHORT: Final = ("--epochs", "1", "--extra-cells", "0", "--quantize", "ptq")


def chosen(cheap: bool) -> list[str]:
    found = sorted({command for _, command in commands()})
    names = CHEAP if cheap else ("search",)
    return [command for command in found if command.split()[1] in names]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: data, a board, a finished run and a lookup table of its network."""
    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 16, 3)).astype("float32")
    np.savez(folder / "windows.npz", x=x, y=np.arange(40) % 2, subject=np.arange(40) // 10)
    rows = [f"{k},{'ab'[k // 400 % 2]},{k // 200},{rng.normal():.4f},{rng.normal():.4f}" for k in range(4000)]
    (folder / "samples.csv").write_text("\n".join(["time,label,recording,x,y", *rows]) + "\n")
    shutil.copy(boards_directory() / "nucleo_f446re.toml", folder / "my_board.toml")
    network = write_run(folder / "runs" / "first", window=16, sensors=3)
    model = quantise_ptq(network, build_model(network), np.zeros((2, *network.input_shape), np.float32))
    (folder / "runs" / "first" / "model.tflite").write_bytes(model)
    measure(folder / "my_table.csv", network)
    return folder


def measure(path: Path, network: Network) -> None:
    """A lookup table of this network's operators, with the fitted model's cycles."""
    source = default_source("nucleo_f446re")
    header = TableHeader("nucleo_f446re", 180_000_000, "tflm", "none", "none", "2026-01-01", "made up")
    cycles = {node.op: max(1, round(source.cycles(node.op).cycles)) for node in network.nodes}
    write_table(path, Table(header, tuple(Measurement(op, count, 3, 0.0) for op, count in cycles.items())))


def run(command: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> tuple[int, str]:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("XDG_DATA_HOME", str(workspace / "user-data"))
    words = [OWN.get(word, word) for word in shlex.split(command, comments=True)[1:]]
    done = CliRunner().invoke(main, [*words, *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize("command", chosen(cheap=True))
def test_commands_that_are_cheap_work(command: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)
    if "nucleo_f446re.bundle.csv" in words or words[1:] == ["lut", "check"]:
        pytest.skip("a table that only a measurement makes, or half a command in a sentence")
    code, output = run(command, workspace, monkeypatch)
    if "my_board.toml" in words:
        # The page says so: without cycles for it, the command stops.
        assert code == 2
        assert "my_board" in output
    elif words[1] == "lut":
        # The made-up table lacks most of a space: something is found, or nothing; both are answers.
        assert code in (0, 1), output
    else:
        assert code == 0, output


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(main, [*([name] if name else []), "--help"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Usage: ")


@pytest.mark.slow
@pytest.mark.parametrize("command", chosen(cheap=False))
def test_searches_end_as_the_page_says(command: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortened to one epoch. A tiny network may need more than a limit on a data set of noise: that is exit code 1."""
    for needed, why in (("UCI HAR", "the data set"), ("RacketSports", "a download"), ("--resume", "an interrupted run"),
                        ("my_board.toml", "a measured board"), ("bundle", "a measured board")):  # fmt: skip
        if needed in command:
            pytest.skip(f"needs {why}")
    code, output = run(command, workspace, monkeypatch, *SHORT)
    assert code == 0, output
