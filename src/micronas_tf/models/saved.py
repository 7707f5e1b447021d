"""The files of a plain Keras model: written whole or not at all, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from tensorflow.errors import OpError

from micronas_tf.errors import RunError
from micronas_tf.files import replacing, unwritable


def save_model(model: Any, path: Path) -> None:
    """Write a `.keras` file.

    Raises:
        RunError: it cannot be written; a former one is intact.
    """
    with replacing(path) as temporary:
        model.save(temporary)


def load_model(path: Path) -> Any:
    """Raises RunError if the file is damaged."""
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras raises ValueError, OSError, BadZipFile and more for a damaged file
        raise RunError(f"{path} is damaged: {error}. Delete it and resume: the model is trained again.") from error


def export_saved_model(model: Any, folder: Path) -> None:
    """Write a TensorFlow SavedModel, unless it is there.

    Raises:
        RunError: it cannot be written; nothing is left of it.
    """
    if folder.exists():
        return
    with replacing(folder) as temporary:
        try:
            model.export(temporary, format="tf_saved_model", verbose=False)
        except OpError as error:  # TensorFlow's own file system does not raise OSError
            raise unwritable(folder, error) from error
