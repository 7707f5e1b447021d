"""The examples do what their page says: their parts here, and each as a whole in the slow tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from tests.deploy.models import model_of, raw_windows, searched_network
from tests.firmware.images import require_tools

from examples import custom_space, keras_pipeline, motion, own_csv
from micronas_tf.boards import load_board
from micronas_tf.cost import network_costs
from micronas_tf.datasets import Standardisation, load_dataset
from micronas_tf.deploy import Model, write_bundle
from micronas_tf.estimation import latency_source
from micronas_tf.models import build_model
from micronas_tf.ops import Network
from micronas_tf.quantize import quantise_ptq, verify
from micronas_tf.quantize.runtimes import output_affine, predict_litert
from micronas_tf.space import SpaceConfig, build_space, is_valid, lower

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BOARD = load_board("nucleo_f446re")


def build_firmware(folder: Path, bundle: Path, build: Path, *options: str) -> Path:
    """As its CMakeLists.txt says; every warning is an error here."""
    flags = ("-DCMAKE_C_FLAGS=-Wall -Wextra -Werror", f"-DBUNDLE={bundle}", *options)
    run_cmake("-S", folder, "-B", build, *flags)
    run_cmake("--build", build)
    return build / "classify"


def run_cmake(*arguments: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(["cmake", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def classify(program: Path, samples: np.ndarray) -> list[tuple[str, float]]:
    """What the program answers to a stream of samples [time, channels]: class and score of each window."""
    lines = "\n".join(",".join(f"{value:.9g}" for value in sample) for sample in samples)
    return answers(
        subprocess.run([program], input=lines, capture_output=True, text=True, check=True, timeout=60).stdout
    )


def answers(output: str) -> list[tuple[str, float]]:
    lines = [line.rsplit(" ", 1) for line in output.splitlines()]
    return [(name, float(score)) for name, score in lines]


def expected(
    flatbuffer: bytes, scale: Standardisation, cut: np.ndarray, names: tuple[str, ...], digits: int = 3
) -> list[tuple[str, float]]:
    """LiteRT's answers to these windows, with as many digits as a program prints: once rounded, not twice."""
    scores = output_affine(flatbuffer).dequantise(predict_litert(flatbuffer, scale.apply(cut)[..., None]))
    return [(names[best], round(float(row[best]), digits)) for row, best in zip(scores, scores.argmax(-1), strict=True)]


def test_made_up_motion_is_a_table_that_is_split_by_person(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    done = CliRunner().invoke(motion.main, [str(path), "--people", "4", "--seconds", "8"])
    assert done.exit_code == 0, done.output
    dataset = load_dataset(path, window=64, hop=64)
    assert (dataset.split_kind, dataset.train.sampling_rate_hz) == ("subject", motion.RATE_HZ)
    assert dataset.train.class_names == tuple(sorted(motion.ACTIVITIES))
    assert dataset.train.triads == ((0, 1, 2), (3, 4, 5))
    # 8 s at 50 Hz hold 6 windows of 64 samples.
    assert len(dataset.train) + len(dataset.test) == 4 * 4 * 6
    x, labels, person = motion.windows(people=4, seconds=8)
    assert len(x) == len(labels) == len(person) == 4 * 4 * 6
    both = np.concatenate([dataset.train.x, dataset.test.x]).reshape(len(x), -1)
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(x.reshape(len(x), -1), axis=0))


