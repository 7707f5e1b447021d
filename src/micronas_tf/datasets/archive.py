"""Reader of the UEA/UCR archive, by name, and of `.ts` files; aeon reads, bundles and downloads them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from micronas_tf.datasets.labels import encode_labels
from micronas_tf.datasets.reader import Cut, Parts, Reader, within
from micronas_tf.datasets.windows import FloatArray, Windows
from micronas_tf.errors import DataError

DEFAULT: Final = "BasicMotions"
"""Real motion from a smartwatch, 4 classes, 40 + 40 windows; ships with aeon."""

_AXES: Final = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")

# What the .ts files say in prose only: "3D accelerometer and a 3D gyroscope … sampled once every tenth of a second".
_KNOWN: Final[dict[str, tuple[tuple[str, ...], float]]] = {DEFAULT: (_AXES, 10.0)}


def read_name(source: str, cut: Cut | None = None) -> Parts:
    """Train and test windows of a problem of the archive; downloaded (by aeon, to its own folder) unless bundled.

    Raises:
        DataError: no such name, no network, unequal lengths, missing values.
    """
    # aeon takes seconds to import (numba).
    from aeon.datasets import load_classification  # noqa: PLC0415

    base, version, folder = _locate(source)
    remedy = f"Use the equal-length version {base}_eq if the archive has one."
    failure = (
        "It could not be loaded: {}. Without a network, download it elsewhere from "
        f"https://timeseriesclassification.com and give its {base}_TRAIN.ts file."
    )
    load = partial(load_classification, base + version, extract_path=folder, return_metadata=True)
    loaded = [_loaded(partial(load, split=part), failure, remedy) for part in ("train", "test")]
    channels, rate = _KNOWN.get(base, (None, None))
    train, test = _windows(loaded, ("train", "test"), channels, rate)
    return Parts(train, test)


def read_ts(source: str, cut: Cut | None = None) -> Parts:
    """Windows of a `.ts` file; NAME_TRAIN.ts and NAME_TEST.ts beside each other are train and test.

    Raises:
        DataError: truncated, no class labels, unequal lengths, missing values.
    """
    from aeon.datasets import load_from_ts_file  # noqa: PLC0415

    path = Path(source)
    pair = [
        path.with_name(re.sub(r"_(TRAIN|TEST)$", ending, path.stem) + path.suffix) for ending in ("_TRAIN", "_TEST")
    ]
    files = pair if pair[0] != pair[1] and all(file.is_file() for file in pair) else [path]
    loaded = [
        _loaded(
            partial(load_from_ts_file, str(file), return_meta_data=True),
            f"{file.name} is truncated or no .ts file: {{}}. Write it again.",
            "Cut or pad the series to one length.",
        )
        for file in files
    ]
    loaded = [(series, _as_written(file, labels)) for file, (series, labels) in zip(files, loaded, strict=True)]
    train, *test = _windows(loaded, tuple(file.name for file in files), None, None)
    return Parts(train, test[0] if test else None)


def _as_written(path: Path, labels: NDArray[Any]) -> NDArray[Any]:
    """The labels of a `.ts` file, in lower case as aeon has them, unless classes differ by case alone.

    aeon also takes `nan` and `?` within a name for missing values.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    start = next(number for number, line in enumerate(lines) if line.lower().startswith("@data"))
    written = [line.rpartition(":")[2].strip() for line in lines[start + 1 :]]
    if len(written) != len(labels):
        return labels
    lower = [label.lower() for label in written]
    return np.asarray(lower if len(set(lower)) == len(set(written)) else written)


def _locate(source: str) -> tuple[str, str, str | None]:
    """The problem's name in the spelling of the archive, its version ending, and aeon's own folder if bundled."""
    import aeon.datasets as aeon_datasets  # noqa: PLC0415
    from aeon.datasets.dataset_collections import get_downloaded_tsc_tsr_datasets  # noqa: PLC0415
    from aeon.datasets.tsc_datasets import tsc_zenodo  # noqa: PLC0415

    stem = re.sub(r"(_eq|_nmv)+$", "", source)
    bundle = str(Path(str(aeon_datasets.__file__)).parent / "data")
    bundled = get_downloaded_tsc_tsr_datasets(bundle)
    spelling = {name.lower(): name for name in (*bundled, *tsc_zenodo)}
    if stem.lower() not in spelling:
        close = [spelling[name] for name in difflib.get_close_matches(stem.lower(), spelling, 3)]
        hint = f"Did you mean {' or '.join(close)}?" if close else "See https://timeseriesclassification.com."
        raise DataError(f"This is no file and no name of the UEA/UCR archive. {hint}")
    base = spelling[stem.lower()]
    # Naming the folder keeps aeon from creating its download folder for what needs no download.
    return base, source[len(stem) :], bundle if base in bundled else None


def _loaded(load: Callable[[], Any], failure: str, unequal: str) -> tuple[FloatArray, NDArray[Any]]:
    """Series (N, T, S) and labels of one part, by aeon."""
    try:
        series, labels, meta = load()
    except (OSError, ValueError, IndexError) as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        if "different number of observations" in reason:
            raise DataError(f"The series differ in length. {unequal}") from error
        raise DataError(failure.replace("{}", reason)) from error
    if not meta["classlabel"]:
        raise DataError("There are no class labels: this is no classification problem. Give a labelled one.")
    if meta.get("timestamps"):
        # aeon takes the stamps for samples there, and drops minus signs.
        raise DataError("Series with time stamps cannot be read. Write them without (@timeStamps false), or as a CSV.")
    if not len(series):
        raise DataError("There are no series after @data. Give a complete file.")
    if len({case.shape for case in series}) > 1:
        lengths = [case.shape[-1] for case in series]
        raise DataError(f"The series differ in length, {min(lengths)} to {max(lengths)} samples. {unequal}")
    return np.stack(list(series)).transpose(0, 2, 1).astype(np.float32), labels


def _windows(
    loaded: list[tuple[FloatArray, NDArray[Any]]],
    places: tuple[str, ...],
    channels: tuple[str, ...] | None,
    rate: float | None,
) -> list[Windows]:
    encoded, class_names = encode_labels(*(labels for _, labels in loaded))
    windows = []
    for (x, _), y, place in zip(loaded, encoded, places, strict=True):
        with within(place):
            windows.append(Windows.of(x, y, class_names=class_names, channel_names=channels, sampling_rate_hz=rate))
    return windows


READER_TS = Reader(".ts file", lambda source: source.lower().endswith(".ts"), read_ts)
READER = Reader("name in the UEA/UCR archive", lambda source: re.fullmatch(r"\w+", source) is not None, read_name)
