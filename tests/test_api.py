"""The Python interface: what it makes of its arguments, and what it refuses before anything is trained."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import micronas_tf
from micronas_tf import api, pareto
from micronas_tf.boards import Budget, boards_directory
from micronas_tf.datasets import Dataset
from micronas_tf.errors import BoardError, DataError, MicronasError, RunError, SpaceError
from micronas_tf.front import Pareto
from micronas_tf.progress import silent
from micronas_tf.record import run_record
from micronas_tf.run_directory import RUN_SCHEMA, RunDirectory, read_json, write_json
from micronas_tf.search import SearchRecipe
from micronas_tf.settings import Settings
from micronas_tf.space import SpaceConfig
from micronas_tf.training import TrainingRecipe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 16, 3))
Y = np.array(["walk", "stand"])[np.arange(40) % 2]


class Called:
    """Stands for the pipeline: keeps what it was given."""

    def __init__(self) -> None:
        self.dataset: Dataset
        self.settings: Settings
        self.directory: Path
        self.options: dict[str, Any]

    def __call__(self, dataset: Dataset, settings: Settings, directory: Path, **options: Any) -> str:
        self.dataset, self.settings, self.directory, self.options = dataset, settings, directory, options
        return "result"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Called:
    monkeypatch.chdir(tmp_path)
    fake = Called()
    monkeypatch.setattr(api, "run", fake)
    return fake


def test_the_package_hands_the_interface_out() -> None:
    assert micronas_tf.MicroNAS is api.MicroNAS
    assert micronas_tf.resume is api.resume
    with pytest.raises(AttributeError, match="no attribute 'MacroNAS'"):
        micronas_tf.MacroNAS  # noqa: B018


def test_defaults_are_those_of_the_recipes() -> None:
    settings = api.MicroNAS().settings
    assert settings == Settings()
    assert (settings.search, settings.training, settings.space) == (SearchRecipe(), TrainingRecipe(), SpaceConfig())
    assert settings.budget == Budget()


def test_arguments_become_settings() -> None:
    search = api.MicroNAS(
        "nicla_sense_me",
        latency_ms=12.5,
        memory_kb=1.5,
        flash_kb=64,
        memory_figure="peak",
        epochs=3,
        seed=7,
        quantize="ptq",
        latency_source="ops",
        margin=0.1,
        extra_cells=0,
        saved_model=True,
        time_budget="1h30m",
        pareto="memory",
        pareto_points=3,
    )
    assert search.settings == Settings(
        board="nicla_sense_me",
        budget=Budget(12.5, 1536, 65536, "peak"),  # 1 KB = 1,024 bytes
        latency_source="ops",
        margin=0.1,
        quantisation="ptq",
        seed=7,
        space=SpaceConfig(extra_cells=0),
        search=SearchRecipe(epochs=3, least_steps=0),
        training=TrainingRecipe(epochs=3, least_steps=0, stretch=1.0),
        saved_model=True,
        time_budget_s=5400.0,
        pareto=Pareto("memory", 3),
    )


def test_a_space_of_other_numbers_has_its_own_extra_cells() -> None:
    space = SpaceConfig(fusion_filters_max=32, extra_cells=1)
    assert api.MicroNAS(space=space).settings.space == space
    with pytest.raises(SpaceError, match="space with 1, and extra_cells=2"):
        api.MicroNAS(space=space, extra_cells=2)


def test_the_notes_on_the_data_are_said(called: Called, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was left out of a table stands in no other place that one looks at before the training."""
    rows = [f"{k / 50},{'ab'[k // 100 % 2]},{k % 7},{k % 11}" for k in range(400)]
    (tmp_path / "t.csv").write_text("\n".join(["time,label,p,q", *rows]) + "\n")
    api.MicroNAS().fit(tmp_path / "t.csv", window=16, hop=16)
    assert "16 of 400 samples fill no window and were left out." in capsys.readouterr().err


def test_a_time_budget_in_seconds_is_one() -> None:
    assert api.MicroNAS(time_budget=90.5).settings.time_budget_s == 90.5
    for budget in ("soon", 0, -1.0):
        with pytest.raises(RunError, match="A time budget is"):
            api.MicroNAS(time_budget=budget)


