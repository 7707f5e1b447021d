"""Trials: architectures within the budget, trained from scratch and compared; random search is nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from micronas_tf.architecture import Architecture
from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.files import write_atomically
from micronas_tf.models import build_model
from micronas_tf.progress import Progress, silent
from micronas_tf.search.project import Candidate, Projector
from micronas_tf.search.rank import Ranked
from micronas_tf.space import lower, random_architecture
from micronas_tf.training import TrainingRecipe, network_input, train

_MOST_REPEATS = 30

_BATCH = 256

_LEAST_PROBABILITY = 1e-7
"""float32 knows no less beside 1."""

_DRAWS = 500
"""Where none of so many uniform draws fits, random probabilities are projected instead."""


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
    groups = projector.figures.space.groups
    return next(projector.candidates({g.name: rng.dirichlet(np.ones(len(g))).tolist() for g in groups}))


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
        By accuracy, best first.

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
    """Candidates by the accuracy that they reach when trained from scratch.

    Args:
        candidates: what to train.
        weight_windows: train the weights.
        alpha_windows: compare the architectures.
        standardisation: fitted on train.
        recipe: of every training.
        seed: of every training.
        total: of the candidates, for the progress.
        directory: keeps what was found so far; who finds it there does not train that candidate again.
        progress: hears of the stage `trials`.
        stop: asked after each candidate; True ends the trials.

    Returns:
        By accuracy, best first; equal ones by cross-entropy.
    """
    ranked: list[Ranked] = []
    file = None if directory is None else directory / "trials.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file and file.exists() else {}
    x, y = network_input(alpha_windows, standardisation), alpha_windows.y
    for index, candidate in enumerate(candidates):
        progress("trials", index, total, _best(ranked))
        name = json.dumps(candidate.architecture.to_json()["choices"])
        if name not in known:
            model = _trained(candidate, weight_windows, standardisation, recipe, seed)
            known[name] = _scores(model, x, y)
            if file:
                write_atomically(file, json.dumps(known))
        ranked.append(Ranked(candidate, *known[name]))
        if stop():
            break
    progress("trials", total, total, _best(ranked))
    return sorted(ranked, key=lambda item: (-item.accuracy, item.cross_entropy))


def _scores(model: keras.Model, x: NDArray[np.float32], y: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy, and mean cross-entropy in nats."""
    # Not `predict`: TensorFlow warns of every model that it traces anew.
    parts = (x[start : start + _BATCH] for start in range(0, len(x), _BATCH))
    probabilities = np.concatenate([keras.ops.convert_to_numpy(model(part, training=False)) for part in parts])
    of_truth = probabilities[np.arange(len(y)), y].clip(_LEAST_PROBABILITY)
    return float((probabilities.argmax(-1) == y).mean()), -float(np.log(of_truth).mean())


def _trained(
    candidate: Candidate, windows: Windows, standardisation: Standardisation, recipe: TrainingRecipe, seed: int
) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = build_model(candidate.network, dropout=recipe.dropout)
    train(model, windows, standardisation, recipe, seed=seed)
    return model


def _best(ranked: Sequence[Ranked]) -> dict[str, float]:
    return {"accuracy": max(one.accuracy for one in ranked)} if ranked else {}
