"""The commands that train nothing: boards, datasets, estimate, fit-latency; and what `search` refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micronas_tf.boards import board_ids, load_board
from micronas_tf.cost import default_source, network_costs
from micronas_tf.models import build_model
from micronas_tf.space import build_space, largest, lower
from micronas_tf.supernet import SuperNet

from .conftest import Invoke, assert_refused

RECORDS = """op,input_t,input_s,input_c,output_t,output_s,output_c,kernel_t,kernel_s,\
stride_t,stride_s,padding,activation,quantised,cycles,n,spread_pct
"""


def write_npz(path: Path, **changed: Any) -> Path:
    """Twelve windows of two classes, or what is left of them after a change."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x_train": rng.normal(size=(12, 16, 3)).astype("float32"),
        "y_train": np.arange(12) % 2,
        "x_test": rng.normal(size=(6, 16, 3)).astype("float32"),
        "y_test": np.arange(6) % 2,
    }
    np.savez(path, **{name: value for name, value in {**arrays, **changed}.items() if value is not None})
    return path


def test_boards_are_listed(invoke: Invoke) -> None:
    result = invoke("boards")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(board_ids())
    assert "180 MHz" in next(line for line in lines if line.startswith("nucleo_f446re"))


def test_boards_as_json(invoke: Invoke) -> None:
    found = {board.pop("id"): board for board in json.loads(invoke("boards", "--json").stdout)}
    assert set(found) == set(board_ids())
    board = load_board("nucleo_f446re")
    assert found["nucleo_f446re"]["clock_hz"] == board.clock_hz == 180_000_000
    assert found["nucleo_f446re"]["ram_bytes"] == 128 * 1024


def test_datasets_describes_the_default(invoke: Invoke) -> None:
    result = invoke("datasets")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert lines["name"].endswith("BasicMotions")
    assert "train: 40; test: 40" in lines["windows"]


def test_datasets_as_json(invoke: Invoke, tmp_path: Path) -> None:
    found = json.loads(invoke("datasets", write_npz(tmp_path / "mine.npz"), "--json").stdout)
    assert found["windows"] == {"train": 12, "test": 6}
    assert (found["window"], found["sensors"], found["split"]) == (16, 3, "official")
    assert len(found["sha256"]) == 64


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space = build_space(16, 3, 3)
    path = tmp_path_factory.mktemp("model") / "plain.keras"
    build_model(lower(space, largest(space))).save(path)
    return path


