"""Standardisation: fitted on the train part only, applied everywhere, shipped with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from micronas_tf.datasets.windows import FloatArray, Windows
from micronas_tf.errors import DataError

STANDARDISATION_SCHEMA: Final = 2

_LIMIT: Final = 4.0
"""Standard deviations. int8 has 256 levels for the whole range of the input: a rare spike would coarsen them all."""

# float32 resolves 6e-8 of a value: a spread below this share of the mean is rounding, not signal.
_CONSTANT: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Standardisation:
    """`(x - mean) / std`, channel by channel, clipped to ±`limit`.

    Attributes:
        mean: of each channel [S], float32, in the channel's unit.
        std: of each channel [S], float32, in the channel's unit; 1 for a constant channel.
        limit: the largest standardised value, in standard deviations.

    Raises:
        DataError: lengths that disagree, or a standard deviation or limit that is not positive and finite.
    """

    mean: FloatArray
    std: FloatArray
    limit: float = _LIMIT

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            array = np.array(getattr(self, name), np.float32)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.mean.ndim != 1 or not self.mean.size or self.mean.shape != self.std.shape:
            raise DataError(
                "A standardisation has one mean and one std for each channel. "
                f"Received: shapes {self.mean.shape} and {self.std.shape}."
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise DataError(
                "Means are finite, and standard deviations finite and positive. "
                f"Received: {self.mean.tolist()} and {self.std.tolist()}."
            )
        if not (isfinite(self.limit) and self.limit > 0):
            raise DataError(f"The limit is finite and positive. Received: {self.limit}.")

    @classmethod
    def fit(cls, train: Windows) -> Standardisation:
        """Mean and standard deviation of each channel over all windows and samples of the train part."""
        mean = train.x.mean(axis=(0, 1), dtype=np.float64)
        std = train.x.std(axis=(0, 1), dtype=np.float64)
        return cls(mean, np.where(std <= _CONSTANT * np.abs(mean), 1.0, std))

    def apply(self, x: ArrayLike) -> FloatArray:
        """Standardised samples, float32, of the shape of `x` [..., S].

        Raises:
            DataError: the last axis is not the channels.
        """
        array = np.asarray(x, np.float32)
        if not array.ndim or array.shape[-1] != len(self.mean):
            raise DataError(f"The last axis of x holds {len(self.mean)} channels. Received: shape {array.shape}.")
        standard: FloatArray = ((array - self.mean) / self.std).clip(-self.limit, self.limit)
        return standard

    def undo(self, standard: ArrayLike) -> FloatArray:
        """Samples in the channels' units, float32, whose standardised values these are [..., S]."""
        raw: FloatArray = np.asarray(standard, np.float32) * self.std + self.mean
        return raw

    def to_json(self) -> dict[str, Any]:
        """A JSON object with a schema version; `from_json` gives back the same float32 values."""
        return {
            "schema": STANDARDISATION_SCHEMA,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "limit": self.limit,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Standardisation:
        if data.get("schema") != STANDARDISATION_SCHEMA:
            raise DataError(f"A standardisation has schema {STANDARDISATION_SCHEMA}. Received: {data.get('schema')!r}.")
        return cls(data["mean"], data["std"], data["limit"])
