"""What changes from epoch to epoch of a search: who learns, how tight the limits are, and when it is decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.space import SearchSpace, live_groups
from micronas_tf.supernet import SuperNet


class Scheduled(keras.callbacks.Callback):
    """Something that depends on how far the search is, in epochs of its recipe."""

    def at(self, epoch: float) -> None:
        """The search is after so many epochs. A search whose time is limited says so before every step."""
        raise NotImplementedError

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.at(epoch)


class WarmUp(Scheduled):
    """In the first epochs only the weights learn.

    Args:
        epochs: how many.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def at(self, epoch: float) -> None:
        self.model.alpha_enabled.assign(epoch >= self.epochs)


class Tighten(Scheduled):
    """Lowers every limit from what an undecided supernet costs to its value, in equal ratios.

    A limit far below that cost outweighs the cross-entropy, and would switch cells off before their weights
    have learnt anything.

    Args:
        start: figure → expected cost / limit before the first step.
        begin, end: epochs; the limits have their value from `end` on.
    """

    def __init__(self, start: Mapping[str, float], begin: int, end: int) -> None:
        super().__init__()
        self.start, self.begin, self.end = start, begin, end

    def at(self, epoch: float) -> None:
        left = float(np.clip((self.end - epoch) / max(1, self.end - self.begin), 0.0, 1.0))
        for name, slack in self.model.search.slack.items():
            slack.assign(max(1.0, self.start[name]) ** left)


class Decide(Scheduled):
    """Weighs the entropy of the gates more and more, and stops the search once every gate that matters is decided.

    Args:
        weight: of the entropy in the last epoch.
        begin, end: epochs between which the weight rises from 0.
        threshold: `undecided` below this ends the search.
    """

    def __init__(self, weight: float, begin: int, end: int, threshold: float) -> None:
        super().__init__()
        self.weight, self.begin, self.end, self.threshold = weight, begin, end, threshold

    def at(self, epoch: float) -> None:
        share = float(np.clip((epoch - self.begin) / max(1, self.end - self.begin), 0.0, 1.0))
        self.model.search.entropy_weight.assign(self.weight * share)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if undecided(self.model) < self.threshold:
            self.model.stop_training = True


def most_probable(space: SearchSpace, probabilities: Mapping[str, list[float]]) -> Architecture:
    """The most probable choice of every group; it may be invalid."""
    return Architecture({g.name: g.choices[int(np.argmax(probabilities[g.name]))] for g in space.groups})


def undecided(supernet: SuperNet) -> float:
    """Largest relative entropy of the groups that matter for the most probable architecture: 0 decided, 1 at most."""
    probabilities = supernet.probabilities()
    live = live_groups(supernet.space, most_probable(supernet.space, probabilities))
    entropy = keras.ops.convert_to_numpy(supernet.gates.entropy())
    return max(float(entropy[row]) for row, group in enumerate(supernet.space.groups) if group.name in live)
