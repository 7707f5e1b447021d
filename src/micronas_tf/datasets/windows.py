"""`Windows`: labelled windows of sensor data, checked at birth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micronas_tf.datasets.labels import IntArray, encode_labels
from micronas_tf.datasets.triads import Triad, checked_triads, find_triads
from micronas_tf.errors import DataError

FloatArray: TypeAlias = NDArray[np.float32]

MIN_WINDOW: Final = 8
"""Shortest window in samples: below it, halving time even once leaves nothing for a kernel to see."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Windows:
    """Labelled windows; every array is read-only. `Windows.of` builds one from raw labels and names.

    Two windows share samples when they come from one stream (same subject and same recording, where
    these are known) and their starts differ by less than T.

    Attributes:
        x: samples [N, T, S] (window, time, sensor), float32, in raw units, finite.
        y: class index [N], from 0.
        class_names: by class index; a subset may hold no window of some class.
        channel_names: by sensor index.
        sampling_rate_hz: samples a second, None where unknown.
        subject: who wore the sensors [N], None where unknown.
        recording: which recording the window was cut from [N], None where unknown.
        start: index of the window's first sample in its recording [N], None where unknown.
        triads: channel indices (x, y, z) of each 3-axis sensor.

    Raises:
        DataError: empty, wrong rank, NaN or infinity, one class, too short a window, lengths that disagree.
    """

    x: FloatArray
    y: IntArray
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    sampling_rate_hz: float | None = None
    subject: IntArray | None = None
    recording: IntArray | None = None
    start: IntArray | None = None
    triads: tuple[Triad, ...] = ()

    def __post_init__(self) -> None:
        x = _samples(self.x)
        _check_names("channel", self.channel_names, x.shape[2])
        _check_finite(x, self.channel_names)
        self._set("x", x)
        self._set("y", _integers("y", self.y, len(x)))
        _check_classes(self.y, self.class_names)
        for name in ("subject", "recording", "start"):
            if getattr(self, name) is not None:
                self._set(name, _integers(name, getattr(self, name), len(x)))
        self._set("sampling_rate_hz", _rate(self.sampling_rate_hz))
        self._set("triads", checked_triads(self.triads, x.shape[2]))

    def _set(self, name: str, value: object) -> None:
        if isinstance(value, np.ndarray):
            # A view, so that the caller's own array stays writable.
            value = value.view()
            value.flags.writeable = False
        object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        *,
        class_names: Sequence[str] | None = None,
        channel_names: Sequence[str] | None = None,
        sampling_rate_hz: float | None = None,
        subject: ArrayLike | None = None,
        recording: ArrayLike | None = None,
        start: ArrayLike | None = None,
        triads: Sequence[Sequence[int]] | None = None,
    ) -> Windows:
        """Windows of plain arrays: labels of any kind, names and triads made up where not given.

        Args:
            x: samples [N, T, S], any real type.
            y: labels [N], integers or strings (see `encode_labels`).
            triads: declared triads; None finds them by name, () says there are none.
        """
        samples = _samples(x)
        (labels,), names = encode_labels(y, class_names=class_names)
        channels = tuple(
            str(name) for name in (default_channel_names(samples.shape[2]) if channel_names is None else channel_names)
        )
        return cls(
            samples,
            labels,
            names,
            channels,
            sampling_rate_hz,
            None if subject is None else np.asarray(subject),
            None if recording is None else np.asarray(recording),
            None if start is None else np.asarray(start),
            find_triads(channels) if triads is None else checked_triads(triads, samples.shape[2]),
        )

    def subset(self, indices: ArrayLike) -> Windows:
        """The windows at these indices (or where this mask is true), in this order."""
        rows = np.asarray(indices)
        kept: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows]
            for name in ("x", "y", "subject", "recording", "start")
        }
        return replace(self, **kept)

    def __repr__(self) -> str:
        return f"Windows({len(self)} x {self.window} samples x {self.sensors} channels, {self.n_classes} classes)"

    def __len__(self) -> int:
        return len(self.x)

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def window(self) -> int:
        """Samples in a window, T."""
        return int(self.x.shape[1])

    @property
    def sensors(self) -> int:
        """Channels, S."""
        return int(self.x.shape[2])

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of windows of each class."""
        return tuple(np.bincount(self.y, minlength=self.n_classes).tolist())


def _rate(rate: object) -> float | None:
    """As Python's number: NumPy's have no place in a JSON file."""
    if rate is None:
        return None
    try:
        hertz = float(rate)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        hertz = 0.0
    if not 0 < hertz < float("inf"):
        raise DataError(f"The sampling rate is a positive number of Hz, or unknown. Received: {rate!r}.")
    return hertz


def default_channel_names(n_channels: int) -> tuple[str, ...]:
    """Names for channels that have none."""
    return tuple(f"channel_{index}" for index in range(n_channels))


def _samples(x: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise DataError("Windows have one length, but these are ragged. Cut or pad them to one length.") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"x holds numbers. Received: {array.dtype}. Convert it to float32; ragged windows do not fit.")
    if array.ndim != 3:
        raise DataError(
            f"x has the shape (windows, time, sensors). Received: {array.shape}. "
            "A single sensor needs an axis of its own: x[..., None]."
        )
    if 0 in array.shape:
        raise DataError(f"x is empty: shape {array.shape}. Give at least one window with one sensor.")
    if array.shape[1] < MIN_WINDOW:
        raise DataError(
            f"A window has at least {MIN_WINDOW} samples. Received: {array.shape[1]} (x is (windows, time, sensors) = "
            f"{array.shape}). Cut longer windows, or swap the axes."
        )
    # Numbers beyond float32 become infinite here and are reported with their place afterwards.
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def _check_names(what: str, names: tuple[str, ...], count: int) -> None:
    if len(names) != count or len(set(names)) != count:
        raise DataError(
            f"There is one {what} name, each its own, for each of the {count}. Received: {list(names)}. "
            f"Give {count} different names."
        )


def _check_finite(x: FloatArray, channel_names: tuple[str, ...]) -> None:
    # The sum of finite float32 values is finite in float64: one pass without a mask in the good case.
    with np.errstate(invalid="ignore"):
        if np.isfinite(x.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(x))
    window, time, sensor = bad[0].tolist()
    raise DataError(
        f"x holds NaN or infinity in {len(bad)} place(s), first at window {window}, sample {time}, "
        f"channel {channel_names[sensor]!r}. Fill or drop these windows."
    )


def _check_classes(y: IntArray, class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        raise DataError(f"A classifier needs at least two classes. Received: {list(class_names)}.")
    _check_names("class", class_names, len(class_names))
    if y.min() < 0 or y.max() >= len(class_names):
        raise DataError(
            f"Class indices go from 0 to {len(class_names) - 1}. Received: {y.min()} to {y.max()}. "
            "`Windows.of` accepts other labels."
        )


def _integers(name: str, values: ArrayLike, count: int) -> IntArray:
    array = np.asarray(values)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise DataError(
            f"{name} is one integer for each of the {count} windows. Received: {array.dtype} of shape {array.shape}. "
            "Give an integer array of shape (windows,)."
        )
    return array.astype(np.int64, copy=False)