def test_made_up_motion_has_its_steps_and_gravity() -> None:
    """The spectrum of the acceleration, which no tilt changes, peaks at the steps a second."""
    rng = np.random.default_rng(0)
    tilt = motion.rotation_about(np.array([1.0, 2.0, 3.0]), 40)
    np.testing.assert_allclose(tilt @ tilt.T, np.eye(3), atol=1e-12)
    for activity, (steps_hz, *_) in motion.ACTIVITIES.items():
        size = np.linalg.norm(motion.recording(activity, 20, tilt, 1.0, rng)[:, :3], axis=1)
        assert size.mean() == pytest.approx(motion.GRAVITY, rel=0.25)
        if steps_hz:
            spectrum = np.abs(np.fft.rfft(size - size.mean()))
            assert np.fft.rfftfreq(len(size), 1 / motion.RATE_HZ)[spectrum.argmax()] == pytest.approx(
                steps_hz, abs=0.06
            )


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, np.ndarray, Path]:
    """A model of 16 samples of 3 sensors, a stream of its samples [time, 3], and its bundle."""
    network = searched_network(16, 3, 3, seed=0)
    model, bundle = model_of(network), tmp_path_factory.mktemp("firmware") / "bundle"
    windows = raw_windows(model, network, 6)
    write_bundle(bundle, model, windows, BOARD)
    return model, windows.reshape(-1, 3), bundle


@pytest.mark.parametrize("hop", [None, 1, 5, 16])
def test_the_firmware_slides_its_window_over_the_samples(
    bundled: tuple[Model, np.ndarray, Path], hop: int | None, tmp_path: Path
) -> None:
    require_tools("cmake", "cc")
    model, samples, bundle = bundled
    step = hop or 8  # half a window
    cut = np.stack([samples[start : start + 16] for start in range(0, len(samples) - 15, step)])
    options = [f"-DSTREAM_HOP={hop}"] if hop else []
    found = classify(build_firmware(EXAMPLES / "firmware", bundle, tmp_path, *options), samples)
    assert found == expected(model.flatbuffer, model.standardisation, cut, model.class_names)
    assert len({name for name, _ in found}) > 1


@pytest.mark.parametrize("cross", [False, True])
def test_the_program_on_the_page_of_the_bundle(
    bundled: tuple[Model, np.ndarray, Path], cross: bool, tmp_path: Path
) -> None:
    """In a project of its own, as the page says; what it prints of a window of zeros is LiteRT's answer."""
    require_tools("cmake", "arm-none-eabi-gcc" if cross else "cc")
    model, _, bundle = bundled
    page = (EXAMPLES.parent / "docs" / "bundle.md").read_text(encoding="utf-8")
    (tmp_path / "main.c").write_text(re.findall(r"```c\n(.*?)```", page, re.DOTALL)[0])
    shutil.copytree(bundle, tmp_path / "bundle")
    # A program for a board needs start-up code, too; that its parts compile is enough here.
    kind = "library(your_program STATIC" if cross else "executable(your_program"
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.18)\nproject(own C)\nadd_subdirectory(bundle)\nadd_{kind} main.c)\n"
        "target_link_libraries(your_program micronas_model)\n"
    )
    options = re.findall(r"-DCMAKE_TOOLCHAIN_FILE=\S+ -DMICRONAS_CPU=[\w-]+", page)[0].split() if cross else []
    run_cmake("-S", ".", "-B", "build", *options, cwd=tmp_path)
    run_cmake("--build", "build", cwd=tmp_path)
    if not cross:
        said = subprocess.run([tmp_path / "build" / "your_program"], capture_output=True, text=True, check=True).stdout
        zeros = np.zeros((1, 16, 3), np.float32)
        ((name, score),) = expected(model.flatbuffer, model.standardisation, zeros, model.class_names, digits=2)
        assert said == f"{name} {score:.2f}\n"


def test_a_hop_longer_than_a_window_does_not_build(bundled: tuple[Model, np.ndarray, Path], tmp_path: Path) -> None:
    require_tools("cmake", "cc")
    with pytest.raises(AssertionError, match="a hop is at least one sample and at most a window"):
        build_firmware(EXAMPLES / "firmware", bundled[2], tmp_path, "-DSTREAM_HOP=17")


