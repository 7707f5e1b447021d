"""The rounds of the trials, and what few windows change of a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from micronas_tf.datasets import Dataset, Windows
from micronas_tf.plan import Plan, make_plan
from micronas_tf.search import SearchRecipe
from micronas_tf.settings import Settings
from micronas_tf.space import SpaceConfig
from micronas_tf.training import TrainingRecipe

SMALL = SpaceConfig(time_filters_max=8, fusion_filters_max=16, time_kernels=(3, 5), fusion_kernels=(3,), extra_cells=0)
SEARCH = SearchRecipe(trials=15, ample=40)
SETTINGS = Settings(space=SMALL, search=SEARCH, training=TrainingRecipe(epochs=30, least_steps=0, batch_size=12))


def plan_of(windows: int, **settings: Any) -> Plan:
    return make_plan(Dataset("noise", noise(windows), noise(3)), replace(SETTINGS, **settings))


def noise(count: int) -> Windows:
    return Windows.of(np.random.default_rng(0).normal(size=(count, 16, 3)), np.arange(count) % 3)


def test_where_few_windows_compare_more_trials_are_random_and_the_last_are_whole() -> None:
    plan = plan_of(90)
    assert len(plan.alpha_windows) < SEARCH.ample
    assert plan.search == SEARCH.comparing_on(len(plan.alpha_windows))
    assert (SEARCH.random_trials, plan.search.random_trials) == (7, 11)
    # 15 with 10 epochs of 6 batches (63 windows), 4 with all 30.
    assert plan.trial_steps(15) == [60] * 15 + [180] * 4
    assert plan.trial_steps(3) == [60] * 3 + [180] * 3
    assert plan.repeats()["trials"] == 19


def test_under_a_time_budget_the_trials_of_few_windows_stay_short() -> None:
    plan = plan_of(90, time_budget_s=60.0)
    assert plan.search == replace(SEARCH, random_share=SEARCH.few_random_share, rank_pool=False)
    # 15 with 3 epochs of 6 batches (63 windows), 5 with 9: 54, made 30 equal parts.
    assert plan.trial_steps(15) == [18] * 15 + [60] * 5


def test_enough_windows_take_the_recipe_as_it_is() -> None:
    plan = plan_of(150)
    assert len(plan.alpha_windows) >= SEARCH.ample
    assert plan.search == SEARCH
    assert plan_of(150, time_budget_s=60.0).search == replace(SEARCH, rank_pool=False)
    # 15 with 3 epochs of 9 batches (105 windows), 5 with 9: 81, made 30 equal parts.
    assert plan.trial_steps(15) == [27] * 15 + [90] * 5


def test_without_trials_there_are_no_rounds() -> None:
    assert plan_of(90, search=replace(SEARCH, trials=0)).trial_rounds() == []
