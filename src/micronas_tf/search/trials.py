"""Trials: architectures within the budget, trained from scratch and compared; random search is nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from micronas_tf.architecture import Architecture
from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.files import write_atomically
from micronas_tf.models import build_model
from micronas_tf.progress import Progress, Repeating, silent
from micronas_tf.run_directory import TRIALS, read_json
from micronas_tf.search.odds import random_probabilities
from micronas_tf.search.project import Candidate, Projector
from micronas_tf.search.rank import Ranked, scores
from micronas_tf.space import lower, random_architecture
from micronas_tf.training import TrainingRecipe, network_input, train

_MOST_REPEATS = 30

_BATCH = 256

_LEAST_PROBABILITY = 1e-7
"""float32 knows no less beside 1."""

_DRAWS = 500
"""Where none of so many uniform draws fits, random probabilities are projected instead."""


@dataclass(frozen=True, slots=True)
class HalvingRound:
    """One round of successive halving.

    Attributes:
        count: candidates at most.
        recipe: of every training.
    """

    count: int
    recipe: TrainingRecipe


def halving_steps(rounds: Sequence[HalvingRound], candidates: int, windows: int) -> list[int]:
    """Batches of each training that `successive_halving` makes of so many candidates, on so many windows."""
    found: list[int] = []
    for each in rounds:
        count = min(each.count, candidates)
        if _compares(count, bool(found)):
            found += [each.recipe.steps(windows)] * count
    return found


def _compares(candidates: int, later: bool) -> bool:
    """A later round of one candidate would tell nothing."""
    return candidates > 1 or not later


def draw(projector: Projector, seed: int) -> Iterator[Candidate]:
    """Distinct architectures within budget: uniform draws where these fit, else projections of random probabilities.

    It ends where so many in a row were drawn before that there is hardly another one.

    Raises:
        BudgetError: not one architecture fits.
    """
    rng = np.random.default_rng(seed)
    seen: set[Architecture] = set()
    repeats = 0
    while repeats < _MOST_REPEATS:
        candidate = _uniform(projector, rng) or _projected(projector, rng)
        repeats += 1
        if candidate.architecture not in seen:
            seen.add(candidate.architecture)
            repeats = 0
            yield candidate


def _uniform(projector: Projector, rng: np.random.Generator) -> Candidate | None:
    space = projector.figures.space
    for _ in range(_DRAWS):
        architecture = random_architecture(space, rng)
        network = lower(space, architecture)
        costs = projector.exact(network)
        if projector.within(costs):
            return Candidate(architecture, network, costs, 0.0)
    return None


def _projected(projector: Projector, rng: np.random.Generator) -> Candidate:
    return next(projector.candidates(random_probabilities(projector.figures.space, rng)))


def random_search(  # noqa: PLR0917
    projector: Projector,
    weight_windows: Windows,
    alpha_windows: Windows,
    standardisation: Standardisation,
    recipe: TrainingRecipe,
    count: int,
    *,
    seed: int,
    **options: Any,
) -> list[Ranked]:
    """Train architectures drawn within the budget from scratch and compare them.

    Args:
        projector: knows space and budget.
        weight_windows, alpha_windows, standardisation, recipe: as in `train_and_rank`.
        count: architectures at most.
        seed: of the draws and of every training.
        **options: of `train_and_rank`.

    Returns:
        By cross-entropy, best first.

    Raises:
        BudgetError: not one architecture fits.
    """
    drawn = islice(draw(projector, seed), count)
    return train_and_rank(
        drawn, weight_windows, alpha_windows, standardisation, recipe, seed=seed, total=count, **options
    )


def train_and_rank(
    candidates: Iterable[Candidate],
    weight_windows: Windows,
    alpha_windows: Windows,
    standardisation: Standardisation,
    recipe: TrainingRecipe,
    *,
    seed: int,
    total: int,
    directory: Path | None = None,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> list[Ranked]:
    """Candidates by the cross-entropy that they reach when trained from scratch.

    Args:
        candidates: what to train.
        weight_windows: train the weights.
        alpha_windows: compare the architectures.
        standardisation: fitted on train.
        recipe: of every training.
        seed: of every training.
        total: of the candidates, for the progress.
        directory: keeps what was found so far; who finds it there does not train that candidate again.
        progress: hears of the stage `trials`, again and again while a candidate is trained.
        stop: asked after each candidate; True ends the trials.

    Returns:
        Best first.
    """
    trials = _Trials(weight_windows, alpha_windows, standardisation, seed, directory, progress, total, stop)
    ranked = trials.run(candidates, recipe)
    trials.end()
    return ranked


def successive_halving(
    candidates: Sequence[Candidate],
    rounds: Sequence[HalvingRound],
    weight_windows: Windows,
    alpha_windows: Windows,
    standardisation: Standardisation,
    *,
    seed: int,
    directory: Path | None = None,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> list[Ranked]:
    """Many candidates trained from scratch for a short while, the better ones for longer.

    K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", 2016; here
    every round trains from the start, for a schedule that was cut short says little.

    Args:
        candidates: of the first round.
        rounds: fewer candidates and more batches from one to the next.
        weight_windows, alpha_windows, standardisation, seed, directory, progress, stop: as in `train_and_rank`.

    Returns:
        Those of the last round first, by cross-entropy; then those that went out in the round before it, and so on.
    """
    total = len(halving_steps(rounds, len(candidates), len(weight_windows)))
    trials = _Trials(weight_windows, alpha_windows, standardisation, seed, directory, progress, total, stop)
    ranked: list[Ranked] = []
    waiting = list(candidates)
    for number, each in enumerate(rounds, 1):
        if not _compares(len(waiting[: each.count]), number > 1):
            break
        found = trials.run(waiting[: each.count], each.recipe, number)
        again = {one.candidate.architecture for one in found}
        ranked = found + [one for one in ranked if one.candidate.architecture not in again]
        waiting = [one.candidate for one in ranked]
        if trials.stopped:
            break
    trials.end()
    return ranked


class _Trials:
    """Trainings that are compared, and what is known of them."""

    def __init__(  # noqa: PLR0917
        self,
        weight_windows: Windows,
        alpha_windows: Windows,
        standardisation: Standardisation,
        seed: int,
        directory: Path | None,
        progress: Progress,
        total: int,
        stop: Callable[[], bool],
    ) -> None:
        self.windows, self.standardisation, self.seed = weight_windows, standardisation, seed
        self.x, self.y = network_input(alpha_windows, standardisation), alpha_windows.y
        self.file = None if directory is None else directory / TRIALS
        self.known = read_json(self.file) if self.file and self.file.exists() else {}
        self.progress, self.total, self.stop = Repeating(progress), total, stop
        self.done, self.best, self.stopped = 0, dict[str, float](), False

    def run(self, candidates: Iterable[Candidate], recipe: TrainingRecipe, number: int = 1) -> list[Ranked]:
        """By cross-entropy, best first: few windows give many equal accuracies.

        Args:
            candidates: what to train; where the trials end early, those that come first are the ones that were trained.
            recipe: of every training.
            number: of the round.
        """
        ranked: list[Ranked] = []
        self.best = {}
        for candidate in candidates:
            self.progress("trials", self.done, self.total, self.best)
            own = recipe.for_network(candidate.network)
            steps = own.steps(len(self.windows))
            ranked.append(Ranked(candidate, *self._scores(candidate, own, steps), steps, number))
            self.best = {"accuracy": min(ranked, key=lambda one: one.cross_entropy).accuracy}
            self.done += 1
            self.stopped = self.stop()
            if self.stopped:
                break
        return sorted(ranked, key=lambda item: item.cross_entropy)

    def end(self) -> None:
        """There may have been fewer than announced; the stage has still ended."""
        self.progress("trials", self.total, self.total, self.best)

    def _scores(self, candidate: Candidate, recipe: TrainingRecipe, steps: int) -> tuple[float, float]:
        """Accuracy, and mean cross-entropy in nats."""
        name = json.dumps([steps, candidate.architecture.to_json()["choices"]])
        if name not in self.known:
            keras.utils.set_random_seed(self.seed)
            model = build_model(candidate.network, dropout=recipe.dropout)
            train(model, self.windows, self.standardisation, recipe, seed=self.seed, progress=self.progress.again)
            # Not `predict`: TensorFlow warns of every model that it traces anew.
            parts = (self.x[start : start + _BATCH] for start in range(0, len(self.x), _BATCH))
            found = np.concatenate([keras.ops.convert_to_numpy(model(part, training=False)) for part in parts])
            self.known[name] = scores(np.log(found.clip(_LEAST_PROBABILITY)), self.y)
            if self.file:
                write_atomically(self.file, json.dumps(self.known))
        accuracy, cross_entropy = self.known[name]
        return accuracy, cross_entropy
