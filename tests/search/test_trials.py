"""Random search: draws within the budget, the best by cross-entropy, and no training twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import pytest

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget
from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.errors import BudgetError, RunError
from micronas_tf.models import build_model
from micronas_tf.search import (
    HalvingRound,
    Ranked,
    SearchRecipe,
    draw,
    halving_steps,
    random_search,
    successive_halving,
)
from micronas_tf.training import TrainingRecipe, network_input, train

from .toys import SPACES, projector, waves

SPACE = SPACES["one cell"]
TRAIN, ALPHA = waves(36, 0), waves(24, 1)
SCALE = Standardisation.fit(TRAIN)
RECIPE = TrainingRecipe(epochs=1, least_steps=0, batch_size=12, stretch=1.0)


def least_ms() -> float:
    return projector(SPACE, Budget()).least().latency_ms


def test_where_no_draw_fits_random_probabilities_are_projected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that one architecture alone fits: it is found, and the draws end."""
    monkeypatch.setattr("micronas_tf.search.trials._DRAWS", 1)
    monkeypatch.setattr("micronas_tf.search.trials._MOST_REPEATS", 3)
    limit = least_ms() * 1.0001
    found = list(draw(projector(SPACE, Budget(latency_ms=limit)), 0))
    assert len(found) >= 1
    assert all(one.costs.latency.latency_ms <= limit for one in found)


def test_draws_are_distinct_and_within_budget() -> None:
    limit = least_ms() * 3.0
    chosen = projector(SPACE, Budget(latency_ms=limit))
    found = list(islice(draw(chosen, 0), 3))
    assert all(one.costs.latency.latency_ms <= limit for one in found)
    assert len({one.architecture for one in found}) == 3
    assert [one.architecture for one in islice(draw(chosen, 0), 3)] == [one.architecture for one in found]
    assert [one.architecture for one in islice(draw(chosen, 1), 3)] != [one.architecture for one in found]


def test_an_impossible_budget_is_refused() -> None:
    with pytest.raises(BudgetError, match="least achievable"):
        next(draw(projector(SPACE, Budget(latency_ms=least_ms() / 2)), 0))


def search(directory: Path | None = None, **options: Any) -> list[Ranked]:
    chosen = projector(SPACE, Budget(latency_ms=least_ms() * 3))
    return random_search(chosen, TRAIN, ALPHA, SCALE, RECIPE, 2, seed=0, directory=directory, **options)


def test_the_best_comes_first_and_a_rerun_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, int, int]] = []
    found = search(tmp_path, progress=lambda stage, done, total, figures: heard.append((stage, done, total)))
    assert list(dict.fromkeys(heard)) == [("trials", 0, 2), ("trials", 1, 2), ("trials", 2, 2)]
    # Beside the word before each candidate there are those of its training: it may take minutes.
    assert all(heard.count(("trials", done, 2)) > 2 for done in (0, 1))
    losses = [one.cross_entropy for one in found]
    assert losses == sorted(losses)
    for one in found:
        # One of 24 windows: CPU kernels may sum in another order.
        assert one.accuracy == pytest.approx(trained_alone(one), abs=1.5 / len(ALPHA))

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained twice")

    monkeypatch.setattr("micronas_tf.search.trials.train", refuse)
    again = search(tmp_path)
    assert [(one.candidate.architecture, one.accuracy) for one in again] == [
        (one.candidate.architecture, one.accuracy) for one in found
    ]


def trained_alone(ranked: Ranked) -> float:
    """The same recipe, and Keras's own evaluation."""
    keras.utils.set_random_seed(0)
    model = build_model(ranked.candidate.network)
    train(model, TRAIN, SCALE, RECIPE, seed=0)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return float(model.evaluate(network_input(ALPHA, SCALE), ALPHA.y, verbose=0)[1])


def test_it_stops_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micronas_tf.search.trials.train", lambda *arguments, **options: {})
    assert len(search(stop=lambda: True)) == 1


