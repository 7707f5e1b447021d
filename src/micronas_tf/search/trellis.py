"""A layered graph: a path takes one choice at each stage, which leads from state to state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.intp]

Values: TypeAlias = Sequence[FloatArray]
"""A value of each arc: for each stage [states, choices]; -inf forbids an arc."""

Path: TypeAlias = tuple[int, ...]
"""The choice taken at each stage."""


@dataclass(frozen=True)
class Trellis:
    """The graph.

    Attributes:
        after: for each stage, [states, choices] → state of the next stage. The first stage has one state, and all
            arcs of the last lead to one end.
    """

    after: tuple[IntArray, ...]

    def __len__(self) -> int:
        return len(self.after)

    def to_end(self, values: Values) -> list[FloatArray]:
        """The greatest sum from each state to the end: [states] for each stage, and [0] at the end."""
        best = [np.zeros(1)]
        for after, value in zip(reversed(self.after), reversed(values), strict=True):
            best.append((value + best[-1][after]).max(1))
        return best[::-1]

    def from_start(self, values: Values) -> list[FloatArray]:
        """The greatest sum from the start to each state: [states] for each stage."""
        best = [np.zeros(1)]
        for after, value, following in zip(self.after[:-1], values[:-1], self.after[1:], strict=True):
            reached = np.full(len(following), -np.inf)
            np.maximum.at(reached, after.ravel(), (value + best[-1][:, None]).ravel())
            best.append(reached)
        return best

    def through(self, values: Values) -> list[FloatArray]:
        """The greatest sum of a path through each arc: for each stage [states, choices]."""
        starts, ends = self.from_start(values), self.to_end(values)
        return [
            start[:, None] + value + end[after]
            for start, value, end, after in zip(starts, values, ends[1:], self.after, strict=True)
        ]

    def best(self, values: Values) -> Path:
        """A path of greatest sum."""
        ends, state, path = self.to_end(values), 0, []
        for after, value, end in zip(self.after, values, ends[1:], strict=True):
            path.append(int(np.argmax(value[state] + end[after[state]])))
            state = after[state, path[-1]]
        return tuple(path)

    def total(self, values: Values, path: Path) -> float:
        """The sum along a path."""
        state, result = 0, 0.0
        for after, value, choice in zip(self.after, values, path, strict=True):
            result += float(value[state, choice])
            state = after[state, choice]
        return result

    def smallest_peak(self, values: Values) -> float:
        """The least that the greatest value along a path can be."""
        best = np.full(1, -np.inf)
        for after, value in zip(reversed(self.after), reversed(values), strict=True):
            best = np.maximum(value, best[after]).min(1)
        return float(best[0])
