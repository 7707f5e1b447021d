"""`run.json`: what a run was asked to do, with which versions, and how far it is (docs/file-formats.md)."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

from micronas_tf.datasets import Dataset
from micronas_tf.run_directory import RUN_SCHEMA, read_json, write_json

_PACKAGES: Final = (
    "micronas-tf",
    "tensorflow",
    "keras",
    "tf_keras",
    "tensorflow-model-optimization",
    "numpy",
    "tflite-micro",
)


class ToJson(Protocol):
    """Settings of a run."""

    def to_json(self) -> dict[str, Any]: ...


def run_record(dataset: Dataset, settings: ToJson, about: Mapping[str, Any]) -> dict[str, Any]:
    """What does not change while a run goes on."""
    return {
        "schema": RUN_SCHEMA,
        **about,
        "settings": settings.to_json(),
        "data": {"name": dataset.name, "sha256": dataset.sha256, "classes": list(dataset.train.class_names)},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in _PACKAGES}},
    }


class RunRecord:
    """`run.json` while a run goes on. Times and numbers of steps of an earlier part of the run are kept.

    Nothing is written before `begin`: a run that is not gone on with stays as it was.

    Args:
        path: of the file.
        content: everything else.
        stays_done: a run that was done stays so: its answer is not made again.
    """

    def __init__(self, path: Path, content: Mapping[str, Any], *, stays_done: bool = False) -> None:
        former = read_json(path) if path.exists() else {}
        self.path = path
        self.seconds: dict[str, float] = dict(former.get("seconds", {}))
        self.steps: dict[str, list[list[int]]] = dict(former.get("steps", {}))
        self.units: tuple[float, float] = tuple(former.get("units", (0.0, 0.0)))
        """Seconds that the search's first step takes on this machine, and a further one, as measured last."""
        done = stays_done and former.get("status") == "done"
        self.content = {**content, "status": "done" if done else "running"}

    def begin(self) -> None:
        self._write()

    def keep_seconds(self, seconds: Mapping[str, float]) -> None:
        """How long each stage took until now."""
        self.seconds = {stage: round(value, 3) for stage, value in seconds.items()}
        self._write()

    def keep_steps(self, stage: str, changes: Sequence[tuple[int, int]]) -> None:
        """From which step on a stage was to end after how many steps."""
        self.steps[stage] = [list(change) for change in changes]
        self._write()

    def keep_units(self, first_s: float, step_s: float) -> None:
        """Written with the next choice or time."""
        self.units = (first_s, step_s)

    def finish(self) -> None:
        self.content["status"] = "done"
        self._write()

    def _write(self) -> None:
        measured = {"units": list(self.units)} if any(self.units) else {}
        write_json(self.path, {**self.content, "seconds": self.seconds, "steps": self.steps, **measured})
