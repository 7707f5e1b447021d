"""Reader of long tables: one row per sample, to be cut into windows.

Columns, in any order and case: `time` (seconds or date-times; `time_ms`, `time_us`, `time_ns` for other units),
`label`, optional `subject` and `recording`; every other column is a channel.

Windows are cut within *runs*: rows of one subject and recording, without a gap in time, with one label. A
window therefore never has two labels. A row without a label belongs to no run. What is left over at the
end of a run is not used; the notes say how much.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micronas_tf.datasets.labels import IntArray, codes
from micronas_tf.datasets.reader import Cut, Parts, Reader
from micronas_tf.datasets.windows import MIN_WINDOW, FloatArray, Windows
from micronas_tf.errors import DataError

_TIME_UNITS: Final = {"time": 1.0, "time_s": 1.0, "time_ms": 1e-3, "time_us": 1e-6, "time_ns": 1e-9}
_NAMES: Final = ("label", "subject", "recording")
_MISSING: Final = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None")
"""What stands for no number in a column of numbers."""

_PARQUET: Final = (".parquet", ".pq")
_CSV: Final = (".csv", ".csv.gz")

# In medians of the time step. Clocks of whole milliseconds give steps of 2 and 3 at 400 Hz: no gap.
_GAP: Final = 1.75
_SHORT: Final = 0.5
_MOST_IRREGULAR: Final = 0.05

# Of a window's mean step to that of the others: clocks differ by less, rates that someone has chosen by more.
_SAME_RATE: Final = 0.25

_SLOW_HZ: Final = 1.0
"""Rates below it are rare for motion; samples up to a thousand a second seem to have one if milliseconds pass for
seconds."""

_NAMELESS: Final = "Unnamed: "
"""What pandas calls a column whose header is empty."""


def read_table(source: str, cut: Cut | None) -> Parts:
    """The windows cut from a CSV or Parquet table, unsplit.

    Raises:
        DataError: no cut given, unreadable, a column missing or not numeric, time that does not ascend
            or is irregular, several rates, or no run as long as a window.
    """
    if cut is None:
        raise DataError(
            "A table of samples is cut into windows: give the window length in samples (--window), for example two "
            "seconds of samples."
        )
    if cut.window < MIN_WINDOW:
        raise DataError(f"A window has at least {MIN_WINDOW} samples. Received: {cut.window} (--window).")
    frame = _read_frame(Path(source))
    time, channels = _columns(frame)
    samples = np.stack([_numbers(frame, name) for name in channels], axis=1)
    stream, subject, recording = _streams(frame)
    # Rows of one stream belong together, wherever they stand in the file.
    order = np.argsort(stream, kind="stable")
    seconds, stream = _seconds(frame[time], _TIME_UNITS[time])[order], stream[order]
    follows, rate = _continuity(seconds, stream, order)
    codes_of_labels, labels = pd.factorize(_labels(frame["label"]))
    label = codes_of_labels[order]
    labelled = label >= 0
    follows &= labelled[1:] & (label[1:] == label[:-1])
    first = _first_rows(follows, labelled, cut)
    _check_classes(np.asarray(labels), label, first, cut)
    _check_one_rate(seconds, first, order, cut)
    rows = order[first]
    windows = Windows.of(
        samples[order][first[:, None] + np.arange(cut.window)],
        np.asarray(labels)[label[first]],
        channel_names=channels,
        sampling_rate_hz=rate,
        subject=None if subject is None else subject[rows],
        recording=None if recording is None else recording[rows],
        start=first - np.searchsorted(stream, stream[first]),
    )
    return Parts(windows, notes=(*_slow(frame[time], rate), *_notes(first, labelled, cut), *_identifiers(windows)))


def _read_frame(path: Path) -> pd.DataFrame:
    parquet = path.suffix.lower() in _PARQUET
    if path.is_dir() and not parquet:
        raise DataError("This is a folder, not a table. Give the file in it, or rename the folder.")
    try:
        frame = _read_parquet(path) if parquet else _read_csv(path)
    except ImportError as error:
        raise DataError('Parquet needs pyarrow. Run `pip install "micronas-tf[parquet]"`, or give a CSV.') from error
    except (ValueError, OSError, EOFError, zlib.error) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(f"This table cannot be read: {reason}. {_remedy(error, parquet)}") from error
    if frame.empty:
        raise DataError("This table is empty. Give a header row and one row per sample.")
    names = frame.columns.astype(str).str.strip()
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise DataError(f"Columns are separated by commas. Received the header: {names[0]!r}. Write it with commas.")
    if nameless := [place for place, name in enumerate(names, 1) if name.startswith(_NAMELESS)]:
        raise DataError(
            f"Column {nameless[0]} has no name. If it is an index that was saved along, drop it: a row number tells "
            "the class. If it is a sensor, name it."
        )
    special = names.str.lower().isin([*_TIME_UNITS, *_NAMES])
    frame.columns = pd.Index(np.where(special, names.str.lower(), names))
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    """An index that is named as the time, the subject or the recording is it; any other one numbers the rows."""
    frame = pd.read_parquet(path)
    known = {*_TIME_UNITS, *_NAMES} - {str(name).strip().lower() for name in frame.columns}
    named = [name for name in frame.index.names if str(name).strip().lower() in known]
    return frame.reset_index(named) if named else frame


def _read_csv(path: Path) -> pd.DataFrame:
    """Nothing means nothing everywhere; `null` or `NA` do among numbers, but a class may be called so."""
    names = pd.read_csv(path, nrows=0).columns
    missing = {name: [""] if _is_name(str(name)) else [*_MISSING] for name in names}
    # Whole columns at once: in pieces, numbers and names of one column would become a mixture of both.
    frame = pd.read_csv(path, keep_default_na=False, na_values=missing, low_memory=False)
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            "The rows have more values than the header has names. Name every column; a row does not end in a comma."
        )
    return frame


def _is_name(column: str) -> bool:
    """Whether the column holds names."""
    return column.strip().lower() in _NAMES


def _remedy(error: Exception, parquet: bool) -> str:
    """What to do about a table that cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return "Save it as UTF-8."
    if parquet or isinstance(error, OSError | EOFError | zlib.error):
        return "If it can be opened elsewhere, copy it again; else write it again."
    return "Write it again with a header row."


