"""`load_dataset`: from whatever the user has to a `Dataset`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from micronas_tf.datasets import archive, npz, table, uci_har
from micronas_tf.datasets.dataset import Dataset, notes_on_repeats, split_dataset
from micronas_tf.datasets.reader import Cut, Reader, within
from micronas_tf.errors import DataError

READERS: Final[tuple[Reader, ...]] = (
    npz.READER,
    table.READER,
    archive.READER_TS,
    uci_har.READER,
    archive.READER,
)
"""The first one that accepts a source reads it; the last one takes plain names."""


def load_dataset(
    source: str | Path | None = None,
    *,
    window: int | None = None,
    hop: int | None = None,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> Dataset:
    """The dataset of a file, a folder or a name.

    Args:
        source: an `.npz`, `.csv`, `.parquet` or `.ts` file, the UCI HAR folder, or a name in the UEA/UCR
            archive; None is `archive.DEFAULT`, which needs no network.
        window: samples of a window, for tables only.
        hop: samples from one window to the next, for tables only; half a window if not given.
        test_fraction: share of the test part where the source has none.
        seed: of that split.

    Raises:
        DataError: the source cannot be read, or its windows cannot be used; the message says where and why.
    """
    name = archive.DEFAULT if source is None else str(source)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"The name {name!r} is not UTF-8, and the files of a run hold it. Rename it.") from None
    with within(name):
        reader = _reader(name)
        cut = _cut(reader, window, hop)
        parts = reader.read(name, cut)
        # "UCI HAR Dataset" is a folder, whose dots are no suffix.
        label = Path(name).name if Path(name).is_dir() else Path(name).stem
        if parts.test is None:
            return split_dataset(label, parts.train, test_fraction=test_fraction, seed=seed, notes=parts.notes)
        dataset = Dataset(label, parts.train, parts.test, notes=parts.notes)
        return replace(dataset, notes=(*parts.notes, *notes_on_repeats(dataset.train, dataset.test)))


def _reader(source: str) -> Reader:
    try:
        return _accepting(source)
    except PermissionError as error:
        raise DataError(
            f"This cannot be read: {error.strerror}. Make it and the folders around it readable."
        ) from error


def _accepting(source: str) -> Reader:
    reader = next((reader for reader in READERS if reader.accepts(source)), None)
    path = Path(source)
    if reader is None or (reader is archive.READER and path.is_file()):
        if path.exists():
            raise DataError(f"No reader for this format. Known: {'; '.join(reader.name for reader in READERS)}.")
        raise DataError("There is no such file or folder. Check the path.")
    if reader is not archive.READER and not path.exists():
        raise DataError("There is no such file. Check the path.")
    return reader


def _cut(reader: Reader, window: int | None, hop: int | None) -> Cut | None:
    if window is None and hop is None:
        return None
    if not reader.cuts:
        raise DataError(f"Window and hop are for tables of samples; a {reader.name} holds windows. Leave them out.")
    if window is None:
        raise DataError(f"A hop needs a window length too (--window). Received: hop {hop} only.")
    return Cut(window, max(1, window // 2) if hop is None else hop)
