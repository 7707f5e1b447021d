"""kill -9, and a disk that is full: a run goes on to what it would have been, bit for bit.

Bit for bit holds on one machine with TensorFlow's determinism on, which these runs turn on.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.toy_run import job, save_waves

from micronas_tf.run_directory import read_json

ROOT = Path(__file__).resolve().parents[1]
SAME = ("architecture.json", "network.json", "standardisation.json", "model.tflite")
FORKS = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbs."""
    FORKS.set_forkserver_preload(["tests.toy_run"])
    folder = tmp_path_factory.mktemp("whole")
    save_waves(folder)
    assert in_a_process(folder, None) == 0
    assert len(read_json(folder / "run" / "search" / "pool.json")) > 1
    return folder


def in_a_process(folder: Path, at: tuple[str, int] | None, disk_bytes: int | None = None) -> int | None:
    """Exit code of a process that begins the run or goes on with it."""
    process = FORKS.Process(target=job, args=(folder, at, disk_bytes))
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """The same windows, and no run yet."""
    shutil.copy(whole / "waves.npz", tmp_path)
    return tmp_path


def assert_the_same(folder: Path, whole: Path) -> None:
    """But for times and paths; and nothing half-written is left."""
    for name in SAME:
        assert (folder / "run" / name).read_bytes() == (whole / "run" / name).read_bytes(), name
    for name in ("metrics.json", "search/probabilities.json", "search/candidates.json"):
        assert read_json(folder / "run" / name) == read_json(whole / "run" / name), name
    mine, theirs = ((path / "run" / "search" / "history.csv").read_text() for path in (folder, whole))
    assert mine == theirs
    assert files_of(folder / "run") == files_of(whole / "run")


def files_of(run: Path) -> set[str]:
    """Only TensorBoard's file has the time in its name."""
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    return {name.partition("tfevents")[0] for name in found}


def test_a_run_killed_in_every_stage_ends_as_an_undisturbed_one(folder: Path, whole: Path) -> None:
    for at in (("search", 5), ("trials", 1), ("reporting", 1)):
        assert in_a_process(folder, at) == -signal.SIGKILL, at
        assert read_json(folder / "run" / "run.json")["status"] == "running"
    assert in_a_process(folder, None) == 0
    assert_the_same(folder, whole)


def test_a_full_disk_is_told_and_the_last_checkpoint_is_intact(folder: Path, whole: Path) -> None:
    """From the middle of the search on, no file may be larger than 20 KB; the checkpoint is."""
    checkpoint = folder / "run" / "search" / "checkpoint.npz"
    assert in_a_process(folder, ("search", 5), disk_bytes=20_000) == 2
    error = (folder / "error.txt").read_text()
    assert error.startswith(f"Cannot write {checkpoint}: ")
    assert error.endswith("Free some disk space, or choose a writable folder.")
    with np.load(checkpoint, allow_pickle=False) as saved:
        assert int(saved["epoch"]) >= 1
    assert not [path for path in checkpoint.parent.iterdir() if path.name.startswith(".")]
    (folder / "error.txt").unlink()
    assert in_a_process(folder, None) == 0
    assert_the_same(folder, whole)


@pytest.mark.parametrize(("stage", "file"), [("training", "model.keras"), ("reporting", "bundle")])
def test_a_disk_that_fills_up_later(folder: Path, stage: str, file: str) -> None:
    """Nothing half-written is left of what did not fit."""
    assert in_a_process(folder, (stage, 0), disk_bytes=200) == 2
    assert "Free some disk space, or choose a writable folder." in (folder / "error.txt").read_text()
    assert not (folder / "run" / file).exists()
    left = [path.name for path in (folder / "run").iterdir() if path.name.startswith(".")]
    assert left == []


@pytest.mark.slow
def test_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    """Traced, as users run it. A run is killed and resumed until it ends; then the next one begins."""
    save_waves(tmp_path)
    began = time.monotonic()
    assert attempt(tmp_path, None) == 0
    length = time.monotonic() - began
    draw, kills, runs = random.Random(0), 0, 0
    while kills < 20:
        runs += 1
        folder = tmp_path / str(runs)
        folder.mkdir()
        shutil.copy(tmp_path / "waves.npz", folder)
        while code := attempt(folder, draw.uniform(0.1, 0.9) * length if kills < 20 else None):
            assert code == -signal.SIGKILL
            kills += 1
        assert_the_same(folder, tmp_path)


def attempt(folder: Path, seconds: float | None) -> int:
    """Begin or go on, and kill after `seconds`, if it takes longer."""
    process = subprocess.Popen([sys.executable, "-m", "tests.toy_run", str(folder)], cwd=ROOT, env=dict(os.environ))
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -signal.SIGKILL
