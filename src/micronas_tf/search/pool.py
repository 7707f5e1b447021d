"""A pool of random architectures: ranked while the supernet is still fair to all of them, or thinned for variety."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.errors import RunError, SpaceError
from micronas_tf.run_directory import read_json, write_json
from micronas_tf.search.rank import Ranked
from micronas_tf.space import SearchSpace, canonical
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
    """The architectures, best first; none if no pool was ranked.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return []
    try:
        return [Architecture.from_json(row["architecture"]) for row in read_json(path)]
    except (AttributeError, KeyError, TypeError, SpaceError) as error:
        raise RunError(
            f"{path} is damaged: {error!r}. Delete it: the trials then take random ones of a new pool."
        ) from error


def most_varied(
    space: SearchSpace, pool: Sequence[Architecture], known: Collection[Architecture], count: int
) -> list[Architecture]:
    """Those of the pool that differ most from the known ones and from each other; the first ones differ most.

    Each is the one whose nearest neighbour among the known and those taken before is farthest away (greedy k-centre:
    T. Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985). The distance of two architectures is
    the sum over the decision groups of how far apart their choices lie, 1 for the first and the last choice of a group.

    Args:
        space: of all of them.
        pool: to take from; of equally distant ones the earlier one is taken. Without known ones its first comes first.
        known: not to be taken, nor to be resembled.
        count: at most; fewer where the pool has no others.
    """

    def places(architectures: Collection[Architecture]) -> np.ndarray:
        chosen = [canonical(space, one) for one in architectures]
        return np.array(
            [[g.choices.index(one[g.name]) / max(1, len(g) - 1) for g in space.groups] for one in chosen]
        ).reshape(len(chosen), len(space.groups))

    points = places(pool)

    def distances(other: np.ndarray) -> np.ndarray:
        # Rounded: equal ones stay equal, in whatever order they are summed.
        found: np.ndarray = np.abs(points - other).sum(axis=1).round(9)
        return found

    nearest = np.full(len(pool), np.inf)
    for other in places(known):
        nearest = np.minimum(nearest, distances(other))
    taken: list[Architecture] = []
    while len(taken) < count and nearest.max(initial=0.0) > 0.0:
        farthest = int(nearest.argmax())
        taken.append(pool[farthest])
        nearest = np.minimum(nearest, distances(points[farthest]))
    return taken
