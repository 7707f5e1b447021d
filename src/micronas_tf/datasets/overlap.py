"""Which windows share samples: what every split has to know."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from micronas_tf.datasets.labels import IntArray
from micronas_tf.datasets.windows import FloatArray, Windows

# Shorter common pieces than this share of a window may be chance (sensors of few bits).
_LEAST_SHARED: Final = 1 / 8


def positions(windows: Windows) -> IntArray | None:
    """A place [N] on one long time axis: two windows share samples exactly when their places differ by < T.

    From `start` where known. Else from the samples: windows that follow each other in the file and
    repeat samples bit for bit were cut with overlap. None: unknown, and no overlap is visible.
    """
    stream = _streams(windows)
    if windows.start is not None:
        offset = windows.start - windows.start.min()
        place: IntArray = stream * (int(offset.max()) + windows.window) + offset
        return place
    hops = _hops_by_content(windows.x)
    hops[np.diff(stream) != 0] = windows.window
    if (hops == windows.window).all():
        return None
    return np.concatenate([[0], np.cumsum(hops)])


def overlapping(position: IntArray | None, window: int) -> bool:
    """Whether any two windows are known to share samples."""
    return position is not None and bool((np.diff(np.sort(position)) < window).any())


def overlaps_with(position: IntArray, chosen: NDArray[np.bool_], window: int) -> NDArray[np.bool_]:
    """Mask [N] of the windows that share a sample with any of the chosen ones (these included)."""
    places = np.sort(position[chosen])
    after = np.searchsorted(places, position)
    to_next = places[np.minimum(after, len(places) - 1)] - position
    to_previous = position - places[np.maximum(after - 1, 0)]
    mask: NDArray[np.bool_] = (np.abs(to_next) < window) | (np.abs(to_previous) < window)
    return mask


def repeated(windows: Windows, others: Windows) -> NDArray[np.bool_]:
    """Mask [N] of the windows that begin or end with samples found anywhere in the others, bit for bit.

    Windows that overlap by enough share either the beginning or the end of each one. Finds what a
    shuffle after the cutting leaves behind, whatever the order of the windows.
    """
    length = _least_shared(windows.window)
    known = _piece_hashes(others.x, length)
    ends = np.stack([windows.x[:, :length], windows.x[:, -length:]], axis=1)
    varies = (ends != ends[:, :, :1]).any(axis=(2, 3))
    hashes = np.stack([_piece_hashes(ends[:, end], length)[:, 0] for end in (0, 1)], axis=1)
    mask: NDArray[np.bool_] = (varies & np.isin(hashes, known)).any(axis=1)
    return mask


def _least_shared(window: int) -> int:
    return max(2, round(window * _LEAST_SHARED))


def _piece_hashes(x: FloatArray, length: int) -> NDArray[np.uint64]:
    """Hash of the piece of `length` samples that begins at each sample: [N, T, S] -> [N, T - length + 1].

    A sum of the samples' bits times random odd numbers, modulo 2**64: among millions of pieces two
    different ones do not meet.
    """
    weights = np.random.default_rng(0).integers(0, 2**63, x.shape[2] + length, np.uint64) * np.uint64(2) + np.uint64(1)
    samples = np.zeros(x.shape[:2], np.uint64)
    for channel, weight in enumerate(weights[length:]):
        samples += np.ascontiguousarray(x[:, :, channel]).view(np.uint32) * weight
    pieces = x.shape[1] - length + 1
    hashes = np.zeros((len(x), pieces), np.uint64)
    for offset, weight in enumerate(weights[:length]):
        hashes += samples[:, offset : offset + pieces] * weight
    return hashes


def _streams(windows: Windows) -> IntArray:
    """Code [N] of the continuous stream that each window was cut from."""
    known = [ids for ids in (windows.subject, windows.recording) if ids is not None]
    if not known:
        return np.zeros(len(windows), np.int64)
    return np.unique(np.stack(known, axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _hops_by_content(x: FloatArray) -> IntArray:
    """Samples from each window to the next [N - 1]; T where they have nothing in common."""
    window = x.shape[1]
    hops = np.full(len(x) - 1, window, np.int64)
    for hop in range(1, window - _least_shared(window) + 1):
        rows = np.flatnonzero((hops == window) & (x[:-1, hop] == x[1:, 0]).all(axis=1))
        shared = x[rows + 1, : window - hop]
        # A flat line equals any other: no evidence.
        varies = (shared != shared[:, :1]).any(axis=(1, 2))
        hops[rows[varies & (x[rows, hop:] == shared).all(axis=(1, 2))]] = hop
    return hops
