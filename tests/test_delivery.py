"""From a finished run to its bundle, and what a verification says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.deploy.models import model_of, raw_windows, searched_network
from tests.device.bundle_board import bench_of, build_board

from micronas_tf import delivery
from micronas_tf.boards import Board, Budget, boards_directory, load_board
from micronas_tf.cost import Measurement, Table, TableHeader, table_path, write_table
from micronas_tf.deploy import Golden
from micronas_tf.device import MOST_CLASSES, Bench, check_same_kernels
from micronas_tf.device.build import firmware_directory
from micronas_tf.errors import BoardError, DeviceError, ModelError, RunError
from micronas_tf.ops import Network
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.settings import Settings

NETWORK = searched_network(16, 2, 3, seed=0)
METRICS = {
    "int8": {"accuracy": 0.5, "macro_f1": 0.4},
    "float": {"accuracy": 0.6, "macro_f1": 0.5},
    "latency_ms": {"value": 1.5, "rel_error": 0.02, "source": "a model", "runtime": "bundle"},
    "board": "nucleo_f446re",
    "macs": 1234,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as a search leaves it, of an untrained network."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    files, model = RunDirectory(folder), model_of(NETWORK)
    files.claim()
    settings = Settings(budget=Budget(latency_ms=50.0), runtime="bundle")
    write_json(files.run, {"source": "arrays", "settings": settings.to_json(), "data": {"sha256": "0"}})
    write_json(files.standardisation, model.standardisation.to_json())
    write_json(files.network, NETWORK.to_json())
    files.flatbuffer.write_bytes(model.flatbuffer)
    board = load_board("nucleo_f446re")
    added = delivery.export(files, model, raw_windows(model, NETWORK, 300), board, METRICS)
    write_json(files.metrics, {**METRICS, **added})
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, and a user without tables."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def bench(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_of(build_board(finished / "bundle", tmp_path_factory.mktemp("board") / "board"))


@pytest.fixture
def on_this_machine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The board is the firmware as a program of this machine."""

    @contextmanager
    def pretended(board: Board, bundle: Path, port: str | None = None) -> Iterator[Bench]:
        yield bench

    monkeypatch.setattr(delivery, "bundle_bench", pretended)


def test_an_export_keeps_at_most_256_windows(run: Path) -> None:
    golden = Golden.load(run / "bundle/golden.npz")
    model = model_of(NETWORK)
    assert len(golden.windows) == 256
    np.testing.assert_array_equal(golden.windows[[0, 128]], raw_windows(model, NETWORK, 300)[[0, 150]])


def test_a_second_export_takes_the_windows_of_the_first(run: Path) -> None:
    before = Golden.load(run / "bundle/golden.npz")
    found = delivery.export_run(run, sampling_hz=25.0)
    after = Golden.load(run / "bundle/golden.npz")
    np.testing.assert_array_equal(before.windows, after.windows)
    assert "#define MODEL_SAMPLING_HZ 25.0f" in (run / "bundle/model.h").read_text()
    metrics = read_json(run / "metrics.json")
    assert metrics["bundle"] == found["bundle"]
    assert metrics["tflm"]["flash_bytes"] == (run / "model.tflite").stat().st_size
    assert metrics["macs"] == 1234
    assert "| accuracy on the test part, int8 | 50.00% |" in (run / "bundle/README.md").read_text()


def test_an_export_elsewhere_leaves_the_run_alone(run: Path, tmp_path: Path) -> None:
    before = (run / "metrics.json").read_bytes()
    found = delivery.export_run(run, target=tmp_path / "lib")
    assert found["directory"] == str(tmp_path / "lib")
    assert (tmp_path / "lib/model.c").read_bytes() == (run / "bundle/model.c").read_bytes()
    assert (run / "metrics.json").read_bytes() == before