def test_arrays_are_split_and_run(called: Called, tmp_path: Path) -> None:
    found: Any = api.MicroNAS(out=tmp_path / "out", verbose=False).fit(X, Y, subject=np.arange(40) // 10)
    assert found == "result"
    dataset = called.dataset
    assert (len(dataset.train) + len(dataset.test), dataset.split_kind) == (40, "subject")
    assert dataset.train.class_names == ("stand", "walk")
    assert called.directory == tmp_path / "out"
    assert (tmp_path / "out" / "search").is_dir()
    assert called.options["about"] == {"source": "arrays"}
    assert called.options["progress"] is silent


def test_test_arrays_decide_nothing_and_share_the_labels(called: Called) -> None:
    """A class that test lacks stays the same number in both."""
    api.MicroNAS(verbose=False).fit(X, Y, test=(X[:6], ["walk"] * 6), channel_names=["a_x", "a_y", "a_z"])
    dataset = called.dataset
    np.testing.assert_array_equal(dataset.train.x, X.astype("float32"))
    np.testing.assert_array_equal(dataset.test.x, X[:6].astype("float32"))
    assert dataset.test.y.tolist() == [1] * 6
    assert dataset.train.triads == dataset.test.triads == ((0, 1, 2),)
    assert dataset.split_kind == "official"


def test_a_file_is_read_as_the_command_line_would(called: Called, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X.astype("float32"), y=np.arange(40) % 2)
    api.MicroNAS(verbose=False).fit(tmp_path / "mine.npz", test_fraction=0.5)
    assert len(called.dataset.test) == 20
    about = {"source": str(tmp_path / "mine.npz"), "window": None, "hop": None, "test_fraction": 0.5}
    assert called.options["about"] == about


def test_without_a_folder_runs_get_their_own(called: Called, tmp_path: Path) -> None:
    api.MicroNAS(verbose=False).fit(X, Y)
    assert re.fullmatch(r"runs/arrays-nucleo_f446re-\d{8}-\d{6}", str(called.directory))
    assert (tmp_path / called.directory).is_dir()


def test_a_board_of_ones_own_names_the_folder_without_its_path(called: Called, tmp_path: Path) -> None:
    (tmp_path / "my boards").mkdir()
    board = shutil.copy(boards_directory() / "nucleo_f446re.toml", tmp_path / "my boards" / "my board.toml")
    api.MicroNAS(str(board), verbose=False).fit(X, Y)
    assert re.fullmatch(r"runs/arrays-my_board-\d{8}-\d{6}", str(called.directory))


@pytest.mark.parametrize(
    ("arguments", "written", "said"),
    [
        ((X, Y), True, "Go on with: MicroNAS(…, out='my run').fit(x, y, …), with the same data and settings"),
        (("mine.npz",), True, "Go on with: micronas-tf search --resume 'my run'"),
        (("done.npz",), True, "Interrupted. The answer is complete in my run. Go on with: micronas-tf"),
        (("mine.npz",), False, "Interrupted before anything was written."),
    ],
)
def test_how_an_interrupted_run_goes_on(
    arguments: Any, written: bool, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(dataset: Dataset, settings: Settings, directory: Path, **options: Any) -> None:
        if written:
            done = "done" if "done" in str(options["about"]["source"]) else "running"
            write_json(RunDirectory(directory).run, {**options["about"], "status": done})
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "run", interrupted)
    for name in ("mine.npz", "done.npz"):
        np.savez(tmp_path / name, x=X.astype("float32"), y=np.arange(40) % 2)
    with pytest.raises(KeyboardInterrupt) as raised:
        api.MicroNAS(out="my run", verbose=False).fit(*arguments)
    assert any(said in note for note in raised.value.__notes__)
    assert (tmp_path / "my run").exists() == written


def test_progress_goes_to_standard_error(called: Called, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    api.MicroNAS(latency_ms=50, memory_kb=32, out=tmp_path / "out").fit(X, Y)
    called.options["progress"]("search", 3, 3, {"latency_ms": 43.21, "memory_bytes": 2048.0, "accuracy": 0.5})
    said = capfd.readouterr()
    assert said.out == ""
    for words in ("search 3/3", "latency 43.2/50 ms", "memory 2.0/32 KB", "accuracy 0.500"):
        assert words in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X,), {}, r"Arrays need labels: fit\(x, y\)\. Received: y=None"),
        ((X[:, :, 0], Y), {}, r"x has the shape \(windows, time, sensors\)"),
        ((X, Y[:39]), {}, "39"),
        ((X, np.zeros(40)), {}, "class"),
        ((np.full_like(X, np.nan), Y), {}, "NaN"),
        ((X, Y), {"test": (X[:5], ["run"] * 5)}, "'run'"),
        ((X, Y), {"test": (X[:5], Y[:4])}, r"test windows \(5, 16, 3\), labels \(4,\)"),
        # The sum is right, and every label would be another window's.
        ((X[:30], Y[:10]), {"test": (X[30:], Y[10:])}, r"training windows \(30, 16, 3\), labels \(10,\)"),
        ((X, Y), {"test": X}, "test is a pair"),
        ((X, Y), {"test": ([[[1.0]], [[1.0, 2.0]]], Y[:2])}, "Windows have one shape"),
        ((X, Y), {"triads": [0, 1, 2]}, "A triad is three channel indices"),
        (("none.npz",), {}, "There is no such file"),
        ((X, Y), {"test_fraction": 0.7}, r"at most 0\.5\. Received: 0\.7\..*test_fraction"),
        (("mine.npz",), {"subject": np.arange(40)}, "subject can be given with arrays only"),
        (("mine.npz",), {"test": (X, Y)}, "test can be given with arrays only"),
        ((X, Y), {"window": 64, "hop": 2}, "window, hop are for tables"),
    ],
)
def test_bad_data_are_refused(called: Called, arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        api.MicroNAS(verbose=False).fit(*arguments, **options)
    assert not hasattr(called, "dataset")


@pytest.mark.parametrize("test", [(X[:5, :8], Y[:5]), (X[:5, :, :2], Y[:5]), (X[0], Y[:1])])
def test_test_arrays_of_another_shape_are_refused(called: Called, test: Any) -> None:
    with pytest.raises(DataError):
        api.MicroNAS(verbose=False).fit(X, Y, test=test)


def test_numbers_of_numpy_are_numbers() -> None:
    plain: dict[str, Any] = {
        "latency_ms": 12.5, "margin": 0.5, "seed": 3, "epochs": 2, "time_budget": 90.5, "pareto_points": 3,
    }  # fmt: skip
    numbers: dict[str, Any] = {
        name: np.float32(value) if isinstance(value, float) else np.int64(value) for name, value in plain.items()
    }
    settings = api.MicroNAS(**numbers, pareto="latency").settings
    kept = Settings.from_json(json.loads(json.dumps(settings.to_json())))
    assert kept == api.MicroNAS(**plain, pareto="latency").settings


@pytest.mark.parametrize("name", ["epochs", "pareto_points"])
def test_numbers_that_count_are_whole(name: str) -> None:
    options: dict[str, Any] = {"pareto": "latency"}
    given: dict[str, Any] = {**options, name: 3.0}
    assert api.MicroNAS(**given).settings == api.MicroNAS(**{**options, name: 3}).settings
    with pytest.raises(RunError, match=f"{name} is a whole number. Received: 2.5"):
        api.MicroNAS(**{**options, name: 2.5})


def test_a_window_is_whole(called: Called) -> None:
    with pytest.raises(RunError, match="window is a whole number"):
        api.MicroNAS(verbose=False).fit("mine.csv", window=12.5)  # type: ignore[arg-type]


def test_files_are_remembered_from_wherever_the_run_is_resumed(called: Called, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    shutil.copyfile(boards_directory() / "nucleo_f446re.toml", tmp_path / "mine.toml")
    (tmp_path / "table.csv").touch()
    api.MicroNAS("mine.toml", latency_source="table.csv", verbose=False).fit("mine.npz")
    assert called.options["about"]["source"] == str(tmp_path / "mine.npz")
    assert called.settings.board == str(tmp_path / "mine.toml")
    assert called.settings.latency_source == str(tmp_path / "table.csv")
    assert api.MicroNAS(verbose=False).settings.latency_source == "auto"


def test_runs_of_one_second_have_folders_of_their_own(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Frozen:
            return cls(2026, 1, 31)

    monkeypatch.setattr(api, "datetime", Frozen)
    folders = []
    for _ in range(3):
        api.MicroNAS(verbose=False).fit(X, Y)
        folders.append(called.directory.name)
    assert folders == [f"arrays-nucleo_f446re-20260131-000000{number}" for number in ("", "-2", "-3")]


def test_a_folder_of_runs_that_cannot_be_made_is_named(called: Called, tmp_path: Path) -> None:
    """A link to a disk that is not there looks like a folder that somebody else has made."""
    (tmp_path / "runs").symlink_to(tmp_path / "no disk")
    with pytest.raises(RunError, match="Cannot write runs/arrays-nucleo_f446re-"):
        api.MicroNAS(verbose=False).fit(X, Y)


def test_keras_set_up_for_something_else_is_refused(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(RunError, match="image_data_format must be channels_last"):
        api.MicroNAS(verbose=False).fit(X, Y)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(RunError, match="Received the backend 'torch': set KERAS_BACKEND=tensorflow"):
        api.MicroNAS(verbose=False).fit(X, Y)
    assert not hasattr(called, "dataset")


def test_a_class_that_the_search_cannot_divide_is_said(called: Called, capsys: pytest.CaptureFixture[str]) -> None:
    y = np.array(["walk"] * 20 + ["stand"] * 19 + ["fall"])
    x = RNG.normal(size=(60, 16, 3))
    api.MicroNAS().fit(x[:40], y, test=(x[40:], y[20:]))
    said = " ".join(capsys.readouterr().err.split())
    assert "The training part, divided once more for the search:" in said
    assert "fall" in said


def test_a_rate_of_numpy_is_one(called: Called) -> None:
    api.MicroNAS(verbose=False).fit(X, Y, sampling_rate_hz=np.int64(50))
    assert type(called.dataset.train.sampling_rate_hz) is float
    with pytest.raises(DataError, match="sampling rate is a positive number"):
        api.MicroNAS(verbose=False).fit(X, Y, sampling_rate_hz="fast")


def test_test_windows_that_repeat_training_ones_are_noted(called: Called) -> None:
    api.MicroNAS(verbose=False).fit(X, Y, test=(X[:6], Y[:6]))
    assert "6 of 6 test windows repeat samples" in called.dataset.notes[0]


@pytest.mark.parametrize("options", [{"seed": -1}, {"seed": 2**32}, {"seed": 0.5}, {"margin": -1}, {"margin": np.nan}])
def test_seeds_and_margins_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="Received"):
        api.MicroNAS(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"latency_ms": 0},
        {"latency_ms": np.inf},
        {"memory_kb": -1},
        {"memory_kb": 1e306},
        {"flash_kb": 0},
        {"memory_figure": "all"},
    ],
)
def test_impossible_limits_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BoardError):
        api.MicroNAS(**options)


