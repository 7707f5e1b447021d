"""Accuracy with its uncertainty, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

_Z95: Final = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share, `right` of `total` (Wilson, J. Am. Stat. Assoc. 22, 1927, 209-212).

    For independent draws; overlapping windows of a few people are fewer draws than windows, so the truth about
    new people is less certain than this. No window says nothing: (0, 1).
    """
    if not total:
        return 0.0, 1.0
    share, z2 = right / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    # At a share of 0 or 1 the bound is that share, but for rounding.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class fares on the test part; None where nothing can be said.

    Attributes:
        name: of the class.
        windows: of it, in the test part.
        recall: share of its windows that get its label.
        precision: share of the windows with its label that are of it.
        f1: their harmonic mean; None where the class does not occur.
        mistaken_for: the most frequent wrong label of its windows, and how often.
    """

    name: str
    windows: int
    recall: float | None
    precision: float | None
    f1: float | None
    mistaken_for: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Confusions:
    """A confusion matrix with names.

    Attributes:
        names: of the classes.
        counts: rows true, columns predicted.

    Raises:
        ValueError: not square, or not of these classes.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if {len(self.counts), *map(len, self.counts)} != {len(self.names)}:
            raise ValueError(f"A confusion matrix of {len(self.names)} classes has as many rows and columns.")

    @classmethod
    def of(cls, names: Sequence[str], counts: Sequence[Sequence[int]]) -> Confusions:
        return cls(tuple(names), tuple(tuple(row) for row in counts))

    @property
    def total(self) -> int:
        return sum(map(sum, self.counts))

    @property
    def right(self) -> int:
        return sum(self.counts[k][k] for k in range(len(self.names)))

    @property
    def most_frequent(self) -> tuple[str, float]:
        """The class with the most test windows, and its share: what a constant answer would reach."""
        windows, name = max(zip(map(sum, self.counts), self.names, strict=True), key=lambda pair: pair[0])
        return name, windows / self.total if self.total else 0.0

    def scores(self) -> tuple[ClassScore, ...]:
        """One for each class, in order."""
        return tuple(self._score(k) for k in range(len(self.names)))

    def _score(self, k: int) -> ClassScore:
        row, right = self.counts[k], self.counts[k][k]
        windows, labelled = sum(row), sum(other[k] for other in self.counts)
        wrong = max((count, -j) for j, count in enumerate(row) if j != k)
        return ClassScore(
            name=self.names[k],
            windows=windows,
            recall=right / windows if windows else None,
            precision=right / labelled if labelled else None,
            f1=2 * right / (windows + labelled) if windows else None,
            mistaken_for=(self.names[-wrong[1]], wrong[0]) if wrong[0] else None,
        )
