"""Choosing among candidates by the supernet's cross-entropy on windows that did not train its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.progress import Progress, silent
from micronas_tf.search.project import Candidate
from micronas_tf.supernet import SuperNet
from micronas_tf.training import network_input

STATISTICS_BATCHES = 40
"""With a momentum of 0.9 the statistics of whatever ran before weigh 0.9⁴⁰ < 2 %."""

_STATISTICS_BATCH = 64

_BATCH = 128


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate, and what was found of it on windows that train no weights.

    Attributes:
        candidate: an architecture within budget.
        accuracy: of the supernet with this architecture, or of the model trained from scratch.
        cross_entropy: mean, in nats.
        steps: batches of that training; 0 for the supernet.
        round: of the trials, the last one that it was in; 0 for the supernet.
    """

    candidate: Candidate
    accuracy: float
    cross_entropy: float
    steps: int = 0
    round: int = 0


def scores(log_probabilities: NDArray[np.float32], y: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy, and mean cross-entropy in nats, of predictions [N, classes] for labels [N]."""
    accuracy = float(np.mean(log_probabilities.argmax(-1) == y))
    return accuracy, -float(log_probabilities[np.arange(len(y)), y].mean())


def rank(
    supernet: SuperNet,
    candidates: Sequence[Candidate],
    weight_windows: Windows,
    alpha_windows: Windows,
    standardisation: Standardisation,
    *,
    seed: int,
    progress: Progress = silent,
) -> list[Ranked]:
    """Candidates by the supernet's cross-entropy, best first.

    The supernet's BatchNorm statistics are a mixture over all architectures, so they are estimated again for each
    candidate, on windows of `weight_windows`, and put back in the end.
    """
    x, y = network_input(alpha_windows, standardisation), alpha_windows.y
    inputs = tf.constant(network_input(weight_windows, standardisation))
    rng = np.random.default_rng(seed)
    draws = [tf.constant(rng.integers(0, len(weight_windows), _STATISTICS_BATCH)) for _ in range(STATISTICS_BATCHES)]
    saved = [variable.numpy() for variable in supernet.non_trainable_variables]

    def observe(rows: tf.Tensor, gates: tf.Tensor) -> None:
        supernet.sampled(tf.gather(inputs, rows), gates, training=True)

    def predict(batch: tf.Tensor, gates: tf.Tensor) -> tf.Tensor:
        return tf.nn.log_softmax(supernet.sampled(batch, gates))

    observe_fast, predict_fast = (tf.function(f, reduce_retracing=True) for f in (observe, predict))
    ranked = []
    progress("ranking", 0, len(candidates), {})
    for done, candidate in enumerate(candidates, 1):
        gates = supernet.architecture_gates(candidate.architecture)
        for rows in draws:
            observe_fast(rows, gates)
        batches = (x[start : start + _BATCH] for start in range(0, len(x), _BATCH))
        predicted = np.concatenate([predict_fast(batch, gates).numpy() for batch in batches])
        ranked.append(Ranked(candidate, *scores(predicted, y)))
        progress("ranking", done, len(candidates), {"accuracy": ranked[-1].accuracy})
    for variable, value in zip(supernet.non_trainable_variables, saved, strict=True):
        variable.assign(value)
    return sorted(ranked, key=lambda item: item.cross_entropy)