@pytest.mark.parametrize("kept", ["main.c", "sub/lib.h"])
def test_an_export_replaces_nothing_but_bundles(run: Path, tmp_path: Path, kept: str) -> None:
    (tmp_path / "lib" / kept).parent.mkdir(parents=True)
    (tmp_path / "lib" / kept).write_text("mine")
    for target in (tmp_path / "lib", tmp_path / "lib" / kept, run):
        with pytest.raises(RunError, match="holds something else than a bundle"):
            delivery.export_run(run, target=target)
    assert (tmp_path / "lib" / kept).read_text() == "mine"
    assert (run / "model.tflite").exists()


def test_an_export_keeps_what_somebody_put_beside_a_bundle(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "lib"
    delivery.export_run(run, target=target)
    (target / "platformio_override.ini").write_text("[env]")
    (target / "src").mkdir()
    (target / "src/main.c").write_text("int main(void);")
    (target / "empty/refs").mkdir(parents=True)
    (target / "app").symlink_to("../app/src")
    (target / "kernels/softmax.o").write_text("made of a former kernel")
    (target / "build").mkdir()
    (target / "build/firmware.elf").write_text("made of the former model")
    (target / "kernels/softmax.c").write_text("changed")
    (target / "kernels/of_a_former_version.c").write_text("")
    about = read_json(target / "bundle.json")
    assert {"bundle.json", "README.md", "model.c", "tflm/model_data.cc"} <= set(about["files"])
    write_json(target / "bundle.json", {**about, "files": [*about["files"], "kernels/of_a_former_version.c"]})
    delivery.export_run(run, target=target)
    assert (target / "platformio_override.ini").read_text() == "[env]"
    assert (target / "src/main.c").read_text() == "int main(void);"
    assert (target / "empty/refs").is_dir()
    assert str((target / "app").readlink()) == "../app/src"
    check_same_kernels(target)
    assert not (target / "build").exists()
    assert (target / "kernels/softmax.c").read_bytes() == (run / "bundle/kernels/softmax.c").read_bytes()
    assert not (target / "kernels/of_a_former_version.c").exists()
    assert read_json(target / "bundle.json")["files"] == about["files"]


def test_more_classes_than_a_reply_holds_are_refused_before_anything_is_built(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = (firmware_directory() / "src/bench/bundle.h").read_text()
    assert f"MN_MOST_CLASSES = {MOST_CLASSES} " in header
    about = read_json(run / "bundle/bundle.json")
    write_json(run / "bundle/bundle.json", {**about, "class_names": ["a"] * (MOST_CLASSES + 1)})
    monkeypatch.delattr(delivery, "bundle_bench")
    with pytest.raises(DeviceError, match=r"holds the scores of 64 classes\. Received: 65"):
        delivery.verify(run, "qemu_cortex_m4")


def test_an_export_into_the_folder_that_one_stands_in(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    monkeypatch.chdir(tmp_path / "lib")
    for _ in range(2):  # empty, then a bundle
        delivery.export_run(run, target=Path())
        monkeypatch.chdir(tmp_path / "lib")
        assert (tmp_path / "lib" / "model.c").is_file()


def test_a_run_on_arrays_without_a_bundle_has_no_windows(run: Path) -> None:
    shutil.rmtree(run / "bundle")
    with pytest.raises(RunError, match="is a run on arrays without a bundle"):
        delivery.export_run(run)


def test_a_run_on_a_file_reads_it_again(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "bundle")
    rng, source = np.random.default_rng(0), tmp_path / "data.npz"
    x, y = rng.normal(size=(40, 16, 2)), np.arange(40) % 3
    np.savez(source, x_train=x, y_train=y, x_test=x[:20] + 1, y_test=y[:20])
    record = read_json(run / "run.json")
    about = {"source": str(source), "window": None, "hop": None, "test_fraction": 0.25}
    write_json(run / "run.json", {**record, **about})
    with pytest.raises(RunError, match="has changed since the run was started"):
        delivery.export_run(run)
    from micronas_tf.datasets import load_dataset  # noqa: PLC0415 - only here

    write_json(run / "run.json", {**record, **about, "data": {"sha256": load_dataset(source).sha256}})
    delivery.export_run(run)
    golden = Golden.load(run / "bundle/golden.npz")
    np.testing.assert_array_equal(golden.windows, (x[:20] + 1).astype(np.float32))


@pytest.mark.parametrize("name", ["metrics.json", "model.tflite"])
@pytest.mark.parametrize(
    ("source", "remedy"),
    [("arrays", r"MicroNAS\(…, out='.*'\)\.fit\(x, y, …\)"), ("a.csv", "micronas-tf search --resume ")],
)
def test_an_unfinished_run_is_refused(run: Path, name: str, source: str, remedy: str) -> None:
    (run / name).unlink()
    write_json(run / "run.json", {**read_json(run / "run.json"), "source": source})
    with pytest.raises(RunError, match=f"of a finished run; go on with it by `{remedy}"):
        delivery.export_run(run)


def test_a_folder_with_another_run_file_is_refused(run: Path) -> None:
    write_json(run / "run.json", {"status": "done"})
    with pytest.raises(RunError, match="names no board"):
        delivery.export_run(run)


@pytest.mark.usefixtures("on_this_machine")
def test_a_run_of_an_older_version_has_no_limit_for_a_bundle(run: Path) -> None:
    write_json(run / "run.json", {"source": None, "settings": {"board": "nucleo_f446re"}})
    assert delivery.verify(run, windows=1)["latency_ms"]["limit"] is None


@pytest.mark.usefixtures("on_this_machine")
def test_the_limit_holds_for_a_board_that_was_named_by_its_file(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(boards_directory() / "nucleo_f446re.toml", tmp_path))
    record = read_json(run / "run.json")
    write_json(run / "run.json", {**record, "settings": {**record["settings"], "board": str(copy)}})
    assert delivery.verify(run, windows=1)["latency_ms"]["limit"] == 50.0


@pytest.mark.usefixtures("on_this_machine")
def test_a_verification_and_its_report(run: Path) -> None:
    found = delivery.verify(run, "nucleo_f446re", windows=20)
    assert json.loads((run / "verify.json").read_text()) == found
    assert (found["schema"], found["runtime"], found["windows"]) == (1, "bundle", 20)
    assert found["bit_exact"] is True
    assert found["first_difference"] is None
    assert found["arena"]["high_water_bytes"] == found["arena"]["planned_bytes"]
    assert [item["index"] for item in found["operators"]] == list(range(len(NETWORK.nodes)))
    assert [item["op"]["kind"] for item in found["operators"]] == [node.op.kind for node in NETWORK.nodes]
    assert set(found["operators"][0]["op"]) == {
        *("kind", "input_shapes", "output_shape", "kernel", "strides", "padding", "activation"),
    }
    assert found["tflm"]["flash_bytes"] == (run / "model.tflite").stat().st_size
    assert found["latency_ms"]["limit"] == 50.0
    assert delivery.disproved(found) is None
    # The emulated board stands for it, as it does in the report; another one does not.
    for board, limit in (("qemu_cortex_m4", 50.0), ("qemu_cortex_m33", None)):
        assert delivery.verify(run, board, windows=1)["latency_ms"]["limit"] == limit


@pytest.mark.usefixtures("on_this_machine")
@pytest.mark.parametrize(("asked", "kept", "drawn"), [(None, 3, 197), (5, 3, 2), (2, 2, 0)])
def test_where_golden_windows_are_few_drawn_ones_follow(run: Path, asked: int | None, kept: int, drawn: int) -> None:
    golden = Golden.load(run / "bundle/golden.npz")
    (run / "bundle/golden.npz").write_bytes(golden.subset([0, 1, 2]).to_npz())
    found = delivery.verify(run, windows=asked)
    assert (found["windows"], found["drawn_windows"], found["bit_exact"]) == (kept + drawn, drawn, True)


@pytest.mark.usefixtures("on_this_machine")
def test_the_prediction_is_of_the_boards_own_table(run: Path, tmp_path: Path) -> None:
    board = load_board("nucleo_f446re")
    header = TableHeader(board.id, board.clock_hz, "bundle", "portable/1", "gcc -O2", "2026-01-31", "made up")
    rows = {node.op: Measurement(node.op, 1000.0 * index) for index, node in enumerate(NETWORK.nodes, 1)}
    path = table_path(tmp_path / "user-data/micronas-tf/latency", board.id, "bundle")
    write_table(path, Table(header, tuple(rows[op] for op in sorted(rows))))
    found = delivery.verify(run, windows=1)
    expected = [rows[node.op].cycles for node in NETWORK.nodes]
    assert [item["predicted_cycles"] for item in found["operators"]] == expected
    assert found["latency_ms"]["predicted"] == pytest.approx(board.milliseconds(sum(expected)))
    assert "lookup table of nucleo_f446re" in found["latency_ms"]["source"]


@pytest.mark.usefixtures("on_this_machine")
def test_a_bundle_of_another_model_is_refused(run: Path) -> None:
    (run / "model.tflite").write_bytes(b"another")
    with pytest.raises(RunError, match="is of another model than"):
        delivery.verify(run)


@pytest.mark.usefixtures("on_this_machine")
def test_a_bundle_with_changed_kernels_is_refused(run: Path) -> None:
    (run / "bundle/kernels/add.c").write_text("int x;")
    with pytest.raises(DeviceError, match=r"others in add\.c"):
        delivery.verify(run)


@pytest.mark.usefixtures("on_this_machine")
def test_a_wrong_score_is_the_first_difference(run: Path) -> None:
    golden = Golden.load(run / "bundle/golden.npz")
    scores = golden.scores.copy()
    scores[4, 0] ^= 1
    (run / "bundle/golden.npz").write_bytes(replace(golden, scores=scores).to_npz())
    found = delivery.verify(run, windows=256)
    broken = delivery.disproved(found)
    assert found["bit_exact"] is False
    assert broken is not None
    assert broken.exit_code == 1
    assert "window 4, model_predict, class 0: expected" in str(broken)


def verified(**changed: Any) -> dict[str, Any]:
    found = {
        "board": "b",
        "bit_exact": True,
        "arena": {"planned_bytes": 32, "high_water_bytes": 32},
        "latency_ms": {"limit": 5.0, "measured": 6.0},
        "within_budget": True,
    }
    return {**found, **changed}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"arena": {"planned_bytes": 32, "high_water_bytes": 48}}, "up to 32 B as planned. Received: 48 B"),
        ({"arena": {"planned_bytes": 32, "high_water_bytes": 16}}, "Received: 16 B"),
        ({"within_budget": False}, "limit is 5 ms. On b it takes 6.00 ms"),
    ],
)
def test_what_breaks_the_promise(changed: dict[str, Any], words: str) -> None:
    assert delivery.disproved(verified()) is None
    broken = delivery.disproved(verified(**changed))
    assert broken is not None
    assert words in str(broken)


