"""A pool of architectures, ranked while the supernet is still fair to all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from micronas_tf.architecture import Architecture
from micronas_tf.run_directory import read_json, write_json
from micronas_tf.search.rank import Ranked
from micronas_tf.supernet import SuperNet


class PoolRanking(keras.callbacks.Callback):
    """Ranks a pool at the end of the warm-up, once, and keeps the order.

    Until then every architecture is drawn as often as any other; after it the weights serve those that the gates
    prefer, and what the supernet says of the others is worth little.

    Args:
        epoch: before which it is ranked: the first one after the warm-up.
        ranked: the pool's architectures by the supernet's word, best first.
        path: of the file that keeps them; a search that finds it does not rank again.
    """

    model: SuperNet

    def __init__(self, epoch: int, ranked: Callable[[SuperNet], Sequence[Ranked]], path: Path) -> None:
        super().__init__()
        self.epoch, self.ranked, self.path = epoch, ranked, path

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch and not self.path.exists():
            rows = [
                {
                    "cross_entropy": one.cross_entropy,
                    "accuracy": one.accuracy,
                    "architecture": one.candidate.architecture.to_json(),
                }
                for one in self.ranked(self.model)
            ]
            write_json(self.path, rows)


def read_pool(path: Path) -> list[Architecture]:
    """The architectures, best first; none if no pool was ranked."""
    return [Architecture.from_json(row["architecture"]) for row in read_json(path)] if path.exists() else []
