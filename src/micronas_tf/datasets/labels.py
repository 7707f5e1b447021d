"""Class labels, as they come, to class indices from 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micronas_tf.errors import DataError

IntArray: TypeAlias = NDArray[np.int64]

_MOST: Final = 2.0**63
"""What int64 does not hold any more."""


def encode_labels(
    *parts: ArrayLike, class_names: Sequence[str] | None = None
) -> tuple[tuple[IntArray, ...], tuple[str, ...]]:
    """Indices of all parts (train, test, …) into one list of class names.

    Args:
        parts: labels [N] each: integers (contiguous or not), whole floats or strings.
        class_names: names by index. Integers from 0 index them; other integers are matched in sorted
            order, if there are as many; strings must be among them. Without names, the sorted labels
            are the names, numbers in numeric order.

    Raises:
        DataError: labels of another type or rank, missing labels, or labels that the names do not cover.
    """
    arrays = tuple(_tidy(part) for part in parts)
    if len({array.dtype.kind for array in arrays}) > 1:
        raise DataError("Labels are integers in one part and strings in another. Use one kind in all parts.")
    values = np.unique(np.concatenate(arrays))
    if class_names is None:
        values_in_order = _in_order(values)
        names = tuple(str(value) for value in values_in_order)
    else:
        names = tuple(str(name) for name in class_names)
        values_in_order = _matched(values, names)
    index = {value: position for position, value in enumerate(values_in_order.tolist())}
    lookup = np.array([index[value] for value in values.tolist()], np.int64)
    return tuple(lookup[np.searchsorted(values, array)] for array in arrays), names


def codes(*parts: ArrayLike) -> tuple[IntArray, ...]:
    """Integers [N] for identifiers (subjects, recordings), alike in all parts; integers stay as they are."""
    arrays = [np.asarray(part) for part in parts]
    if all(array.dtype.kind in "iu" for array in arrays):
        return tuple(array.astype(np.int64) for array in arrays)
    inverse = np.unique(np.concatenate(arrays), return_inverse=True)[1].astype(np.int64)
    return tuple(np.split(inverse, np.cumsum([len(array) for array in arrays])[:-1]))


def _tidy(labels: ArrayLike) -> NDArray[Any]:
    """Labels [N] as int64 or str."""
    array = np.asarray(labels)
    if array.ndim != 1:
        flat = array.ndim > 0 and array.size == max(array.shape)
        remedy = "Use y.ravel()." if flat else "Turn one-hot labels into classes with y.argmax(axis=1)."
        raise DataError(f"Labels are one class per window, shape (N,). Received: shape {array.shape}. {remedy}")
    if array.dtype.kind == "O" and all(isinstance(label, str | bool | np.bool_) for label in array):
        array = array.astype(str)
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"Labels that are bytes are UTF-8. Received others: {error}. Save them as text.") from error
    if array.dtype.kind == "b":
        array = array.astype(str)
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.round(array)).all()):
        raise DataError(f"Labels are classes, not measurements or NaN. Received: {_few(array)}. Use whole numbers.")
    if array.dtype.kind in "fu" and (np.abs(array) >= _MOST).any():
        raise DataError(f"Labels are numbers below 2^63. Received: {_few(array)}. Save them as text.")
    if array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuU":
        raise DataError(f"Labels are integers or strings. Received: {array.dtype}. Convert them.")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _in_order(values: NDArray[Any]) -> NDArray[Any]:
    """Sorted labels; strings that are all numbers in numeric order ("2" before "10")."""
    try:
        return values[np.argsort(values.astype(np.float64), kind="stable")]
    except ValueError:
        return values


def _matched(values: NDArray[Any], names: tuple[str, ...]) -> NDArray[Any]:
    """The label that each name stands for, in the order of the names."""
    if values.dtype.kind == "U":
        unknown = sorted(set(values.tolist()) - set(names))
        if unknown:
            raise DataError(f"Labels must be among the class names {list(names)}. Received: {unknown}.")
        return np.array(names)
    if len(values) == 0 or (values[0] >= 0 and values[-1] < len(names)):
        return np.arange(len(names))
    if len(values) == len(names):
        return values
    raise DataError(
        f"Integer labels index the {len(names)} class names from 0. Received: {_few(values)}. "
        "Correct the labels or the class names."
    )


def _few(values: NDArray[Any]) -> str:
    shown = ", ".join(str(value) for value in np.unique(values)[:8].tolist())
    return shown if len(np.unique(values)) <= 8 else f"{shown}, …"
