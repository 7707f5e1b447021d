"""Splitting windows so that the smaller part says something about data not seen.

What may not be on both sides, in this order: a subject; a recording; a sample. Only windows that share
none of these are shuffled. Neighbouring windows of one motion are near copies of each other: with
copies on both sides, accuracy measures memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from micronas_tf.datasets.grouping import choose_groups
from micronas_tf.datasets.labels import IntArray
from micronas_tf.datasets.overlap import overlapping, overlaps_with, positions
from micronas_tf.datasets.windows import Windows
from micronas_tf.errors import DataError

SplitKind: TypeAlias = Literal["subject", "recording", "time", "shuffle"]


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Indices of both parts, and how they were chosen.

    Attributes:
        larger: ascending indices of the larger part.
        smaller: ascending indices of the smaller part.
        kind: what was kept apart: subjects, recordings, blocks of time, or nothing (shuffled by class).
        note: one sentence where something could not be done, else empty.
    """

    larger: IntArray
    smaller: IntArray
    kind: SplitKind
    note: str = ""


def partition(
    windows: Windows, fraction: float, *, seed: int = 0, method: Literal["auto"] | SplitKind = "auto"
) -> Partition:
    """Two parts with every class in both where that is possible; the same seed gives the same parts.

    `auto` keeps subjects apart where two are known; else recordings, where that leaves every class in
    both parts; else, when windows overlap or it is known where they were cut from, it gives the last windows
    of each class in time to the smaller part and drops those of the larger part that share samples with them;
    else it shuffles within each class.

    Args:
        fraction: share of the smaller part, above 0 and at most 0.5.
        method: `auto`, or the one kind that is wanted.

    Raises:
        DataError: the fraction or method is impossible, a class cannot be in the larger part, or
            `shuffle` was asked for windows that overlap.
    """
    if not 0 < fraction <= 0.5:
        raise DataError(
            f"The smaller part of a split is a share above 0 and at most 0.5. Received: {fraction}. Choose 0.25, for "
            "example; for the test part it is named by test_fraction."
        )
    if len(windows) < 2:
        raise DataError(f"A split needs at least two windows. Received: {len(windows)}.")
    if method == "auto":
        return _automatic(windows, fraction, seed)
    if method == "time":
        return _by_time(windows, fraction)
    if method == "shuffle":
        return _shuffled(windows, fraction, seed)
    if method in ("subject", "recording"):
        return _by_group(windows, fraction, seed, method)
    raise DataError(f"A split is by auto, subject, recording, time or shuffle. Received: {method!r}.")


def _automatic(windows: Windows, fraction: float, seed: int) -> Partition:
    if _count(windows.subject) >= 2:
        return _by_group(windows, fraction, seed, "subject")
    note = ""
    if _count(windows.recording) >= 2:
        parts = _by_group(windows, fraction, seed, "recording", strict=False)
        if not parts.note:
            return parts
        note = f"{parts.note} Recordings are therefore split in time."
    # Windows side by side share no samples, but the motion goes on from one to the next.
    if note or windows.start is not None or overlapping(positions(windows), windows.window):
        parts = _by_time(windows, fraction)
        return Partition(parts.larger, parts.smaller, parts.kind, " ".join(filter(None, (note, parts.note))))
    return _shuffled(windows, fraction, seed)


def _by_group(
    windows: Windows, fraction: float, seed: int, kind: Literal["subject", "recording"], strict: bool = True
) -> Partition:
    ids = _ids(windows, kind)
    if ids is None or _count(ids) < 2:
        raise DataError(f"A split by {kind} needs at least two {kind}s. Received: {_count(ids)}. Declare them.")
    smaller = choose_groups(ids, windows.y, fraction, seed)
    lost = _classes_without(windows, ~smaller)
    if lost and strict:
        raise DataError(
            f"No split that keeps {kind}s apart leaves {_quoted(lost)} in the larger part: too few {kind}s have it. "
            f"Record it with another {kind}, or leave the class out."
        )
    absent = lost or _classes_without(windows, smaller)
    note = f"No split that keeps {kind}s apart has {_quoted(absent)} in both parts." if absent else ""
    return Partition(np.flatnonzero(~smaller), np.flatnonzero(smaller), kind, note)


def _by_time(windows: Windows, fraction: float) -> Partition:
    position = positions(windows)
    if position is None:
        # Nothing is known but the order of the file, which is the order in time for every recorder.
        position = np.arange(len(windows)) * windows.window
    smaller = _last_of_each_class(position, windows.y, fraction)
    note = _single(windows, smaller)
    larger = ~overlaps_with(position, smaller, windows.window)
    lost = _classes_without(windows, larger)
    if lost:
        raise DataError(
            f"{_quoted(lost)} cannot be split in time: all of its windows share samples. "
            "Record more of it, or cut windows with a larger hop."
        )
    return Partition(np.flatnonzero(larger), np.flatnonzero(smaller), "time", note)


def _shuffled(windows: Windows, fraction: float, seed: int) -> Partition:
    if overlapping(positions(windows), windows.window):
        raise DataError(
            "Overlapping windows are not shuffled into two parts: neighbours share samples, so the smaller part "
            "would be known from the larger and its accuracy inflated. Use method='time', or declare subjects "
            "or recordings."
        )
    key = np.random.default_rng(seed).permutation(len(windows))
    smaller = _last_of_each_class(key, windows.y, fraction)
    return Partition(np.flatnonzero(~smaller), np.flatnonzero(smaller), "shuffle", _single(windows, smaller))


def _single(windows: Windows, smaller: NDArray[np.bool_]) -> str:
    """A note on the classes that have no window to give to the smaller part; refused where none has."""
    if not smaller.any():
        raise DataError("Every class has a single window, so that none can be set aside. Record more of each class.")
    absent = _classes_without(windows, smaller)
    return f"Only the larger part has {_quoted(absent)}: there is a single window of it." if absent else ""


def _last_of_each_class(key: IntArray, y: IntArray, fraction: float) -> NDArray[np.bool_]:
    """Mask of the last `fraction` of every class by key: at least one, but never the only one."""
    rank, size = _rank_in_class(key, y)
    mask: NDArray[np.bool_] = (rank > 0) & (rank >= (1 - fraction) * (size - 1))
    return mask


def _rank_in_class(key: IntArray, y: IntArray) -> tuple[IntArray, IntArray]:
    """Rank of each window within its class by ascending key, from 0, and the size of that class."""
    order = np.lexsort((key, y))
    counts = np.bincount(y)
    rank = np.empty(len(y), np.int64)
    rank[order] = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank, counts[y]


def _ids(windows: Windows, kind: str) -> IntArray | None:
    return windows.subject if kind == "subject" else windows.recording


def _count(ids: IntArray | None) -> int:
    return 0 if ids is None else len(np.unique(ids))


def _classes_without(windows: Windows, part: NDArray[np.bool_]) -> list[str]:
    """Names of the classes that have windows, but none in this part."""
    return [windows.class_names[index] for index in sorted(set(windows.y.tolist()) - set(windows.y[part].tolist()))]


def _quoted(names: list[str]) -> str:
    return ", ".join(f"class {name!r}" for name in names)