def test_an_unknown_way_to_quantise_is_refused() -> None:
    """At the latest before anything is trained."""
    with pytest.raises(MicronasError):
        api.MicroNAS(quantize="int4")  # type: ignore[arg-type]


def test_points_without_a_front_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Give pareto, too, or neither"):
        api.MicroNAS(pareto_points=3)
    assert api.MicroNAS(pareto="memory").settings.pareto == Pareto("memory")


def test_the_time_of_reading_the_data_counts(called: Called, tmp_path: Path) -> None:
    before = time.monotonic()
    search = api.MicroNAS(out=tmp_path / "run", verbose=False)
    search.fit(X, np.arange(40) % 2)
    assert before <= called.options["started"] <= time.monotonic()
    search.started = 5.0
    search.out = tmp_path / "another"
    search.fit(X, np.arange(40) % 2)
    assert called.options["started"] == 5.0


def test_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json is missing"):
        api.resume(tmp_path / "none")


def test_a_run_on_arrays_cannot_be_resumed(tmp_path: Path) -> None:
    write_json(RunDirectory(tmp_path).run, {"schema": RUN_SCHEMA, "source": "arrays"})
    with pytest.raises(DataError, match=r"Go on with it in Python: MicroNAS\(…, out='.*'\)\.fit\(x, y, …\)"):
        api.resume(tmp_path)


