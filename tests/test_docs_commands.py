"""Every command of the documentation is run; those that take minutes, or a compiler and the emulator, in slow tests.

What stands for something of the reader's own (`SOURCE`, `runs/first`, `windows.npz`, …) is there, made up; a board on
USB is replaced by an emulated one, and what comes from the network by made-up windows.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any, Final

import aeon.datasets
import numpy as np
import pytest
from click.testing import CliRunner
from tests.firmware.images import require_tools
from tests.report.sample import CLASSES, write_run
from tests.test_docs import commands

from micronas_tf import delivery
from micronas_tf.boards import boards_directory, load_board
from micronas_tf.cli import main
from micronas_tf.cost import Measurement, Runtime, Table, TableHeader, default_source, read_table, write_table
from micronas_tf.datasets import Standardisation
from micronas_tf.datasets.uci_har import CHANNELS
from micronas_tf.deploy import Model
from micronas_tf.models import build_model
from micronas_tf.ops import Network, OpSpec
from micronas_tf.quantize import quantise_ptq
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.space import build_space

CHEAP: Final = ("boards", "datasets", "estimate", "report", "lut", "export", "fit-latency")
EMULATED: Final = ("verify", "characterize")
OWN: Final = {
    "SOURCE": "windows.npz",
    "MODEL": "runs/first/model.tflite",
    "FILE": "nucleo_f446re.tflm.csv",
    "RUN": "runs/first",
    "CSV": "nucleo_f446re.tflm.csv",
    "ID": "nucleo_f446re",
    "<id>": "nucleo_f446re",
    "~/.local/share/micronas-tf/latency/nucleo_f446re.bundle.csv": "nucleo_f446re.bundle.csv",
}
"""What the reader puts in place of these words."""

STANDS_FOR: Final = {"nucleo_f446re": "qemu_cortex_m4", "nucleo_l552ze_q": "qemu_cortex_m33"}
"""What the test puts in place of a board on USB."""

SHORT: Final = ("--epochs", "1", "--extra-cells", "0", "--quantize", "ptq")


def chosen(*names: str) -> list[str]:
    return [command for command in sorted({command for _, command in commands()}) if command.split()[1] in names]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: data, a board, a finished run and lookup tables."""
    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 16, 3)).astype("float32")
    np.savez(folder / "windows.npz", x=x, y=np.arange(40) % 2, subject=np.arange(40) // 10)
    rows = [f"{k},{'ab'[k // 400 % 2]},{k // 200},{rng.normal():.4f},{rng.normal():.4f}" for k in range(4000)]
    (folder / "samples.csv").write_text("\n".join(["time,label,recording,x,y", *rows]) + "\n")
    write_uci_har(folder / "UCI HAR Dataset", rng)
    shutil.copy(boards_directory() / "nucleo_f446re.toml", folder / "my_board.toml")
    network = finish_run(folder / "runs" / "first", x)
    shutil.copy(folder / "runs" / "first" / "model.tflite", folder / "model.tflite")
    operators = {node.op for node in network.nodes} | {
        op for t, s in ((16, 2), (64, 6)) for op in operators_of(t, s, 3)
    }
    for board, name in (("my_board", "my_table.csv"), ("nucleo_f446re", "nucleo_f446re.tflm.csv")):
        measure(folder / name, tuple(operators), board, "tflm")
    measure(folder / "m4.csv", operators_of(64, 6, 4), "qemu_cortex_m4", "bundle")
    measure(folder / "nucleo_f446re.bundle.csv", operators_of(128, 9, 6), "nucleo_f446re", "bundle")
    (folder / "data" / "latency").mkdir(parents=True)  # as in a checkout
    return folder


def operators_of(window: int, sensors: int, classes: int) -> tuple[OpSpec, ...]:
    return build_space(window, sensors, classes).operators()


def write_uci_har(root: Path, rng: np.random.Generator) -> None:
    """Noise in the folder's layout."""
    for part, count in (("train", 16), ("test", 8)):
        (root / part / "Inertial Signals").mkdir(parents=True)
        for name in CHANNELS:
            np.savetxt(root / part / "Inertial Signals" / f"{name}_{part}.txt", rng.normal(size=(count, 16)))
        np.savetxt(root / part / f"y_{part}.txt", np.arange(count) % 2 + 1, "%d")
        np.savetxt(root / part / f"subject_{part}.txt", np.arange(count) // 4 + 10 * (part == "test"), "%d")
    (root / "activity_labels.txt").write_text("1 WALKING\n2 LAYING\n")


def finish_run(folder: Path, x: np.ndarray) -> Network:
    """As a search leaves it, of an untrained network."""
    network, files = write_run(folder, window=16, sensors=3), RunDirectory(folder)
    scale = Standardisation(x.mean((0, 1)), x.std((0, 1)))
    flatbuffer = quantise_ptq(network, build_model(network), scale.apply(x)[..., None])
    files.flatbuffer.write_bytes(flatbuffer)
    write_json(files.standardisation, scale.to_json())
    model, metrics = Model("motion", flatbuffer, scale, CLASSES), read_json(files.metrics)
    added = delivery.export(files, model, x, load_board("nucleo_f446re"), metrics)
    write_json(files.metrics, {**metrics, **added})
    return network


def measure(path: Path, operators: tuple[OpSpec, ...], board: str, runtime: Runtime) -> None:
    """A lookup table with the cycles of the fitted model."""
    source = default_source("nucleo_f446re", runtime=runtime)
    header = TableHeader(board, 180_000_000, runtime, "none", "none", "2026-01-01", "made up")
    cycles = {op: max(1, round(source.cycles(op).cycles)) for op in operators}
    write_table(path, Table(header, tuple(Measurement(op, count, 3, 0.0) for op, count in cycles.items())))


def words_of(command: str, **own: str) -> list[str]:
    return [{**OWN, **own}.get(word, word) for word in shlex.split(command, comments=True)[1:]]


def emulated(command: str) -> list[str]:
    """Its words, with an emulated board for each one on USB. Skips, or in CI fails, without the tools for it."""
    require_tools()
    return [STANDS_FOR.get(word, word) for word in words_of(command)]


def run(words: list[str], workspace: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit code and output in the reader's folder; `data` is what a reader's own tables lie in."""
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_every_command_of_the_pages_is_run_here() -> None:
    others = {command.split()[1] for _, command in commands()} - {*CHEAP, *EMULATED, "search"}
    assert not others


@pytest.mark.parametrize("command", chosen(*(name for name in CHEAP if name != "fit-latency")))
def test_commands_that_are_cheap_work(
    command: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = run(words_of(command), workspace, tmp_path, monkeypatch)
    words = shlex.split(command)
    if "my_board.toml" in words and "--latency-source" not in words:
        # The page says so: without cycles for it, the command stops.
        assert code == 2
        assert "my_board" in output
    elif words[1:] == ["lut", "check"]:
        # Half a command in a sentence.
        assert code == 2
        assert "Missing argument 'FILE'" in output
    elif words[1] == "lut":
        # The model makes some widths cheaper than narrower ones, as the board does: something is found, or nothing.
        assert code in (0, 1), output
        assert "missing" not in output
    else:
        assert code == 0, output


@pytest.mark.parametrize("command", chosen("fit-latency"))
def test_a_fitted_model_gives_the_cycles_it_was_fitted_on(
    command: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cycles come from a model of the same form: what is left is their rounding."""
    words = words_of(command, FILE=str(tmp_path / "model.json"))
    board = words[words.index("--board") + 1]
    code, output = run([*words, "--json"], workspace, tmp_path, monkeypatch)
    assert code == 0, output
    model = json.loads(output)
    assert model["board"] == board
    assert model["operators"]["conv2d"]["rows"] >= 20
    assert all(kind["check"]["mean_error"] < 0.01 for kind in model["operators"].values())
    runtime = read_table(workspace / words[1]).header.runtime
    written = words[words.index("--out") + 1] if "--out" in words else f"micronas-tf/latency/{board}.{runtime}.json"
    found = workspace / written if "--out" in words else tmp_path / written
    assert json.loads(found.read_text())["operators"] == model["operators"]


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(main, [*([name] if name else []), "--help"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Usage: ")


@pytest.mark.slow
@pytest.mark.parametrize("command", chosen("verify"))
def test_verifications_are_bit_exact(
    command: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = emulated(command)
    code, output = run(words, workspace, tmp_path, monkeypatch)
    assert code == 0, output
    assert f" bit-exact: {words[words.index('--board') + 1]} against litert" in output
    used, planned = re.findall(r"arena ([\d,]+) B used of ([\d,]+) B planned", output)[0]
    assert used == planned


@pytest.mark.slow
@pytest.mark.parametrize("command", chosen("characterize"))
def test_characterising_measures_the_whole_space(
    command: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the emulated board, whose cycles the shipped model was fitted on: it must agree."""
    words = emulated(command)
    if "windows.npz" not in words and "--window" not in words:
        code, output = run(words, workspace, tmp_path, monkeypatch)
        assert code == 2
        assert "give a data set, or --window, --sensors and --classes" in output
        return
    table = tmp_path / "table.csv"
    words = [*words, "--out", str(table)]  # the last one counts
    code, output = run([*words, "--json"], workspace, tmp_path, monkeypatch)
    assert code == 0, output
    shape = [int(words[words.index(name) + 1]) for name in ("--window", "--sensors", "--classes") if name in words]
    operators = operators_of(*shape) if shape else operators_of(16, 3, 2)
    rows = read_table(table).measurements
    assert tuple(row.op for row in rows) == operators
    assert json.loads(output[output.index("{") :])["refused"] == {}
    # The made-up table of the real board has the model's cycles: the constant that fits them is the model's own.
    source = default_source("nucleo_f446re", runtime="bundle")
    ratios = [row.cycles / source.cycles(row.op).cycles for row in rows if row.op.kind == "conv2d"]
    assert np.median(ratios) == pytest.approx(1, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("command", chosen("search"))
def test_searches_end_as_the_page_says(
    command: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shortened to one epoch."""
    words = words_of(command)
    if "RacketSports" in words:
        monkeypatch.setattr(aeon.datasets, "load_classification", downloaded)
    if "my_board.toml" in words:
        # As the page goes on: without cycles it stops, with a model of its own it searches.
        code, output = run([*words, *SHORT], workspace, tmp_path, monkeypatch)
        assert code == 2
        assert "my_board" in output
        # Each space has one mean and one softmax; a fit needs two of each.
        measured = dict.fromkeys((*operators_of(16, 3, 2), *operators_of(32, 3, 3)))
        measure(workspace / "mine.csv", tuple(measured), "my_board", "tflm")
        assert run(["fit-latency", "mine.csv", "--board", "my_board"], workspace, tmp_path, monkeypatch)[0] == 0
    if "--resume" in words:
        interrupted(tmp_path, workspace, monkeypatch)
        code, output = run(words, tmp_path, tmp_path, monkeypatch)
        directory = tmp_path / "runs" / "first"
    else:
        directory = tmp_path / "run"
        code, output = run([*words, *SHORT, "--out", str(directory)], workspace, tmp_path, monkeypatch)
    assert code == 0, output
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics["within_budget"]
    assert metrics["verified"]
    if "--latency-ms" in words:
        assert metrics["latency_ms"]["value"] <= float(words[words.index("--latency-ms") + 1])
    assert {path.name for path in directory.iterdir()} >= {"model.keras", "model.tflite", "report.html", "bundle"}


def downloaded(name: str, *, split: str, **_: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """What aeon gives of a problem of the archive: series [N, channels, time]."""
    rng = np.random.default_rng(len(split))
    return rng.normal(size=(24, 6, 30)), np.array(["smash", "clear"] * 12), {"classlabel": True}


def interrupted(folder: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in `runs/first` that was stopped after its training."""
    source = ["search", str(workspace / "windows.npz"), "--latency-ms", "50", "--out", "runs/first", *SHORT]
    assert run(source, folder, folder, monkeypatch)[0] == 0
    files = RunDirectory(folder / "runs" / "first")
    for path in (files.flatbuffer, files.metrics, files.report):
        path.unlink()
    shutil.rmtree(files.bundle)
    write_json(files.run, {**read_json(files.run), "status": "running"})