def halve(directory: Path | None = None, **options: Any) -> tuple[list[Architecture], list[Ranked]]:
    """What went in, and what came out, of six candidates, then two."""
    chosen = projector(SPACE, Budget(latency_ms=least_ms() * 3))
    candidates = list(islice(draw(chosen, 0), 6))
    rounds = [HalvingRound(6, RECIPE), HalvingRound(2, replace(RECIPE, epochs=3))]
    found = successive_halving(candidates, rounds, TRAIN, ALPHA, SCALE, seed=0, directory=directory, **options)
    return [candidate.architecture for candidate in candidates], found


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(batches, number) of each training; the n-th model of a round scores 2 n (modulo 5) tenths.

    Its cross-entropy falls as this score rises; its accuracy is the same for all, as of few windows.
    """
    trained: list[tuple[int, int]] = []

    def train(
        model: keras.Model, windows: Windows, scale: Standardisation, recipe: TrainingRecipe, **options: Any
    ) -> None:
        steps = recipe.steps(len(windows))
        trained.append((steps, sum(1 for former, _ in trained if former == steps)))

    def score(*arguments: Any) -> tuple[float, float]:
        return 0.5, 1.0 - (trained[-1][1] * 2 % 5) / 10

    monkeypatch.setattr("micronas_tf.search.trials.train", train)
    monkeypatch.setattr("micronas_tf.search.trials.scores", score)
    return trained


def test_the_better_ones_are_trained_for_longer(pretended: list[tuple[int, int]]) -> None:
    heard: list[tuple[int, int]] = []
    drawn, found = halve(progress=lambda stage, done, total, figures: heard.append((done, total)))
    assert [steps for steps, _ in pretended] == [4] * 6 + [12] * 2
    # Scores 0, .2, .4, .1, .3, 0: the third and the fifth go on, and then get 0 and .2.
    assert [drawn.index(one.candidate.architecture) for one in found] == [4, 2, 1, 3, 0, 5]
    assert [one.cross_entropy for one in found] == pytest.approx([0.8, 1.0, 0.8, 0.9, 1.0, 1.0])
    assert heard == [(done, 8) for done in range(9)]


@pytest.mark.parametrize(("stop_after", "order"), [(3, [2, 1, 0]), (7, [2, 4, 1, 3, 0, 5])])
def test_a_halving_ends_when_told_to(stop_after: int, order: list[int], pretended: list[tuple[int, int]]) -> None:
    drawn, found = halve(stop=lambda: len(pretended) >= stop_after)
    assert len(pretended) == stop_after
    assert [drawn.index(one.candidate.architecture) for one in found] == order


def test_a_resumed_halving_trains_nothing_twice(tmp_path: Path, pretended: list[tuple[int, int]]) -> None:
    halve(tmp_path, stop=lambda: len(pretended) >= 7)
    _, found = halve(tmp_path)
    assert len(pretended) == 8
    assert found == halve(tmp_path)[1]
    assert len(pretended) == 8


def test_a_later_round_of_one_is_left_out(pretended: list[tuple[int, int]]) -> None:
    candidate = next(draw(projector(SPACE, Budget()), 0))
    rounds = [HalvingRound(6, RECIPE), HalvingRound(2, RECIPE)]
    (found,) = successive_halving([candidate], rounds, TRAIN, ALPHA, SCALE, seed=0)
    assert (len(pretended), found.round) == (1, 1)
    assert halving_steps(rounds, 1, len(TRAIN)) == [4]


def test_the_rounds_of_a_recipe() -> None:
    counts, shares = zip(*SearchRecipe(trials=12, keep_one_of=3, trial_share=0.3).halving(), strict=True)
    assert counts == (12, 4)
    assert shares == pytest.approx((0.1, 0.3))
    assert [count for count, _ in SearchRecipe(trials=10, keep_one_of=4).halving()] == [10, 3]
    assert SearchRecipe(trials=0).halving() == []


def test_the_recipe_of_few_windows() -> None:
    recipe = SearchRecipe(ample=100)
    assert recipe.comparing_on(100) == recipe
    assert recipe.comparing_on(100, time_is_limited=True) == replace(recipe, rank_pool=False)
    few = recipe.comparing_on(99)
    assert few == replace(recipe, random_share=0.75, keep_one_of=4, trial_share=1.0, rank_pool=False)
    counts, shares = zip(*few.halving(), strict=True)
    assert counts == (16, 4)
    assert shares == pytest.approx((1 / 3, 1))


@pytest.mark.parametrize(
    ("trials", "share", "random"), [(16, 0.5, 8), (1, 0.5, 0), (1, 1.0, 1), (4, 2 / 3, 2), (0, 1, 0)]
)
def test_how_many_trials_are_random(trials: int, share: float, random: int) -> None:
    assert SearchRecipe(trials=trials, random_share=share).random_trials == random


def test_a_damaged_file_of_trials_is_named(tmp_path: Path) -> None:
    (tmp_path / "trials.json").write_text('{"[4, {')
    with pytest.raises(RunError, match=r"trials\.json"):
        halve(tmp_path)