def test_a_bare_model_needs_a_board_that_can_be_measured(run: Path) -> None:
    model = run / "model.tflite"
    with pytest.raises(RunError, match="Give one by --board"):
        delivery.verify(model)
    with pytest.raises(BoardError, match="has no firmware"):
        delivery.verify(model, "nicla_sense_me")
    for other in (run / "metrics.json", run / "none.tflite"):
        with pytest.raises(RunError, match=r"(?s)\.tflite.*folder of a run"):
            delivery.verify(other, "qemu_cortex_m4")
    model.write_bytes(b"    TFL3 no model")
    with pytest.raises(ModelError):
        delivery.verify(model, "qemu_cortex_m4")


def test_a_bare_model_is_verified_on_drawn_windows(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def built(board: Board, bundle: Path, port: str | None = None) -> Iterator[Bench]:
        yield bench_of(build_board(bundle, tmp_path / "board"))

    monkeypatch.setattr(delivery, "bundle_bench", built)
    found = delivery.verify(run / "model.tflite", "nucleo_f446re")
    assert (found["windows"], found["drawn_windows"]) == (200, 200)
    assert (found["bit_exact"], found["within_budget"]) == (True, True)
    assert found["latency_ms"]["limit"] is None
    assert not (run / "verify.json").exists()
    assert Network.from_json(read_json(run / "bundle/bundle.json")["network"]) == NETWORK
