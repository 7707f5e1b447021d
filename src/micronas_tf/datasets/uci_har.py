"""Reader of the folder "UCI HAR Dataset", unpacked as downloaded from UCI (archive.ics.uci.edu, dataset 240).

Windows of 2.56 s at 50 Hz with 50 % overlap, nine channels in g and rad/s, official split by subject.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from micronas_tf.datasets.reader import Cut, Parts, Reader, within
from micronas_tf.datasets.windows import Windows
from micronas_tf.errors import DataError

CHANNELS: Final = tuple(f"{signal}_{axis}" for signal in ("body_acc", "body_gyro", "total_acc") for axis in "xyz")
SAMPLING_RATE_HZ: Final = 50.0
_FOLDER: Final = "UCI HAR Dataset"


def read_uci_har(source: str, cut: Cut | None = None) -> Parts:
    """Train and test windows of the folder, or of the folder around it.

    Raises:
        DataError: not that folder, or a file in it is missing, empty, not numeric or of other length.
    """
    root = Path(source)
    root = root / _FOLDER if (root / _FOLDER).is_dir() else root
    if not (root / "activity_labels.txt").is_file():
        raise DataError(
            "This folder is not the UCI HAR dataset: activity_labels.txt is missing. "
            f"Give the unpacked folder {_FOLDER!r}, or a file."
        )
    numbers, names = _activities(root / "activity_labels.txt")
    return Parts(_part(root, "train", numbers, names), _part(root, "test", numbers, names))


def _activities(path: Path) -> tuple[list[int], list[str]]:
    lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    try:
        pairs = sorted((int(number), name.strip()) for number, name in filter(None, lines))
    except ValueError as error:
        raise DataError("activity_labels.txt has a number and a name on each line. Unpack the folder again.") from error
    return [number for number, _ in pairs], [name for _, name in pairs]


def _part(root: Path, part: str, numbers: list[int], names: list[str]) -> Windows:
    labels = _table(root, f"{part}/y_{part}.txt", np.int64).reshape(-1)
    unknown = sorted(set(labels.tolist()) - set(numbers))
    if unknown:
        raise DataError(f"{part}/y_{part}.txt has labels that activity_labels.txt does not name. Received: {unknown}.")
    signals = {name: _table(root, f"{part}/Inertial Signals/{name}_{part}.txt", np.float32) for name in CHANNELS}
    for name, signal in signals.items():
        if signal.shape != (len(labels), signals[CHANNELS[0]].shape[1]):
            raise DataError(
                f"{part}/Inertial Signals/{name}_{part}.txt has one line per label and one length. Received: shape "
                f"{signal.shape} for {len(labels)} labels. Unpack the folder again."
            )
    with within(part):
        return Windows.of(
            np.stack(list(signals.values()), axis=2),
            np.searchsorted(numbers, labels),
            class_names=names,
            channel_names=CHANNELS,
            sampling_rate_hz=SAMPLING_RATE_HZ,
            subject=_table(root, f"{part}/subject_{part}.txt", np.int64).reshape(-1),
        )


def _table(root: Path, name: str, dtype: DTypeLike) -> NDArray[Any]:
    """Numbers of a text file [lines, columns]."""
    path = root / name
    if not path.is_file():
        raise DataError(f"This folder is not the whole UCI HAR dataset: {name} is missing. Unpack it again.")
    try:
        with warnings.catch_warnings():
            # loadtxt warns about an empty file; here it is an error with a remedy.
            warnings.simplefilter("ignore", UserWarning)
            table = np.loadtxt(path, dtype, ndmin=2)
    except ValueError as error:
        raise DataError(f"{name} is truncated or not numeric: {error}. Unpack the folder again.") from error
    if not table.size:
        raise DataError(f"{name} is empty. Unpack the folder again.")
    return table


READER = Reader("UCI HAR folder", lambda source: Path(source).is_dir(), read_uci_har)