@pytest.fixture(scope="module")
def small() -> tuple[Network, keras.Model]:
    """A network for the windows of `motion`, and its model."""
    keras.utils.set_random_seed(0)
    config = SpaceConfig(
        time_filters_max=4, fusion_filters_max=8, extra_cells=0, time_kernels=(5,), fusion_kernels=(3,)
    )
    space = build_space(64, 6, 4, config)
    chosen = {group.name: group.choices[-1] for group in space.groups}
    network = lower(space, chosen)
    return network, build_model(network)


def test_the_pipeline_trains_saves_and_loads_a_model(small: tuple[Network, keras.Model], tmp_path: Path) -> None:
    _, model = small
    x, labels, _ = motion.windows(people=3, seconds=8)
    scale = Standardisation(x.mean((0, 1)), x.std((0, 1)))
    (tmp_path / "run.json").write_text(json.dumps({"data": {"classes": ["running", "stairs", "resting", "walking"]}}))
    y = keras_pipeline.class_numbers(labels, tmp_path)
    assert [int(y[labels == name][0]) for name in ("resting", "walking", "stairs", "running")] == [2, 3, 1, 0]
    data = keras_pipeline.batches(x, y, scale)
    read = np.concatenate([batch for batch, _ in data])
    np.testing.assert_allclose(read, scale.apply(x)[..., None], atol=1e-6)
    # Shuffled, the windows are the same, each with its own label.
    shuffled = list(keras_pipeline.batches(x, y, scale, shuffle=True).unbatch().as_numpy_iterator())
    order = [int(np.abs(read - window).sum((1, 2, 3)).argmin()) for window, _ in shuffled]
    assert sorted(order) == list(range(len(x)))
    assert order != sorted(order)
    assert [int(label) for _, label in shuffled] == y[order].tolist()

    losses = keras_pipeline.fine_tune(model, data.repeat(30), epochs=3)
    # ln 4 is what guessing among four classes loses.
    assert losses[-1] < 0.85 * np.log(4)
    accuracy = keras_pipeline.evaluate(model, data)
    assert accuracy == pytest.approx((model.predict(read, verbose=0).argmax(-1) == y).mean())
    model.save(tmp_path / "tuned.keras")
    assert keras_pipeline.evaluate(keras.models.load_model(tmp_path / "tuned.keras"), data) == accuracy


def test_litert_gives_the_scores_of_tensorflow_lite_micro(small: tuple[Network, keras.Model]) -> None:
    network, model = small
    x, _, _ = motion.windows(people=2, seconds=8)
    standard = Standardisation(x.mean((0, 1)), x.std((0, 1))).apply(x)[..., None]
    flatbuffer = quantise_ptq(network, model, standard)
    report = verify(flatbuffer, network, standard, np.zeros(len(x), np.int64))
    np.testing.assert_array_equal(keras_pipeline.int8_scores(flatbuffer, standard), report.probabilities)


def test_the_least_of_a_space_is_the_least_of_all_its_networks() -> None:
    """A space small enough to cost every network of it."""
    config = SpaceConfig(
        time_kernels=(3, 5), time_filters_max=8, time_granularity=4, fusion_kernels=(3,), fusion_filters_max=16,
        extra_cells=1, min_time=32,
    )  # fmt: skip
    space, source = custom_space.space_of(config), latency_source("auto", BOARD)
    names = [group.name for group in space.groups]
    costs = [
        network_costs(lower(space, one), source, BOARD)
        for choice in product(*(group.choices for group in space.groups))
        if is_valid(space, one := dict(zip(names, choice, strict=True)))
    ]
    found = custom_space.extent(space, BOARD, source)
    assert found.least_ms == min(one.latency.latency_ms for one in costs)
    assert found.least_bytes == min(one.arena_bytes for one in costs)
    assert found.widest.latency.latency_ms == max(one.latency.latency_ms for one in costs)


