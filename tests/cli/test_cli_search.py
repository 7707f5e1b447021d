"""`micronas-tf search`, from windows to a verified int8 model."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Board, load_board
from micronas_tf.cost import default_source, network_costs
from micronas_tf.datasets import Standardisation, describe, load_dataset
from micronas_tf.ops import Network
from micronas_tf.quantize import verify
from micronas_tf.search import SearchRecipe
from micronas_tf.space import SpaceConfig, build_space, lower
from micronas_tf.training import float_scores, network_input

from .conftest import Invoke, assert_refused

# One epoch, the smallest space of these windows, and no fine-tuning: the way through is what is tested here.
OPTIONS = ("--latency-ms", "50", "--memory-kb", "32", "--epochs", "1", "--extra-cells", "0", "--quantize", "ptq")
FILES = {
    "architecture.json",
    "details.json",
    "metrics.json",
    "model.keras",
    "model.tflite",
    "network.json",
    "report.html",
    "run.json",
    "standardisation.json",
    "search/candidates.json",
    "search/checkpoint.npz",
    "search/history.csv",
    "search/probabilities.json",
    "search/trials.json",
    *(
        f"figures/{name}.{kind}"
        for name in ("arena", "choices", "confusion", "latency", "network", "search", "trials")
        for kind in ("png", "svg")
    ),
    "search/tensorboard/events.out.tfevents",
}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def files_of(folder: Path) -> set[str]:
    """Without the bundle's; TensorBoard's file has the time in its name."""
    every = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    found = [name for name in every if not name.startswith("bundle/")]
    return {re.sub(r"tfevents\.\d+$", "tfevents", name) for name in found}


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, in_a_process: Callable[..., subprocess.CompletedProcess[str]]
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A whole run in a process of its own, with --json: its folder and what it said."""
    folder = tmp_path_factory.mktemp("search")
    done = in_a_process("search", *OPTIONS, "--json", "--out", folder / "run", XDG_DATA_HOME=str(folder / "data"))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run", done