def _columns(frame: pd.DataFrame) -> tuple[str, list[str]]:
    """Name of the time column and names of the channels."""
    found = ", ".join(frame.columns)
    times = [name for name in frame.columns if name in _TIME_UNITS]
    if len(times) != 1:
        raise DataError(
            f"A table has one time column ({', '.join(_TIME_UNITS)}). Columns found: {found}. "
            "Rename the one that holds the time (or the index, of a Parquet file)."
        )
    if "label" not in frame.columns:
        raise DataError(f"Column 'label' is missing. Columns found: {found}. Rename the column of the classes to it.")
    channels = [name for name in frame.columns if name not in {times[0], "label", "subject", "recording"}]
    if not channels:
        raise DataError(f"There is no channel column beside time and label. Columns found: {found}. Add the sensors.")
    if not frame.columns.is_unique:
        raise DataError(f"Each column has its own name. Columns found: {found}. Rename one.")
    return times[0], channels


def _numbers(frame: pd.DataFrame, name: str) -> FloatArray:
    column = frame[name]
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = np.flatnonzero((numbers.isna() & column.notna()).to_numpy())
    if len(wrong):
        raise DataError(
            f"Column {name!r} is not numeric: data row {wrong[0] + 1} has {column.iloc[wrong[0]]!r}. "
            "Drop the column, or make it a number."
        )
    values = numbers.to_numpy(np.float32, na_value=np.nan)
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing):
        raise DataError(
            f"Column {name!r} holds NaN, infinity or nothing in {len(missing)} row(s), first in data row "
            f"{missing[0] + 1}. Fill them, or drop the rows (a gap in time then ends the window)."
        )
    return values