def test_the_page_shows_what_the_example_of_spaces_prints() -> None:
    """`python -m examples.custom_space --no-search`"""
    done = CliRunner().invoke(custom_space.main, ["--no-search"])
    assert done.exit_code == 0, done.output
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    *figures, last = done.output.splitlines()
    assert "extra_cells at least 0" in last
    for line in (*figures, last):
        assert line.rstrip() in page
    assert len(custom_space.refusals()) == len(custom_space.REFUSED)


@pytest.mark.slow
def test_own_csv_from_the_table_to_the_firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that a PC runs, by the page's own lines, answers the samples as LiteRT does, window by window."""
    require_tools()
    require_tools("cmake", "cc")
    monkeypatch.chdir(tmp_path)
    table = motion.samples(people=4, seconds=8)
    table.to_csv("samples.csv", index=False)
    done = CliRunner().invoke(own_csv.main, ["samples.csv", "--quick", "--out", "runs/own_csv"])
    assert done.exit_code == 0, done.output
    run = tmp_path / "runs" / "own_csv"
    verified = json.loads((run / "verify.json").read_text())
    assert (verified["bit_exact"], verified["board"]) == (True, "qemu_cortex_m4")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["latency_ms"]["runtime"] == "bundle"
    assert metrics["latency_ms"]["value"] <= 20
    # Predicted for the board that the emulated one stands for; 3 % is the stated error of the emulation.
    assert verified["latency_ms"]["measured"] == pytest.approx(metrics["latency_ms"]["value"], rel=0.03)

    page = (EXAMPLES / "README.md").read_text(encoding="utf-8").partition("### Into a firmware project")[2]
    lines = re.findall(r"```console\n(.*?)```", page, re.DOTALL)[0].replace("$ ", "")
    said = subprocess.run(["bash", "-ec", lines], capture_output=True, text=True, check=True).stdout
    stream = table[list(motion.CHANNELS)].to_numpy(np.float32)
    cut = np.stack([stream[start : start + 64] for start in range(0, len(stream) - 63, 32)])
    scale = Standardisation.from_json(json.loads((run / "standardisation.json").read_text()))
    classes = tuple(json.loads((run / "run.json").read_text())["data"]["classes"])
    # Before them stands what CMake says.
    wanted = expected((run / "model.tflite").read_bytes(), scale, cut, classes)
    assert answers("\n".join(said.splitlines()[-len(wanted) :])) == wanted


def test_own_csv_does_not_write_over_a_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(own_csv.main, ["--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "exists" in done.output


@pytest.mark.slow
def test_the_keras_pipeline_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(keras_pipeline.main, ["--quick", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "verified: True" in done.output
    assert "Total params" in done.output  # Keras' own summary
    said = dict(re.findall(r"LiteRT, (\S+): ([\d.]+)%", done.output))
    x, labels, _ = motion.windows(people=3, seed=1)
    classes = json.loads((out / "run.json").read_text())["data"]["classes"]
    scale = Standardisation.from_json(json.loads((out / "standardisation.json").read_text()))
    for name, file in (("searched", "model.tflite"), ("fine-tuned", "tuned.tflite")):
        best = predict_litert((out / file).read_bytes(), scale.apply(x)[..., None]).argmax(-1)
        assert f"{100 * np.mean(np.array(classes)[best] == labels):.1f}" == said[name]


@pytest.mark.slow
def test_a_search_in_a_space_of_ones_own(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(custom_space.main, ["--quick", "--out", str(out)])
    assert done.exit_code == 0, done.output
    chosen = json.loads((out / "architecture.json").read_text())["choices"]
    assert {choices for name, choices in chosen.items() if name.startswith("time") and name.endswith("width")} <= {
        2,
        4,
        6,
    }
    # 64 samples are halved three times while 8 stay.
    assert sum(name.endswith(".kernel") for name in chosen) == 3
    settings = json.loads((out / "run.json").read_text())["settings"]["space"]
    assert SpaceConfig.from_json(settings) == custom_space.SPACES["small and fine"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["within_budget"]
    assert metrics["latency_ms"]["value"] <= 4
