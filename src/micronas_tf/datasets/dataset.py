"""`Dataset`: a train and a test part that fit together, and the hash that says which data a run saw."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from micronas_tf.datasets.overlap import repeated
from micronas_tf.datasets.splits import partition
from micronas_tf.datasets.windows import Windows
from micronas_tf.errors import DataError

_SHARED_FIELDS = ("window", "sensors", "channel_names", "class_names", "sampling_rate_hz", "triads")
_ARRAY_FIELDS = ("x", "y", "subject", "recording", "start")


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Windows to learn from and windows that decide nothing.

    Attributes:
        name: for people.
        train: holds every class.
        test: of the same shape, channels, classes and rate.
        split_kind: `official` (the source has a test part) or how it was split off (see `splits.SplitKind`).
        notes: sentences for people: what was left out or could not be done.
        sha256: of the content of both parts, whatever file it came from.

    Raises:
        DataError: the parts do not fit together, or a class has no train window.
    """

    name: str
    train: Windows
    test: Windows
    split_kind: str = "official"
    notes: tuple[str, ...] = ()
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        for name in _SHARED_FIELDS:
            train, test = getattr(self.train, name), getattr(self.test, name)
            if train != test:
                raise DataError(f"Train and test have the same {name}. Received: {train} and {test}.")
        for name, n_train, n_test in zip(
            self.train.class_names, self.train.class_counts, self.test.class_counts, strict=True
        ):
            if not n_train and n_test:
                raise DataError(
                    f"Every test label must occur in train, but class {name!r} has {n_test} test window(s) and no "
                    "train window. Add train windows of it, or drop those of test."
                )
            if not n_train:
                raise DataError(f"Class {name!r} has no window at all. Add windows of it, or drop its name.")
        object.__setattr__(self, "sha256", _sha256(self.train, self.test))


def split_dataset(
    name: str, windows: Windows, *, test_fraction: float, seed: int, notes: tuple[str, ...] = ()
) -> Dataset:
    """A dataset of windows that come without a test part (see `splits.partition` for what is kept apart)."""
    parts = partition(windows, test_fraction, seed=seed)
    train, test = windows.subset(parts.larger), windows.subset(parts.smaller)
    found = [parts.note] if parts.note else []
    if parts.kind in ("time", "shuffle"):
        # The order of the windows shows overlap only where nobody has shuffled them.
        found += notes_on_repeats(train, test)
    return Dataset(name, train, test, parts.kind, (*notes, *found))


def notes_on_repeats(train: Windows, test: Windows) -> tuple[str, ...]:
    """A note where the parts look shuffled after cutting with overlap."""
    count = int(repeated(test, train).sum())
    if not count:
        return ()
    return (
        f"{count} of {len(test)} test windows repeat samples of train windows bit for bit: if overlapping windows were "
        "shuffled, the test accuracy is too high. Split by subject, recording or time: declare subjects or recordings, "
        "or give the windows in the order in which they were cut.",
    )


def describe(dataset: Dataset) -> dict[str, Any]:
    """What a person wants to know at a glance, as a JSON object."""
    train, test = dataset.train, dataset.test
    counts = zip(train.class_names, train.class_counts, test.class_counts, strict=True)
    return {
        "name": dataset.name,
        "windows": {"train": len(train), "test": len(test)},
        "window": train.window,
        "sensors": train.sensors,
        "sampling_rate_hz": train.sampling_rate_hz,
        "classes": {name: {"train": n_train, "test": n_test} for name, n_train, n_test in counts},
        "channels": list(train.channel_names),
        "triads": [[train.channel_names[channel] for channel in triad] for triad in train.triads],
        "subjects": _subjects(train, test),
        "split": dataset.split_kind,
        "notes": list(dataset.notes),
        "sha256": dataset.sha256,
    }


def _subjects(train: Windows, test: Windows) -> dict[str, int] | None:
    """Number of subjects in train, in test and in both; None where unknown."""
    if train.subject is None or test.subject is None:
        return None
    in_train, in_test = np.unique(train.subject), np.unique(test.subject)
    return {"train": len(in_train), "test": len(in_test), "both": len(np.intersect1d(in_train, in_test))}


def _sha256(*parts: Windows) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps([getattr(part, name) for name in _SHARED_FIELDS]).encode())
        for name in _ARRAY_FIELDS:
            array = getattr(part, name)
            digest.update(f"{name} {None if array is None else array.shape}".encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()