def _labels(column: pd.Series[Any]) -> pd.Series[Any]:
    """The labels, which are classes: numbers with a fraction come from a sensor."""
    if pd.api.types.is_float_dtype(column):
        broken = np.flatnonzero((column.notna() & (column != column.round())).to_numpy())
        if len(broken):
            raise DataError(
                f"Labels are classes, integers or strings, but data row {broken[0] + 1} of column 'label' has "
                f"{column.iloc[broken[0]]:g}. Is it the column of a sensor?"
            )
    return column


def _streams(frame: pd.DataFrame) -> tuple[IntArray, IntArray | None, IntArray | None]:
    """Code of the stream of each row, its subject and its recording, where there are such columns.

    Recording 1 of one subject is not recording 1 of another.
    """
    ids = {}
    for name in ("subject", "recording"):
        if name in frame.columns:
            missing = np.flatnonzero(frame[name].isna().to_numpy())
            if len(missing):
                raise DataError(f"Column {name!r} is empty in data row {missing[0] + 1}. Fill it, or drop the column.")
            ids[name] = codes(_plain(frame[name]))[0]
    if not ids:
        return np.zeros(len(frame), np.int64), None, None
    stream = np.unique(np.stack(list(ids.values()), axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    return stream, ids.get("subject"), stream if "recording" in ids else None


def _plain(column: pd.Series[Any]) -> NDArray[Any]:
    """Identifiers as NumPy integers or strings."""
    return column.to_numpy() if pd.api.types.is_integer_dtype(column) else column.astype(str).to_numpy("U")


def _seconds(column: pd.Series[Any], unit: float) -> NDArray[np.float64]:
    numbers = pd.to_numeric(column, errors="coerce") if not pd.api.types.is_datetime64_any_dtype(column) else None
    if numbers is not None and numbers.notna().all():
        # From the first one on, so that nanoseconds since 1970 keep their last digits.
        elapsed: NDArray[np.float64] = (numbers - numbers.iloc[0]).to_numpy(np.float64)
        return elapsed * unit
    if numbers is not None and numbers.notna().any():
        wrong = np.flatnonzero(numbers.isna().to_numpy())
        raise DataError(
            f"Column {column.name!r} is a number but in {len(wrong)} row(s): data row {wrong[0] + 1} has "
            f"{column.iloc[wrong[0]]!r}. Correct or drop the row."
        )
    dates = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601" if numbers is not None else None)
    wrong = np.flatnonzero(dates.isna().to_numpy())
    if len(wrong):
        raise DataError(
            f"Column {column.name!r} is neither a number nor a date-time: data row {wrong[0] + 1} has "
            f"{column.iloc[wrong[0]]!r}. Correct or drop the row."
        )
    return np.asarray((dates - dates.iloc[0]).dt.total_seconds(), np.float64)


def _continuity(seconds: NDArray[np.float64], stream: IntArray, order: IntArray) -> tuple[NDArray[np.bool_], float]:
    """Whether each row follows the one before it without a gap [rows - 1], and the sampling rate in Hz."""
    same = stream[1:] == stream[:-1]
    steps: NDArray[np.float64] = np.diff(seconds)
    backwards = np.flatnonzero(same & (steps <= 0))
    if len(backwards):
        raise DataError(
            f"Time must ascend within a recording, but data row {order[backwards[0] + 1] + 1} is not after the row "
            "before it. Sort the rows by time, drop repeated ones, or add a `recording` column."
        )
    if not same.any():
        raise DataError("Each recording has one row only. Give one row per sample, in time, with the same recording.")
    median = float(np.median(steps[same]))
    gaps = steps > _GAP * median
    irregular = float((gaps | (steps < _SHORT * median))[same].mean())
    if irregular > _MOST_IRREGULAR:
        raise DataError(
            f"Samples are evenly spaced in time, but {irregular:.0%} of the steps are far from their median of "
            f"{median:g} s. Resample to one rate first."
        )
    # Rounded: the steps carry the rounding of the time stamps. Nanoseconds in `time` must not become 0 Hz.
    return same & ~gaps, round(1 / median, 6) or 1 / median


def _first_rows(follows: NDArray[np.bool_], labelled: NDArray[np.bool_], cut: Cut) -> IntArray:
    """First row of every window."""
    bounds = np.concatenate([[0], np.flatnonzero(~follows) + 1, [len(labelled)]])
    runs = [(begin, end) for begin, end in pairwise(bounds.tolist()) if labelled[begin]]
    starts = [np.arange(begin, end - cut.window + 1, cut.hop) for begin, end in runs]
    first = np.concatenate(starts) if starts else np.zeros(0, np.int64)
    if not labelled.any():
        raise DataError("No row has a label: the column label is empty. Fill it where a class is known.")
    if not len(first):
        longest = max((int(end - begin) for begin, end in runs), default=0)
        raise DataError(
            f"No run of samples with one label and without a gap holds a window of {cut.window} samples. "
            f"Longest run: {longest}. Use a shorter window."
        )
    return first


def _check_classes(labels: NDArray[Any], label: IntArray, first: IntArray, cut: Cut) -> None:
    """A class that no window holds would be left out of the model without a word.

    Raises:
        DataError: names such classes.
    """
    lost = sorted(str(labels[code]) for code in set(label[label >= 0].tolist()) - set(label[first].tolist()))
    if lost:
        raise DataError(
            f"No run of samples with the label(s) {', '.join(lost)} and without a gap holds a window of {cut.window} "
            "samples. Use a shorter window, or clear these labels, which leaves the rows out."
        )


def _check_one_rate(seconds: NDArray[np.float64], first: IntArray, order: IntArray, cut: Cut) -> None:
    """The steps within a run are even; here, those of one window against those of the others.

    Raises:
        DataError: names the first window that is off, and both rates.
    """
    steps = (seconds[first + cut.window - 1] - seconds[first]) / (cut.window - 1)
    median = float(np.median(steps))
    other = np.flatnonzero(np.maximum(steps, median) / np.minimum(steps, median) > 1 + _SAME_RATE)
    if len(other):
        raise DataError(
            f"All samples have one rate, but {len(other)} of {len(first)} windows do not have the median "
            f"{1 / median:.4g} Hz: from data row {order[first[other[0]]] + 1} on it is {1 / steps[other[0]]:.4g} Hz. "
            "Resample them to one rate, or leave them out."
        )


def _slow(time: pd.Series[Any], rate_hz: float) -> tuple[str, ...]:
    """A note on a rate that numbers of another unit than seconds would explain."""
    if time.name != "time" or rate_hz >= _SLOW_HZ or not pd.api.types.is_numeric_dtype(time):
        return ()
    return (
        f"Column 'time' is read in seconds, which makes {rate_hz:.4g} Hz. If time is in milliseconds, name the column "
        "time_ms (time_us, time_ns for micro- and nanoseconds); if seconds are right, time_s.",
    )


def _identifiers(windows: Windows) -> tuple[str, ...]:
    """A note on channels that stand still in every window and differ between windows, as no sensor does."""
    still = (windows.x == windows.x[:, :1]).all(axis=(0, 1)) & (windows.x[:, 0] != windows.x[0, 0]).any(axis=0)
    names = [repr(name) for name, is_still in zip(windows.channel_names, still.tolist(), strict=True) if is_still]
    if not names:
        return ()
    return (
        f"{', '.join(names)} never changes within a window, yet is read as a channel. If it names a person or a "
        "recording, rename it to subject or recording; else drop it.",
    )


def _notes(first: IntArray, labelled: NDArray[np.bool_], cut: Cut) -> tuple[str, ...]:
    used = np.zeros(len(labelled), np.bool_)
    for offset in range(cut.window):
        used[first + offset] = True
    notes = []
    if not labelled.all():
        notes.append(f"{(~labelled).sum()} samples without a label were left out.")
    if (labelled & ~used).any():
        notes.append(f"{(labelled & ~used).sum()} of {len(used)} samples fill no window and were left out.")
    return tuple(notes)


READER = Reader(
    "CSV or Parquet table of samples", lambda source: source.lower().endswith((*_CSV, *_PARQUET)), read_table, cuts=True
)
