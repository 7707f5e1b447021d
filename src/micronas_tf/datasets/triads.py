"""Three-axis sensors: which channels are the x, y and z of one vector.

Augmentation turns such a vector in space, so a triad found where there is none does harm: the axes of
a quaternion or of Euler angles end in x, y, z as well, and are left alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from micronas_tf.errors import DataError

Triad: TypeAlias = tuple[int, int, int]
"""Channel indices of the x, y and z axis of one sensor."""

_AXIS_NAME: Final = re.compile(r"(?P<stem>.*?)(?P<axis>[wxyz])", re.IGNORECASE)
_NOT_A_VECTOR: Final = re.compile(r"quat|euler|angle|orientation", re.IGNORECASE)


def find_triads(channel_names: Sequence[str]) -> tuple[Triad, ...]:
    """Triads by name: the same stem followed by x, y and z, in any order and case, each exactly once.

    `acc_x acc_y acc_z`, `accX accY accZ` and `gyro-x gyro-y gyro-z` are triads; a stem that has a w too
    (a quaternion), has an axis twice, or names angles is none.
    """
    axes: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for index, name in enumerate(channel_names):
        match = _AXIS_NAME.fullmatch(name.strip())
        if match and not _NOT_A_VECTOR.search(match["stem"]):
            axes[match["stem"].lower()].append((match["axis"].lower(), index))
    triads = [_triad(members) for members in axes.values() if sorted(axis for axis, _ in members) == ["x", "y", "z"]]
    return tuple(sorted(triads, key=min))


def _triad(members: list[tuple[str, int]]) -> Triad:
    (_, x), (_, y), (_, z) = sorted(members)
    return (x, y, z)


def _whole(triad: NDArray[Any]) -> bool:
    return triad.shape == (3,) and triad.dtype.kind in "iuf" and bool((triad == np.round(triad)).all())


def checked_triads(triads: Sequence[Sequence[int]], n_channels: int) -> tuple[Triad, ...]:
    """The declared triads, as tuples.

    Raises:
        DataError: a triad is not three channels, or a channel is out of range or in two triads.
    """
    try:
        arrays = [np.asarray(triad) for triad in triads]
    except (TypeError, ValueError):
        arrays = [np.zeros(0)]
    if any(not _whole(array) for array in arrays):
        raise DataError(f"A triad is three channel indices from 0, those of x, y and z. Received: {triads}.")
    used = [int(channel) for triad in triads for channel in triad]
    if len(set(used)) != len(used) or any(not 0 <= channel < n_channels for channel in used):
        raise DataError(
            f"Triads hold each channel at most once, from 0 to {n_channels - 1}. Received: {list(triads)}. "
            "Declare one (x, y, z) triple per 3-axis sensor."
        )
    return tuple((int(x), int(y), int(z)) for x, y, z in triads)
