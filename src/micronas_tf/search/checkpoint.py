"""Checkpoints of a search: everything that decides how it goes on, in one file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

from micronas_tf.errors import RunError
from micronas_tf.files import write_atomically
from micronas_tf.supernet import SuperNet

_EPOCH = "epoch"


class CheckpointCallback(keras.callbacks.Callback):
    """Saves the supernet's state at the end of every epoch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        save_checkpoint(self.path, self.model, epoch + 1)


def save_checkpoint(path: Path, supernet: SuperNet, epoch: int) -> None:
    """Weights, logits, temperature, random state and both optimisers, after `epoch` epochs.

    Raises:
        RunError: the file cannot be written; the previous one is intact.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: keras.ops.convert_to_numpy(value) for name, value in _state(supernet).items()}
    np.savez(buffer, **(arrays | {_EPOCH: np.array(epoch)}))
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, supernet: SuperNet) -> int:
    """Restore a compiled supernet in place.

    Returns:
        Epochs done when the checkpoint was saved; 0 if there is none.

    Raises:
        RunError: the file is damaged, or of another space.
    """
    if not path.exists():
        return 0
    state = _state(supernet)
    try:
        with np.load(path, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise RunError(f"Checkpoint {path} is damaged: {error}. Delete it to start the search again.") from error
    epoch = int(arrays.pop(_EPOCH, 0))
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise RunError(f"Checkpoint {path} belongs to another search space. Start again in another folder (--out).")
    for name, variable in state.items():
        variable.assign(arrays[name])
    return epoch


def _state(supernet: SuperNet) -> dict[str, Any]:
    """Every variable by its position: Keras's names count the models of a process."""
    variables = [*supernet.variables, *supernet.optimizer.variables, *supernet.search.alpha_optimizer.variables]
    return {f"{index:04d}": variable for index, variable in enumerate(variables)}
