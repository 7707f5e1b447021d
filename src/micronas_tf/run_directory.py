"""Where the files of a run lie (docs/file-formats.md), and reading and writing its JSON files."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from micronas_tf.errors import RunError
from micronas_tf.files import write_atomically

RUN_SCHEMA: Final = 4
_RUN: Final = "run.json"

ARRAYS: Final = "arrays"
"""The source of a run on arrays, which only its caller has."""

CHECKPOINT: Final = "checkpoint.npz"
HISTORY: Final = "history.csv"
TRIALS: Final = "trials.json"
"""Names in the folder of a search, which may stand alone (`search.search`)."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run. Every one of them is written under a temporary name and renamed."""

    path: Path

    @property
    def run(self) -> Path:
        """Command, versions, seed, data hash, board, budget, status."""
        return self.path / _RUN

    @property
    def search(self) -> Path:
        """Folder of checkpoint and history."""
        return self.path / "search"

    @property
    def probabilities(self) -> Path:
        """What the search found: probability of each choice, by group."""
        return self.search / "probabilities.json"

    @property
    def candidates(self) -> Path:
        """The architectures within budget that were compared, best first."""
        return self.search / "candidates.json"

    @property
    def pool(self) -> Path:
        """Random architectures near the limit, by the supernet's word at the end of its warm-up."""
        return self.search / "pool.json"

    @property
    def architecture(self) -> Path:
        return self.path / "architecture.json"

    @property
    def network(self) -> Path:
        return self.path / "network.json"

    @property
    def standardisation(self) -> Path:
        return self.path / "standardisation.json"

    @property
    def model(self) -> Path:
        """The plain Keras 3 model."""
        return self.path / "model.keras"

    @property
    def saved_model(self) -> Path:
        return self.path / "saved_model"

    @property
    def flatbuffer(self) -> Path:
        """The int8 model."""
        return self.path / "model.tflite"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def bundle(self) -> Path:
        """Folder of the C library."""
        return self.path / "bundle"

    @property
    def verify(self) -> Path:
        """What a board did with the bundle; only of a run that was verified on one."""
        return self.path / "verify.json"

    @property
    def details(self) -> Path:
        """What the report shows beyond the metrics."""
        return self.path / "details.json"

    @property
    def history(self) -> Path:
        """The search, epoch by epoch."""
        return self.search / HISTORY

    @property
    def pareto(self) -> Path:
        """Limits and what was found under each; only of a run that was asked for it."""
        return self.path / "pareto.json"

    @property
    def baselines(self) -> Path:
        """What the report compares the run with; only of a run that was given some."""
        return self.path / "baselines.json"

    @property
    def stream(self) -> Path:
        """Rate and hop in use that the report was told; only of a run whose report was told any."""
        return self.path / "stream.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """Folder of the report's figures, as files of their own."""
        return self.path / "figures"

    def claim(self) -> None:
        """Make the folder for a new run.

        Raises:
            RunError: it holds a run already, or cannot be made.
        """
        try:
            if self.run.exists():
                raise RunError(
                    f"{self.path} holds a run. Go on with it by `{resume_command(self.path)}`, or choose another --out."
                )
            # A run that was killed before it wrote anything has left empty folders.
            if self.path.is_dir() and any(not path.is_dir() for path in self.path.rglob("*")):
                raise RunError(f"{self.path} is not empty. Choose another --out.")
            self.search.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"Cannot make {self.path}: {error.strerror}. Choose a writable folder by --out.") from error

    def release(self) -> None:
        """Take the folders of a run back that ended before it wrote anything."""
        with suppress(OSError):
            self.search.rmdir()
            self.path.rmdir()


def resume_command(directory: Path, *, longer: bool = False) -> str:
    """What goes on with a run, as a shell takes it; with one on arrays, a line of Python. `longer`: in more time."""
    with suppress(RunError):
        record = read_json(RunDirectory(directory).run)
        if isinstance(record, dict) and record.get("source") == ARRAYS:
            time = "time_budget=…, " if longer else ""
            return f"MicroNAS(…, {time}out={str(directory)!r}).fit(x, y, …)"
    return command("search --resume", directory, "--time-budget …" if longer else "")


def command(name: str, directory: Path, options: str = "") -> str:
    """What does something with a run, as a shell takes it."""
    return f"micronas-tf {name} {shlex.quote(str(directory))} {options}".rstrip()


def write_json(path: Path, value: Any) -> None:
    """Raises RunError if the file cannot be written."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Raises RunError if the file is missing or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing. Is {path.parent} the folder of a run?") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. {_remedy(path)}") from error


def _remedy(path: Path) -> str:
    """Everything can be made again but what the run was asked for."""
    return "Start a new run." if path.name == _RUN else "Delete it and resume the run, or start a new one."