@pytest.fixture
def copy(finished: tuple[Path, Any], tmp_path: Path) -> Path:
    """The finished run, to be damaged and resumed."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def test_standard_output_is_json_and_nothing_else(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = finished
    said = json.loads(done.stdout)
    assert said.pop("directory") == str(folder)
    assert said == read(folder / "metrics.json")


def test_the_files_of_a_run(finished: tuple[Path, Any]) -> None:
    assert files_of(finished[0]) == FILES
    for name in ("bundle.json", "golden.npz", "model.c", "tflm/model_data.cc"):
        assert (finished[0] / "bundle" / name).is_file()
    metrics, about = read(finished[0] / "metrics.json"), read(finished[0] / "bundle/bundle.json")
    assert metrics["tflm"] == about["tflm"] == {**about["tflm"], "flash_bytes": metrics["flatbuffer_bytes"]}
    assert metrics["bundle"]["arena_bytes"] == about["arena_bytes"] < metrics["arena_bytes"]


def test_run_file_says_what_was_run(finished: tuple[Path, Any]) -> None:
    record = read(finished[0] / "run.json")
    assert (record["schema"], record["status"], record["source"]) == (4, "done", None)
    assert record["data"]["sha256"] == load_dataset(None).sha256
    assert record["settings"]["seed"] == 0
    assert record["settings"]["board"] == "nucleo_f446re"
    assert record["settings"]["budget"]["latency_ms"] == 50.0
    assert {"micronas-tf", "python", "tensorflow", "keras", "numpy"} <= set(record["versions"])


def test_metrics_have_the_schema_of_the_design(finished: tuple[Path, Any]) -> None:
    metrics = read(finished[0] / "metrics.json")
    for part in ("int8", "float"):
        assert set(metrics[part]) == {"accuracy", "macro_f1"}
        assert all(0 <= value <= 1 for value in metrics[part].values())
    assert set(metrics["latency_ms"]) == {"value", "rel_error", "source", "runtime"}
    assert set(metrics["budget"]) == {"latency_ms", "memory_bytes", "flash_bytes", "memory_figure"}
    assert metrics["within_budget"] is True
    assert metrics["verified"] is True
    assert metrics["latency_ms"]["value"] <= 50.0
    assert metrics["arena_bytes"] <= 32 * 1024
    assert all(isinstance(metrics[name], int) for name in ("peak_memory_bytes", "arena_bytes", "flash_bytes"))
    assert metrics["verification"]["windows"] == len(load_dataset(None).test)


def test_the_figures_are_those_of_the_architecture(finished: tuple[Path, Any]) -> None:
    folder = finished[0]
    metrics, data = read(folder / "metrics.json"), load_dataset(None).train
    space = build_space(data.window, data.sensors, data.n_classes, SpaceConfig(extra_cells=0))
    network = lower(space, Architecture.from_json(read(folder / "architecture.json")))
    assert network == Network.from_json(read(folder / "network.json"))
    costs = network_costs(network, default_source("nucleo_f446re"), load_board("nucleo_f446re"))
    assert {name: metrics[name] for name in costs.to_json()} == costs.to_json()
    assert metrics["flatbuffer_bytes"] == (folder / "model.tflite").stat().st_size


def test_the_model_and_the_flatbuffer_score_what_the_metrics_say(finished: tuple[Path, Any]) -> None:
    folder = finished[0]
    metrics, test = read(folder / "metrics.json"), load_dataset(None).test
    x = network_input(test, Standardisation.from_json(read(folder / "standardisation.json")))
    model = keras.models.load_model(folder / "model.keras")
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}
    # One window may change its class where two runs sum in another order.
    assert float_scores(model, x, test.y)["accuracy"] == pytest.approx(metrics["float"]["accuracy"], abs=1.5 / len(x))
    network = Network.from_json(read(folder / "network.json"))
    report = verify((folder / "model.tflite").read_bytes(), network, x, test.y)
    assert report.bit_equal
    assert (report.accuracy, report.macro_f1) == (metrics["int8"]["accuracy"], metrics["int8"]["macro_f1"])


def test_the_details_are_of_this_network_and_these_data(finished: tuple[Path, Any]) -> None:
    folder = finished[0]
    details, metrics = read(folder / "details.json"), read(folder / "metrics.json")
    network, board = Network.from_json(read(folder / "network.json")), load_board("nucleo_f446re")
    assert [item["op"] for item in details["operators"]] == [str(node.op) for node in network.nodes]
    cycles = sum(item["cycles"] for item in details["operators"]) + details["overhead_cycles"]
    assert board.milliseconds(cycles) == pytest.approx(metrics["latency_ms"]["value"], rel=1e-6)
    assert Board(**details["board"]) == board
    assert details["data"] == describe(load_dataset(None))
    # Weights of four bytes instead of one; the rest of the file is alike.
    assert details["float_flatbuffer_bytes"] > metrics["flatbuffer_bytes"]
    assert details["ptq"] is None
    counts, windows = np.array(metrics["confusions"]), metrics["verification"]["windows"]
    assert counts.sum() == windows
    assert np.trace(counts) / windows == pytest.approx(metrics["int8"]["accuracy"], rel=1e-12)


def test_the_report_is_of_this_run(finished: tuple[Path, Any]) -> None:
    text = (finished[0] / "report.html").read_text(encoding="utf-8").replace("\u00a0", " ").replace("\u202f", " ")
    assert f"{read(finished[0] / 'metrics.json')['latency_ms']['value']:.2f} ms" in text
    assert load_dataset(None).sha256 in text


def test_candidates_are_within_budget_and_hold_the_winner(finished: tuple[Path, Any]) -> None:
    candidates = read(finished[0] / "search" / "candidates.json")
    assert 1 <= len(candidates) <= SearchRecipe().trials
    assert candidates[0]["architecture"] == read(finished[0] / "architecture.json")
    # The last round of the trials first, and within a round the best.
    order = [(-item["round"], item["cross_entropy"]) for item in candidates]
    assert order == sorted(order)
    assert all(item["latency_ms"]["value"] <= 50 and item["arena_bytes"] <= 32 * 1024 for item in candidates)


def test_a_run_without_its_later_files_is_finished_quietly(copy: Path, invoke: Invoke) -> None:
    """As after a kill during training: the architecture stays, the rest is made again."""
    before = read(copy / "architecture.json"), read(copy / "metrics.json")
    for name in ("model.keras", "model.tflite", "metrics.json"):
        (copy / name).unlink()
    result = invoke("search", "--resume", copy, "--quiet")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "Error" not in result.stderr
    assert files_of(copy) == FILES
    after = read(copy / "metrics.json")
    assert read(copy / "architecture.json") == before[0]
    for name in ("latency_ms", "arena_bytes", "flash_bytes", "flatbuffer_bytes", "budget", "verified"):
        assert after[name] == before[1][name]
    # One epoch of four batches from the same seed: two of 40 windows, where sums ran in another order.
    assert after["int8"]["accuracy"] == pytest.approx(before[1]["int8"]["accuracy"], abs=2.5 / 40)


def test_a_finished_run_is_shown_again_as_a_table(copy: Path, invoke: Invoke) -> None:
    flatbuffer = (copy / "model.tflite").read_bytes()
    result = invoke("search", "--resume", copy)
    assert result.exit_code == 0, result.output
    for words in ("budget", "predicted", "verified", "accuracy", "macro-F1", "50.00 ms", "32.0 KB", "bit-equal"):
        assert words in result.stdout
    # rich folds long lines; the files are named one by one.
    assert all(name in result.stdout for name in ("model.keras", "model.tflite", "metrics.json"))
    assert "verifying" in result.stderr
    assert re.search(
        r"^Latency of \d+ operators: \d+ by the fitted model of nucleo_f446re\.$", result.stderr, re.MULTILINE
    )
    assert "micronas-tf characterize --board nucleo_f446re --runtime tflm --window 100 " in result.stderr
    assert (copy / "model.tflite").read_bytes() == flatbuffer
    assert read(copy / "run.json")["status"] == "done"


def test_a_broken_promise_exits_with_1_and_keeps_the_files(copy: Path, invoke: Invoke) -> None:
    """The budget of a finished run made smaller by hand, but not impossible."""
    record = read(copy / "run.json")
    flatbuffer = (copy / "model.tflite").stat().st_size
    record["settings"]["budget"]["flash_bytes"] = flatbuffer - 1
    (copy / "run.json").write_text(json.dumps(record))
    result = invoke("search", "--resume", copy, "--quiet")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"The model exceeds the budget: flash_bytes {flatbuffer:,.2f} > {flatbuffer - 1:,}" in result.stderr
    assert read(copy / "metrics.json")["within_budget"] is False


def test_data_that_changed_are_noticed(copy: Path, invoke: Invoke) -> None:
    record = read(copy / "run.json")
    record["data"]["sha256"] = "0" * 64
    (copy / "run.json").write_text(json.dumps(record))
    result = invoke("search", "--resume", copy)
    assert result.exit_code == 2
    assert "has changed since the run was started" in result.stderr


@pytest.mark.parametrize("name", ["architecture.json", "standardisation.json"])
def test_a_damaged_file_of_a_run(copy: Path, invoke: Invoke, name: str) -> None:
    """The architecture cannot be read: said so. The standardisation is fitted again."""
    (copy / name).write_text("{")
    result = invoke("search", "--resume", copy, "--quiet")
    if name == "architecture.json":
        assert result.exit_code == 2
        assert "architecture.json cannot be read" in result.stderr
    else:
        assert result.exit_code == 0


@pytest.mark.parametrize(
    ("others", "named"),
    [
        (("--latency-ms", "20"), "--latency-ms"),
        (("BasicMotions", "--seed", "0", "--epochs", "3"), "SOURCE, --epochs, --seed"),
        (("--out", "elsewhere", "--saved-model"), "--saved-model, --out"),
    ],
)
def test_settings_beside_resume_are_refused(copy: Path, invoke: Invoke, others: tuple[str, ...], named: str) -> None:
    """A default that is given is given, too."""
    before = files_of(copy)
    result = invoke("search", "--resume", copy, "--quiet", *others)
    assert_refused(result, 2, f"Received besides it: {named}. Leave that out, or start a new run.")
    assert files_of(copy) == before


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_damaged_flatbuffer_of_a_run(copy: Path, invoke: Invoke) -> None:
    cut_off(copy / "model.tflite")
    result = invoke("search", "--resume", copy, "--quiet")
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2


def test_a_damaged_model_of_a_run(copy: Path, invoke: Invoke) -> None:
    cut_off(copy / "model.keras")
    result = invoke("search", "--resume", copy, "--quiet")
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2


def test_the_model_loads_without_a_warning(finished: tuple[Path, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        keras.models.load_model(finished[0] / "model.keras")


def test_ctrl_c_says_how_to_go_on(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("micronas_tf.selection.search", interrupted)
    result = invoke("search", *OPTIONS, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Interrupted. Go on with: micronas-tf search --resume" in result.stderr
    assert "Traceback" not in result.stderr
    assert read(tmp_path / "out" / "run.json")["status"] == "running"


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_architecture(
    tmp_path: Path, in_a_process: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """kill -9 as soon as there is a checkpoint, then --resume, against a run that nobody disturbed."""
    options = ("--epochs", "4", *OPTIONS[:4], *OPTIONS[6:], "--quiet")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert in_a_process("search", *options, "--out", whole).returncode == 0
    command = [sys.executable, "-c", "from micronas_tf.cli import main; main()", "search", *options, "--out", str(cut)]
    process = subprocess.Popen(command, env=dict(os.environ))
    while not (cut / "search" / "checkpoint.npz").exists() and process.poll() is None:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cut / "metrics.json").exists()
    done = in_a_process("search", "--resume", cut, "--quiet")
    assert done.returncode == 0, done.stderr
    assert (done.stdout, files_of(cut)) == ("", FILES)
    assert read(cut / "architecture.json") == read(whole / "architecture.json")
    one, other = (read(folder / "search" / "probabilities.json") for folder in (whole, cut))
    for group, values in one.items():
        np.testing.assert_allclose(other[group], values, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["qat", "qat-scratch"])
def test_the_other_ways_to_quantise(
    tmp_path: Path, way: str, in_a_process: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = in_a_process("search", *OPTIONS[:-1], way, "--json", "--saved-model", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verified"] is True
    assert (tmp_path / "run" / "saved_model" / "saved_model.pb").exists()


@pytest.mark.slow
def test_fine_tuning_after_a_resume_sees_the_same_batches(
    tmp_path: Path, in_a_process: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """As after a kill between model.keras and model.tflite: the new process fine-tunes to the same int8 model."""
    run = tmp_path / "run"
    assert in_a_process("search", *OPTIONS[:-1], "qat", "--quiet", "--out", run).returncode == 0
    flatbuffer = (run / "model.tflite").read_bytes()
    for name in ("model.tflite", "metrics.json"):
        (run / name).unlink()
    assert in_a_process("search", "--resume", run, "--quiet").returncode == 0
    one, other = (np.frombuffer(content, np.int8) for content in (flatbuffer, (run / "model.tflite").read_bytes()))
    assert one.shape == other.shape
    # Sums in another order may move a few weights to a neighbouring value.
    assert np.mean(one != other) < 0.05


@pytest.mark.slow
def test_a_saved_model_that_is_missing_is_exported_on_resume(
    tmp_path: Path, in_a_process: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """As after a kill between model.keras and the export."""
    run = tmp_path / "run"
    assert in_a_process("search", *OPTIONS, "--quiet", "--saved-model", "--out", run).returncode == 0
    shutil.rmtree(run / "saved_model")
    (run / "metrics.json").unlink()
    assert in_a_process("search", "--resume", run, "--quiet").returncode == 0
    assert (run / "saved_model" / "saved_model.pb").exists()


@pytest.mark.slow
def test_the_default_job_on_basic_motions(
    tmp_path: Path, in_a_process: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """`micronas-tf search --latency-ms 50 --memory-kb 32` alone keeps its promise, with an int8 accuracy of 0.90."""
    done = in_a_process(
        "search", "--latency-ms", "50", "--memory-kb", "32", "--json", "--out", tmp_path / "run", timeout=1800
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    assert metrics["verified"] and metrics["within_budget"]  # noqa: PT018 - one promise
    assert metrics["int8"]["accuracy"] >= 0.90
