"""The rounds of the trials: what each trains on, and what tells the architectures apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from micronas_tf.datasets import Dataset, Windows
from micronas_tf.plan import Plan, make_plan
from micronas_tf.search import SearchRecipe
from micronas_tf.settings import Settings
from micronas_tf.space import SpaceConfig
from micronas_tf.training import TrainingRecipe

SMALL = SpaceConfig(time_filters_max=8, fusion_filters_max=16, time_kernels=(3, 5), fusion_kernels=(3,), extra_cells=0)
SEARCH = SearchRecipe(trials=15, ample=40, few_trials=12)
SETTINGS = Settings(space=SMALL, search=SEARCH, training=TrainingRecipe(epochs=30, least_steps=0, batch_size=12))


def plan_of(train: Windows, search: SearchRecipe = SEARCH) -> Plan:
    return make_plan(Dataset("noise", train, noise(np.unique(train.y))), replace(SETTINGS, search=search))


def noise(y: Any, **known: Any) -> Windows:
    """Windows that differ: each can be found in a part."""
    return Windows.of(np.random.default_rng(0).normal(size=(len(y), 16, 3)), np.asarray(y), **known)


def test_where_few_windows_compare_the_last_round_is_a_cross_validation() -> None:
    train = noise(np.arange(90) % 3)
    plan = plan_of(train)
    first, last = plan.trial_rounds()
    assert [(one.training, one.comparing) for one in first.divisions] == [(plan.weight_windows, plan.alpha_windows)]
    # Every window is judged once, by a model that has not seen it.
    judged = np.concatenate([one.comparing.x for one in last.divisions])
    assert sorted(map(bytes, judged)) == sorted(map(bytes, train.x))
    for one in last.divisions:
        assert len(one.training) + len(one.comparing) == len(train)
        assert not {*map(bytes, one.training.x)} & {*map(bytes, one.comparing.x)}
    assert len({one.name for one in (*first.divisions, *last.divisions)}) == 4
    # 12 with 10 epochs of 6 batches (63 windows), 4 with 30 epochs of 5 (60 windows) for each of three folds.
    assert plan.search.trials == 12
    assert plan.trial_steps(12) == [60] * 12 + [150] * 12
    assert plan.trial_steps(3) == [60] * 3 + [150] * 9


def test_enough_windows_compare_as_they_are() -> None:
    plan = plan_of(noise(np.arange(150) % 3))
    assert len(plan.alpha_windows) >= SEARCH.ample
    assert plan.search == SEARCH
    first, last = plan.trial_rounds()
    assert last.divisions == first.divisions
    # 15 with 3 epochs of 9 batches (105 windows), 5 with 9: 81, made 30 equal parts.
    assert plan.trial_steps(15) == [27] * 15 + [90] * 5


def test_subjects_are_kept_apart() -> None:
    subject = np.repeat(np.arange(6), 15)
    last = plan_of(noise(np.arange(90) % 3, subject=subject)).trial_rounds()[-1]
    assert len(last.divisions) == 3
    for one in last.divisions:
        assert not {*np.asarray(one.training.subject)} & {*np.asarray(one.comparing.subject)}


NO_FOLDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "two people": (np.arange(90) % 3, {"subject": np.repeat([0, 1], 45)}),
    # A fold would not learn the third class.
    "one expert": (np.repeat([0, 1, 0, 1, 2, 0, 1], 10), {"subject": np.repeat([0, 1, 2], [20, 30, 20])}),
    # Folds of shuffled windows would have both recordings on both sides.
    "two recordings": (np.arange(90) % 3, {"recording": np.repeat([0, 1], 45)}),
    "no class has three windows": (np.arange(8) % 4, {"subject": np.repeat([0, 1, 2, 3], 2)}),
    "a class of two windows": (np.repeat([0, 1, 2], [40, 40, 2]), {}),
}


@pytest.mark.filterwarnings("ignore:No split that keeps subjects apart")
@pytest.mark.parametrize("case", NO_FOLDS)
def test_where_there_can_be_no_folds_the_windows_of_the_alpha_steps_compare(case: str) -> None:
    y, known = NO_FOLDS[case]
    assert [one.name for one in plan_of(noise(y, **known)).trial_rounds()[-1].divisions] == ["search"]


def test_recordings_are_kept_apart() -> None:
    recording = np.repeat([0, 1, 2], 30)
    last = plan_of(noise(np.arange(90) % 3, recording=recording)).trial_rounds()[-1]
    assert len(last.divisions) == 3
    for one in last.divisions:
        assert not {*np.asarray(one.training.recording)} & {*np.asarray(one.comparing.recording)}


def test_under_a_time_budget_the_trials_stay_short() -> None:
    settings = replace(SETTINGS, time_budget_s=60.0)
    plan = make_plan(Dataset("noise", noise(np.arange(90) % 3), noise([0, 1, 2])), settings)
    assert plan.search == SEARCH
    assert [len(one.divisions) for one in plan.trial_rounds()] == [1, 1]


def test_without_trials_there_are_no_rounds() -> None:
    assert plan_of(noise(np.arange(90) % 3), replace(SEARCH, trials=0)).trial_rounds() == []