def begun(called: Called, out: Path, **settings: Any) -> None:
    """A run on arrays that has got as far as its `run.json`."""
    search = api.MicroNAS(out=out, verbose=False, **settings)
    search.fit(X, Y)
    record = run_record(called.dataset, search.settings, called.options["about"])
    write_json(RunDirectory(out).run, {**record, "seconds": {"search": 100.0}})
    del called.dataset


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"latency_ms": 50, "space": SpaceConfig(extra_cells=1)}, {"latency_ms": 50, "extra_cells": 1}),
        ({"time_budget": "1m"}, {"time_budget": "10m", "pareto": "latency"}),
        ({"time_budget": "1m", "pareto": "latency"}, {"time_budget": "1m"}),
        ({"time_budget": "1m"}, {}),
    ],
)
def test_the_same_call_goes_on_with_a_run_on_arrays(called: Called, tmp_path: Path, first: Any, then: Any) -> None:
    begun(called, tmp_path / "a", **first)
    again = api.MicroNAS(out=tmp_path / "a", verbose=False, **then)
    again.fit(X, Y)
    assert (called.directory, called.settings) == (tmp_path / "a", again.settings)


@pytest.mark.parametrize(
    ("then", "labels", "said"),
    [
        ({"seed": 1, "latency_ms": 5}, Y, "other data, budget, seed"),
        ({}, Y[::-1], "other data"),
        ({"pareto": "latency"}, Y, "none is left for a front"),
    ],
)
def test_another_run_on_arrays_is_left_alone(called: Called, tmp_path: Path, then: Any, labels: Any, said: str) -> None:
    begun(called, tmp_path / "a", time_budget=90)
    with pytest.raises(RunError, match=said):
        api.MicroNAS(out=tmp_path / "a", verbose=False, **{"time_budget": 90, **then}).fit(X, labels)
    assert not hasattr(called, "dataset")


