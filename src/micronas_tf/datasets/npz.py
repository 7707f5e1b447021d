"""Reader of `.npz` files of windows that are already cut.

Arrays, none of them pickled: `x_train`, `x_test` (N, T, S) and `y_train`, `y_test` (N,); or one unsplit set
`x`, `y`. Per window, optional: `subject`, `recording` (or `exp`), `start`, with the same endings. For the
whole file, optional: `channel_names`, `class_names`, `sampling_rate_hz` (NaN: unknown), `triads` (K, 3).
What is known of the windows of one part only holds for that part.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from micronas_tf.datasets.labels import codes, encode_labels
from micronas_tf.datasets.reader import Cut, Parts, Reader, within
from micronas_tf.datasets.windows import Windows
from micronas_tf.errors import DataError

_PER_WINDOW = {"subject": ("subject",), "recording": ("recording", "exp"), "start": ("start",)}


def read_npz(source: str, cut: Cut | None = None) -> Parts:
    """The windows of a `.npz` file.

    Raises:
        DataError: truncated, pickled, an array missing, or windows that are not valid.
    """
    with _opened(Path(source)) as archive:
        if "x_train" in archive.files or "x_test" in archive.files:
            train, test = _windows(archive, ("_train", "_test"))
            return Parts(train, test)
        (windows,) = _windows(archive, ("",))
        return Parts(windows)


def _opened(path: Path) -> NpzFile:
    try:
        archive = np.load(path, allow_pickle=False)
    except PermissionError as error:
        raise DataError(f"This file cannot be read: {error.strerror}. Make it readable.") from error
    except (BadZipFile, EOFError, OSError, ValueError) as error:
        raise DataError(
            "This is no complete .npz file: it is empty, truncated or of another format. Write it again with np.savez."
        ) from error
    if not isinstance(archive, NpzFile):
        raise DataError("This is a single array (.npy), not an .npz. Save x and y together with np.savez.")
    _check_sums(archive)
    return archive


def _check_sums(archive: NpzFile) -> None:
    """Verifies the checksum of every array, because a damaged header fails in NumPy in any way it likes."""
    try:
        damaged = archive.zip.testzip() if archive.zip else None
    except (BadZipFile, EOFError, OSError, zlib.error):
        damaged = "an array"
    if damaged:
        archive.close()
        raise DataError(f"{damaged} in it is damaged. Write the file again with np.savez.")


def _windows(archive: NpzFile, endings: tuple[str, ...]) -> tuple[Windows, ...]:
    xs = [_array(archive, f"x{ending}") for ending in endings]
    names = _strings(archive, "class_names")
    with within(", ".join(f"y{ending}" for ending in endings)):
        ys, class_names = encode_labels(*(_array(archive, f"y{ending}") for ending in endings), class_names=names)
    ids = _per_window(archive, endings)
    windows = []
    for index, ending in enumerate(endings):
        with within(f"x{ending}"):
            windows.append(
                Windows.of(
                    xs[index],
                    ys[index],
                    class_names=class_names,
                    channel_names=_strings(archive, "channel_names"),
                    sampling_rate_hz=_rate(archive),
                    triads=_array(archive, "triads").tolist() if "triads" in archive.files else None,
                    **{field: values[index] for field, values in ids.items()},
                )
            )
    return tuple(windows)


def _per_window(archive: NpzFile, endings: tuple[str, ...]) -> dict[str, tuple[NDArray[Any] | None, ...]]:
    """What is known of each window; identifiers are coded alike in all parts."""
    found = {}
    for field, keys in _PER_WINDOW.items():
        for key in keys:
            if key in archive.files and "" not in endings:
                names = " and ".join(f"{key}{ending}" for ending in endings)
                raise DataError(f"Whose windows {key!r} is about is not clear. Save {names} beside the other arrays.")
            known = [ending for ending in endings if f"{key}{ending}" in archive.files]
            if known:
                arrays = tuple(_array(archive, f"{key}{ending}") for ending in known)
                if any(array.ndim != 1 for array in arrays):
                    raise DataError(f"{key} is one value for each window, shape (N,). Correct its shape.")
                coded = dict(zip(known, arrays if field == "start" else codes(*arrays), strict=True))
                found[field] = tuple(coded.get(ending) for ending in endings)
                break
    return found


def _array(archive: NpzFile, key: str) -> NDArray[Any]:
    if key not in archive.files:
        raise DataError(
            f"Array {key!r} is missing. Found: {', '.join(archive.files) or 'nothing'}. "
            "Save x_train, y_train, x_test, y_test, or x and y to have them split."
        )
    try:
        array: NDArray[Any] = archive[key]
    except ValueError as error:
        remedy = "Save it as numbers, or leave it out."
        if key.startswith("x"):
            remedy = "Ragged windows are saved as pickles: cut them to one length and save plain arrays."
        elif key.startswith(("y", "subject", "recording", "exp")) or key.endswith("_names"):
            remedy = f"Save it as plain strings or numbers, for example np.asarray({key}, dtype=str)."
        raise DataError(f"Array {key!r} is pickled, and pickles are not loaded. {remedy}") from error
    return array


def _strings(archive: NpzFile, key: str) -> tuple[str, ...] | None:
    if key not in archive.files:
        return None
    array = _array(archive, key)
    if array.ndim != 1 or array.dtype.kind != "U":
        raise DataError(f"{key} is a list of strings. Received: {array.dtype} of shape {array.shape}.")
    return tuple(array.tolist())


def _rate(archive: NpzFile) -> float | None:
    if "sampling_rate_hz" not in archive.files:
        return None
    array = _array(archive, "sampling_rate_hz")
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise DataError(f"sampling_rate_hz is one number. Received: {array.dtype} of shape {array.shape}.")
    rate = float(array.reshape(())[()])
    return None if np.isnan(rate) else rate


READER = Reader("NumPy .npz of windows", lambda source: Path(source).suffix.lower() == ".npz", read_npz)
