"""A whole run of seconds, in processes of its own that are killed; a helper of test_kill.py.

`python -m tests.toy_run FOLDER` begins a run on FOLDER/waves.npz in FOLDER/run, or goes on with it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from micronas_tf.boards import Budget
from micronas_tf.datasets import load_dataset
from micronas_tf.errors import MicronasError
from micronas_tf.pipeline import run
from micronas_tf.run_directory import RunDirectory
from micronas_tf.search import SearchRecipe
from micronas_tf.settings import Settings
from micronas_tf.space import SpaceConfig
from micronas_tf.training import TrainingRecipe

SPACE = SpaceConfig(time_filters_max=8, fusion_filters_max=16, time_kernels=(3, 5), fusion_kernels=(3,), extra_cells=0)
SETTINGS = Settings(
    budget=Budget(latency_ms=20.0),
    quantisation="ptq",
    space=SPACE,
    search=SearchRecipe(
        epochs=4, least_steps=0, batch_size=12, warmup=0.25, candidates=2, rungs=2, trials=2, pool=3, ample=0
    ),
    training=TrainingRecipe(epochs=4, least_steps=0, batch_size=12, stretch=1.0),
    saved_model=True,
)
ABOUT = {"window": None, "hop": None, "test_fraction": 0.25}


def save_waves(folder: Path) -> None:
    """Three classes of noisy sines that differ in frequency."""
    rng = np.random.default_rng(0)
    y = np.arange(64) % 3
    angle = 2 * np.pi * (1 + 2 * y[:, None, None]) * np.arange(16)[None, :, None] / 16
    x = np.sin(angle + rng.uniform(0, 2 * np.pi, (64, 1, 1))) + rng.normal(0, 0.2, (64, 16, 3))
    np.savez(folder / "waves.npz", x=x.astype("float32"), y=y)


def go(folder: Path, progress: Any) -> None:
    """Begin, or go on as `--resume` does."""
    tf.config.experimental.enable_op_determinism()
    files, source = RunDirectory(folder / "run"), str(folder / "waves.npz")
    files.search.mkdir(parents=True, exist_ok=True)
    run(
        load_dataset(source, seed=SETTINGS.seed),
        SETTINGS,
        files.path,
        about={"source": source, **ABOUT},
        progress=progress,
    )


class Trap:
    """A progress that kills its process at one step of one stage, or takes its disk away."""

    def __init__(self, at: tuple[str, int] | None, *, disk_bytes: int | None = None) -> None:
        self.at, self.disk_bytes = at, disk_bytes

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if self.at is None or stage != self.at[0] or done < self.at[1]:
            return
        if self.disk_bytes is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:  # files may not grow beyond this: the write fails as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.disk_bytes, resource.RLIM_INFINITY))


def job(folder: Path, at: tuple[str, int] | None, disk_bytes: int | None = None) -> None:
    """What a process of the fast test does: eagerly, because tracing would take most of the time."""
    tf.config.run_functions_eagerly(True)
    try:
        go(folder, Trap(at, disk_bytes=disk_bytes))
    except MicronasError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (folder / "error.txt").write_text(str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    from micronas_tf.progress import silent

    go(Path(sys.argv[1]), silent)