def test_more_points_stay_asked_for(called: Called, tmp_path: Path) -> None:
    """Who repeats the axis of a front when its run goes on has not asked for fewer of its models."""
    np.savez(tmp_path / "mine.npz", x=X.astype("float32"), y=Y)
    search = api.MicroNAS(pareto="latency", pareto_points=8, verbose=False)
    search.fit(tmp_path / "mine.npz")
    folder = RunDirectory(called.directory)
    write_json(folder.run, run_record(called.dataset, search.settings, called.options["about"]))
    api.resume(folder.path, pareto="latency", verbose=False)
    assert called.settings.pareto == Pareto("latency", 8)
    api.resume(folder.path, pareto="memory", verbose=False)
    assert called.settings.pareto == Pareto("memory", 5)


def test_resume_takes_the_settings_and_the_data_of_the_run(called: Called, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X.astype("float32"), y=np.arange(40) % 2)
    search = api.MicroNAS(latency_ms=5, epochs=2, extra_cells=1, seed=3, verbose=False)
    search.fit(tmp_path / "mine.npz")
    folder, first = RunDirectory(called.directory), called.dataset
    write_json(folder.run, run_record(first, search.settings, called.options["about"]))
    del called.dataset
    api.resume(folder.path, verbose=False)
    assert called.settings == search.settings
    assert called.dataset.sha256 == first.sha256
    assert called.directory == folder.path
    api.resume(folder.path, time_budget="10m", pareto="latency", pareto_points=2, verbose=False)
    assert called.settings == replace(search.settings, time_budget_s=600.0, pareto=Pareto("latency", 2))
    assert called.options["afterwards"] is pareto.explore
    record = read_json(folder.run)
    write_json(folder.run, {**record, "seconds": {"search": 500.0, "training": 100.0}})
    with pytest.raises(RunError, match=r"used up its time budget of 600 s \(600 s\): none is left for a front"):
        api.resume(folder.path, time_budget="10m", pareto="latency", verbose=False)
    api.resume(folder.path, time_budget="11m", pareto="latency", verbose=False)
    assert called.settings.pareto == Pareto("latency")
    write_json(folder.run, record)
    np.savez(tmp_path / "mine.npz", x=X.astype("float32") + 1, y=np.arange(40) % 2)
    with pytest.raises(DataError, match="has changed since the run was started"):
        api.resume(folder.path, verbose=False)
