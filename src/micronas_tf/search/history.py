"""The history of a search, written while it runs: one row per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from micronas_tf.errors import RunError
from micronas_tf.files import write_atomically


class HistoryCallback(keras.callbacks.Callback):
    """Writes `history.csv`: the metrics of each epoch and every group's probabilities.

    Columns: `epoch` (from 1), the supernet's metrics, then `p(<group>=<choice>)`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """A resumed search keeps the rows up to its first epoch."""
        if self.path.exists():
            self.rows = _read(self.path)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """A kill between history and checkpoint leaves a row of an epoch that is done again."""
        self.rows = [row for row in self.rows if row["epoch"] <= epoch]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        row = {"epoch": float(epoch + 1), **{name: float(value) for name, value in (logs or {}).items()}}
        probabilities = self.model.probabilities()
        for group in self.model.space.groups:
            values = probabilities[group.name]
            row |= {f"p({group.name}={c})": p for c, p in zip(group.choices, values, strict=True)}
        self.rows.append(row)
        write_atomically(self.path, pd.DataFrame(self.rows).to_csv(index=False))


def _read(path: Path) -> list[dict[str, float]]:
    try:
        records = pd.read_csv(path, float_precision="round_trip").to_dict("records")
        rows = [{str(name): float(value) for name, value in row.items()} for row in records]
        if not all("epoch" in row for row in rows):
            raise ValueError("no column `epoch`")
    except (OSError, ValueError) as error:  # pandas' own are ValueErrors
        raise RunError(
            f"{path} is damaged: {error}. Delete it; the history then begins with the next epoch."
        ) from error
    return rows