def test_estimate_as_json_adds_up(invoke: Invoke, model_file: Path) -> None:
    result = invoke("estimate", model_file, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    space, board = build_space(16, 3, 3), load_board("nucleo_f446re")
    network = lower(space, largest(space))
    costs = network_costs(network, default_source("nucleo_f446re"), board)
    assert found["latency_ms"]["value"] == pytest.approx(costs.latency.latency_ms)
    assert found["arena_bytes"] == costs.arena_bytes
    assert found["macs"] == costs.macs
    assert len(found["operators"]) == len(network.nodes)
    cycles = sum(item["cycles"] for item in found["operators"]) + found["overhead_cycles"]
    assert board.milliseconds(cycles) == pytest.approx(found["latency_ms"]["value"], rel=1e-6)
    share = sum(item["share"] for item in found["operators"])
    assert share == pytest.approx(1 - found["overhead_cycles"] / cycles, rel=1e-6)


def test_estimate_prints_each_operator(invoke: Invoke, model_file: Path) -> None:
    result = invoke("estimate", model_file, "--board", "nucleo_l552ze_q", "--latency-source", "ops")
    assert result.exit_code == 0, result.output
    # Layer names may be folded to the table's width; operators are counted by what they read and write.
    assert "nucleo_l552ze_q" in result.stdout
    assert "operation count of nucleo_l552ze_q" in result.stdout
    assert "softmax (1,1,3)" in result.stdout
    assert "latency " in result.stdout


def test_a_fitted_model_is_written_and_used(
    invoke: Invoke, model_file: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tenth measured operator, so that it is quick; then `estimate` says where its figures come from."""
    lines = (shared / "lookup" / "nucleo_f446re.csv").read_text().splitlines()
    few = [line for number, line in enumerate(lines[1:]) if number % 10 == 0 or not line.startswith("conv2d")]
    (tmp_path / "few.csv").write_text("\n".join([lines[0], *few]) + "\n")
    monkeypatch.setattr("micronas_tf.estimation.user_tables", lambda: tmp_path / "tables")
    options = ("fit-latency", tmp_path / "few.csv", "--board", "nucleo_f446re", "--provenance", "mine")
    result = invoke(*options, "--json")
    assert result.exit_code == 0, result.output
    fitted = json.loads(result.stdout)
    assert fitted["provenance"] == "mine"
    assert {"conv2d", "add", "mean", "softmax"} <= set(fitted["operators"])
    (path,) = (tmp_path / "tables").iterdir()
    assert json.loads(path.read_text())["provenance"] == "mine"
    result = invoke(*options, "--out", tmp_path / "other.json")
    assert result.exit_code == 0, result.output
    assert all(word in result.stdout for word in ("conv2d", "R²", "mean error", str(tmp_path / "other.json")))
    shipped = json.loads(invoke("estimate", model_file, "--board", "nucleo_l552ze_q", "--json").stdout)
    own = json.loads(invoke("estimate", model_file, "--json").stdout)
    monkeypatch.setattr("micronas_tf.estimation.user_tables", lambda: tmp_path / "none")
    without = json.loads(invoke("estimate", model_file, "--json").stdout)
    assert own["latency_ms"]["value"] != without["latency_ms"]["value"]
    assert own["latency_ms"]["value"] == pytest.approx(without["latency_ms"]["value"], rel=0.1)
    assert shipped["board"] == "nucleo_l552ze_q"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "none.npz"), ("none.npz", "There is no such file")),
        (("search", "NoSuchArchiveName"), ("NoSuchArchiveName",)),
        (("search", "--board", "nope"), ("No board 'nope'", "Known boards: nicla_sense_me")),
        (("search", "--latency-source", "none.csv"), ("A latency source is auto, ops or a lookup table's file",)),
        (("search", "--hop", "5"), ("leave them out",)),
        (("search", "--test-fraction", "0.51"), ("'--test-fraction': 0.51 is not in the range 0<x<=0.5",)),
        (("datasets", "--test-fraction", "0", "one.npz"), ("'--test-fraction': 0",)),
        (("search", "--pareto-points", "5"), ("--pareto-points says how many models --pareto trains",)),
        (("search", "--resume", "none", "--pareto-points", "3"), ("Give --pareto, too, or neither",)),
        (("search", "--resume", "none"), ("run.json is missing", "the folder of a run")),
        (("search", "--latency-ms", "0"), ("--latency-ms",)),
        (("search", "--latency-ms", "fast"), ("--latency-ms", "'fast' is not a valid")),
        (("search", "--latency-ms", "nan"), ("latency_ms is a positive number",)),
        (("search", "--memory-kb", "-1"), ("--memory-kb",)),
        (("search", "--epochs", "0"), ("--epochs",)),
        (("search", "--quantize", "none"), ("'none' is not one of 'qat'",)),
        (("search", "--no-such-option"), ("No such option",)),
        (("search", "nan.npz"), ("nan.npz", "NaN")),
        (("search", "one_class.npz"), ("class",)),
        (("search", "short.npz"), ("short.npz", "at least 8")),
        (("search", "broken.npz"), ("broken.npz",)),
        (("search", "text.xyz"), ("text.xyz", "No reader for this format")),
        (("datasets", "none.npz"), ("There is no such file",)),
        (("estimate", "none.tflite"), ("none.tflite", "does not exist")),
        (("estimate", "text.tflite"), ("Is this a TFLite model?",)),
        (("estimate", "text.keras"), ("text.keras",)),
        (("estimate", "text.xyz"), ("A model is an int8 .tflite or a .keras file",)),
        (("estimate", "text.h5"), ("Received: 'text.h5'", "Save a Keras model as .keras")),
        (("estimate", "text.tflite", "--board", "nope"), ("No board 'nope'",)),
        (("fit-latency", "text.xyz", "--board", "nucleo_f446re", "--out", "o.json"), ("text.xyz, line 1",)),
        (("fit-latency", "few.csv", "--board", "nucleo_f446re", "--out", "o.json"), ("conv2d",)),
        (("fit-latency", "few.csv"), ("Missing option '--board'",)),
        (("no-such-command",), ("No such command",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) and len(value) > 1 else None,
)
def test_wrong_input_gets_one_sentence_and_exit_code_2(
    invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    write_files(tmp_path)
    result = invoke(*arguments)
    assert_refused(result, 2)
    for word in words:
        assert word.lower() in result.stderr.lower(), result.stderr
    assert not (tmp_path / "o.json").exists()


def write_files(folder: Path) -> None:
    nan = np.full((12, 16, 3), np.nan, "float32")
    write_npz(folder / "nan.npz", x_train=nan)
    x, y = np.zeros((12, 16, 3), "float32"), np.arange(12) % 2
    write_npz(folder / "one.npz", x=x, y=y, **dict.fromkeys(("x_train", "y_train", "x_test", "y_test")))
    write_npz(folder / "one_class.npz", y_train=np.zeros(12, int), y_test=np.zeros(6, int))
    zeros = np.zeros((12, 4, 3), "float32")
    write_npz(folder / "short.npz", x_train=zeros, x_test=zeros[:6])
    whole = write_npz(folder / "whole.npz").read_bytes()
    (folder / "broken.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.xyz", "text.tflite", "text.keras", "text.h5"):
        (folder / name).write_text("hello\n")
    (folder / "few.csv").write_text(RECORDS + "conv2d,16,5,8,16,5,6,1,1,1,1,same,relu,True,47935,2,0.5\n")


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("option", ["--memory-kb", "--flash-kb"])
def test_a_limit_that_is_no_number_is_refused(invoke: Invoke, option: str, value: str) -> None:
    assert_refused(invoke("search", option, value), 2)


@pytest.mark.parametrize("content", ["[]", "{}", '{"source": null, "settings": {}}'])
def test_a_run_that_is_none_is_refused(invoke: Invoke, tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(content)
    assert_refused(invoke("search", "--resume", tmp_path / "run"), 2)


@pytest.mark.parametrize("content", ['{"source": "x.npz"}', '{"schema": 2, "source": "x.npz"}'])
def test_a_run_of_another_version_is_refused(invoke: Invoke, tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    assert_refused(invoke("search", "--resume", tmp_path), 2, "of another version of micronas-tf", "Start a new run")


def test_a_truncated_run_file_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, ')
    assert_refused(invoke("search", "--resume", tmp_path), 2, "run.json cannot be read")


def test_a_folder_that_is_not_empty_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    assert_refused(invoke("search", "--out", tmp_path / "out"), 2, "is not empty. Choose another --out")
    (tmp_path / "out" / "run.json").write_text("{}")
    assert_refused(
        invoke("search", "--out", tmp_path / "out"), 2, "holds a run. Go on with it by `micronas-tf search --resume"
    )
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_an_impossible_budget_is_refused_before_any_training(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the programs of the projection runs: not even a supernet is built."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a supernet")

    monkeypatch.setattr(SuperNet, "of", refuse)
    result = invoke("search", "--latency-ms", "0.05", "--memory-kb", "1", "--out", tmp_path / "out")
    assert_refused(result, 1, "No architecture for 100×6 windows fits the budget on nucleo_f446re", "Raise the limit")
    assert "latency 0.05 ms (least achievable: " in result.stderr
    assert "arena memory 1,024 B (least achievable: " in result.stderr
    assert not list(tmp_path.rglob("*.json"))


def test_a_refusal_leaves_no_folder(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("search", "--extra-cells", "0", "--latency-ms", "0.05", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [("--board", "nope"), ("--latency-source", "none.csv")])
def test_wrong_input_leaves_no_folder(invoke: Invoke, tmp_path: Path, wrong: tuple[str, str]) -> None:
    assert_refused(invoke("search", *wrong, "--out", tmp_path / "out"), 2)
    assert not (tmp_path / "out").exists()
