"""The search: it runs from windows to probabilities, repeats with its seed, and goes on where it was interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tests.supernet.oracles import copy_weights

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget
from micronas_tf.datasets import Standardisation
from micronas_tf.errors import RunError, SpaceError
from micronas_tf.run_directory import read_json
from micronas_tf.search import PoolRanking, Ranked, SearchRecipe, most_varied, rank, read_pool, search
from micronas_tf.search.checkpoint import load_checkpoint, save_checkpoint
from micronas_tf.search.history import HistoryCallback
from micronas_tf.space import build_space, canonical, random_architecture
from micronas_tf.supernet import SuperNet
from micronas_tf.training import network_input

from .toys import SPACES, config, figures_of, projector, waves

SPACE = build_space(16, 3, 3, config(extra_cells=1))
TRAIN, ALPHA = waves(36, 0), waves(24, 1)
SCALE = Standardisation.fit(TRAIN)
RECIPE = SearchRecipe(epochs=3, least_steps=0, batch_size=12, warmup=0.34)  # 3 steps an epoch, 9 in all
TOLERANCE = 1e-4
"""Of logits and weights between two runs with one seed: CPU kernels may sum in another order on another run."""

pytestmark = [pytest.mark.usefixtures("eager"), pytest.mark.filterwarnings("ignore:Gradients do not exist")]


class Stop(keras.callbacks.Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self.at, self.epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


def run(directory: Path | None = None, *, seed: int = 0, **options: Any) -> SuperNet:
    figures = figures_of(SPACE, Budget(latency_ms=2.0, memory_bytes=6000))
    return search(figures, TRAIN, ALPHA, SCALE, RECIPE, seed=seed, directory=directory, **options)


def state(supernet: SuperNet) -> dict[str, NDArray[Any]]:
    variables = [*supernet.variables, *supernet.optimizer.variables, *supernet.search.alpha_optimizer.variables]
    return {f"{index} {variable.path}": variable.numpy() for index, variable in enumerate(variables)}


def assert_equal(one: SuperNet, other: SuperNet) -> None:
    for (name, mine), theirs in zip(state(one).items(), state(other).values(), strict=True):
        np.testing.assert_allclose(np.asarray(theirs, float), np.asarray(mine, float), atol=TOLERANCE, err_msg=name)


class Grab(keras.callbacks.Callback):
    """Keeps the logs of the first batch."""

    def __init__(self, logs: dict[str, float]) -> None:
        super().__init__()
        self.kept = logs

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.kept:
            self.kept |= {name: float(value) for name, value in (logs or {}).items()}


FIRST: dict[str, float] = {}
"""Logs of the first batch of the uninterrupted search."""


def fresh_process() -> None:
    """What a new process has: Keras's names count from 0, and TensorFlow's random state is another one."""
    keras.utils.clear_session()
    tf.random.set_seed(123)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, eager: None) -> tuple[SuperNet, Path, list[tuple[Any, ...]]]:
    """An uninterrupted search, its folder, and what its progress heard."""
    fresh_process()
    heard: list[tuple[Any, ...]] = []

    def progress(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        heard.append((stage, done, total, set(figures)))

    folder = tmp_path_factory.mktemp("whole")
    return run(folder, progress=progress, callbacks=[Grab(FIRST)]), folder, heard


def test_a_search_moves_the_probabilities_after_its_warm_up(whole: tuple[SuperNet, Path, Any]) -> None:
    supernet, folder, _ = whole
    history = pd.read_csv(folder / "history.csv")
    start = SuperNet.of(SPACE, seed=0).probabilities()
    for name, values in supernet.probabilities().items():
        columns = [f"p({name}={choice})" for choice in SPACE.group(name).choices]
        # One of three epochs is warm-up.
        np.testing.assert_allclose(history.loc[0, columns].to_numpy(float), start[name], atol=1e-6)
        np.testing.assert_allclose(history.loc[2, columns].to_numpy(float), values, atol=1e-6)
        assert np.abs(np.array(values) - start[name]).max() > 1e-7  # six steps, the last at almost no learning rate


def test_history_has_a_row_an_epoch(whole: tuple[SuperNet, Path, Any]) -> None:
    _, folder, _ = whole
    history = pd.read_csv(folder / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert {"loss", "accuracy", "alpha_loss", "latency_ms", "memory_bytes", "flash_bytes", "entropy"} <= set(history)
    assert np.isfinite(history.to_numpy(float)).all()
    assert history["temperature"].is_monotonic_decreasing
    for group in SPACE.groups:
        columns = [f"p({group.name}={choice})" for choice in group.choices]
        np.testing.assert_allclose(history[columns].sum(axis=1), 1.0, atol=1e-5)


def test_temperature_reaches_its_floor(whole: tuple[SuperNet, Path, Any]) -> None:
    assert float(whole[0].temperature.numpy()) == pytest.approx(RECIPE.temperature_floor, rel=1e-5)


def test_progress_goes_from_0_to_the_total(whole: tuple[SuperNet, Path, Any]) -> None:
    _, _, heard = whole
    assert heard[0][:3] == ("search", 0, 9)
    assert heard[-1] == ("search", 9, 9, {"latency_ms", "memory_bytes", "accuracy"})


def test_only_its_files_are_left(whole: tuple[SuperNet, Path, Any]) -> None:
    assert sorted(path.name for path in whole[1].iterdir()) == ["checkpoint.npz", "history.csv", "tensorboard"]


def test_a_resumed_search_ends_as_an_uninterrupted_one(whole: tuple[SuperNet, Path, Any], tmp_path: Path) -> None:
    """Interrupted in the second epoch, which starts again: the data, the noise and the optimisers continue."""
    fresh_process()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, callbacks=[Stop(1, 1)])
    assert pd.read_csv(tmp_path / "history.csv")["epoch"].tolist() == [1]
    fresh_process()
    heard: list[tuple[int, int]] = []
    resumed = run(tmp_path, progress=lambda stage, done, total, figures: heard.append((done, total)))
    assert heard[0] == (3, 9)
    assert heard[-1] == (9, 9)
    assert_equal(whole[0], resumed)
    one, other = (pd.read_csv(folder / "history.csv") for folder in (whole[1], tmp_path))
    assert list(one) == list(other)
    np.testing.assert_allclose(other.to_numpy(float), one.to_numpy(float), rtol=1e-3, atol=1e-3)


def test_a_pool_is_ranked_once_while_the_gates_are_undecided(whole: tuple[SuperNet, Path, Any], tmp_path: Path) -> None:
    candidates = projector(SPACE, Budget()).explore(3, 0.5, seed=1)
    asked: list[dict[str, list[float]]] = []

    def ranked(supernet: SuperNet) -> list[Ranked]:
        asked.append(supernet.probabilities())
        return rank(supernet, candidates, TRAIN, ALPHA, SCALE, seed=0)

    path = tmp_path / "pool.json"
    fresh_process()
    # The search is what it would have been: the ranking leaves nothing behind.
    assert_equal(whole[0], run(tmp_path, callbacks=[PoolRanking(1, ranked, path)]))
    (probabilities,) = asked
    start = SuperNet.of(SPACE, seed=0).probabilities()
    assert probabilities == {name: pytest.approx(values, abs=1e-6) for name, values in start.items()}
    rows = read_json(path)
    entropies = [row["cross_entropy"] for row in rows]
    assert entropies == sorted(entropies)
    assert {*read_pool(path)} == {candidate.architecture for candidate in candidates}
    PoolRanking(1, ranked, path).on_epoch_begin(1)
    assert len(asked) == 1


def test_what_differs_most_is_taken_from_a_pool() -> None:
    """Against the definition, an architecture at a time: the greatest least distance, of equal ones the earlier."""
    rng = np.random.default_rng(0)
    pool = [random_architecture(SPACE, rng) for _ in range(20)]
    known = pool[3:5]

    def distance(one: Architecture, other: Architecture) -> Fraction:
        one, other = canonical(SPACE, one), canonical(SPACE, other)
        apart = [abs(g.choices.index(one[g.name]) - g.choices.index(other[g.name])) for g in SPACE.groups]
        return sum(
            (Fraction(steps, max(1, len(g) - 1)) for steps, g in zip(apart, SPACE.groups, strict=True)), Fraction()
        )

    taken: list[Architecture] = []
    for _ in range(6):
        taken.append(max(pool, key=lambda one: min(distance(one, other) for other in (*known, *taken))))
    assert most_varied(SPACE, pool, known, 6) == taken
    assert len(set(taken)) == 6


def test_a_pool_without_others_gives_fewer() -> None:
    first, second = (random_architecture(SPACE, np.random.default_rng(seed)) for seed in (0, 1))
    assert first != second
    assert most_varied(SPACE, [first, second, first], [second], 2) == [first]
    assert most_varied(SPACE, [first, second, first], [], 9) == [first, second]
    assert most_varied(SPACE, [], [first], 2) == []


def test_without_a_pool_there_is_none(tmp_path: Path) -> None:
    assert read_pool(tmp_path / "pool.json") == []


def test_a_finished_search_is_not_trained_again(whole: tuple[SuperNet, Path, Any]) -> None:
    fresh_process()
    again = run(whole[1], callbacks=[Stop(0, 0), Stop(1, 0), Stop(2, 0)])
    assert_equal(whole[0], again)


def test_a_search_repeats_with_its_seed_only(whole: tuple[SuperNet, Path, Any]) -> None:
    first: dict[int, dict[str, float]] = {0: {}, 1: {}}
    for seed, logs in first.items():
        with pytest.raises(KeyboardInterrupt):
            run(seed=seed, callbacks=[Grab(logs), Stop(0, 0)])
    assert first[0] == pytest.approx(FIRST, rel=1e-5)
    assert abs(first[1]["loss"] - FIRST["loss"]) > 1e-3


def small_supernet(space_name: str = "one cell") -> SuperNet:
    fresh_process()
    supernet = SuperNet.of(SPACES[space_name])
    supernet.compile()
    return supernet


def test_a_checkpoint_holds_everything(tmp_path: Path) -> None:
    path, one, other = tmp_path / "checkpoint.npz", small_supernet(), small_supernet()
    rng = np.random.default_rng(0)
    for variable in one.variables:
        if variable.dtype == "float32":
            variable.assign(rng.uniform(0.1, 1.0, variable.shape))
    for optimizer in (one.optimizer, one.search.alpha_optimizer):
        optimizer.iterations.assign(7)
    one.gates.sample(1.0)  # the noise goes on
    save_checkpoint(path, one, 3)
    assert load_checkpoint(path, other) == 3
    for (name, mine), theirs in zip(state(one).items(), state(other).values(), strict=True):
        np.testing.assert_array_equal(theirs, mine, err_msg=name)
    np.testing.assert_array_equal(one.gates.sample(1.0), other.gates.sample(1.0))


def test_no_checkpoint_is_epoch_0(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none.npz", small_supernet()) == 0


def test_a_search_resumes_in_the_process_that_was_interrupted(tmp_path: Path) -> None:
    """A notebook: Ctrl-C, then resume()."""
    one = small_supernet()
    save_checkpoint(tmp_path / "checkpoint.npz", one, 2)
    again = SuperNet.of(one.space)
    again.compile()
    assert load_checkpoint(tmp_path / "checkpoint.npz", again) == 2


def damages(whole_file: bytes, content: bytes) -> dict[str, bytes]:
    flipped = bytearray(whole_file)
    flipped[whole_file.index(content)] ^= 0xFF
    return {
        "empty": b"",
        "half": whole_file[: len(whole_file) // 2],
        "end cut off": whole_file[:-10],
        "text": b"no checkpoint at all",
        "one byte": bytes(flipped),
    }


@pytest.mark.parametrize("content", ["", "epoch,loss\n1,one\n", "loss\n1\n", 'epoch,"\n1'])
def test_a_damaged_history_is_refused(tmp_path: Path, content: str) -> None:
    history = HistoryCallback(tmp_path / "history.csv")
    history.path.write_text(content)
    with pytest.raises(RunError, match=r"history\.csv is damaged: .* Delete it"):
        history.on_train_begin()


@pytest.mark.parametrize(
    "content", ["3", "[{}]", "[3]", '[{"architecture": 1}]', "[", '[{"architecture": {"schema": 9}}]']
)
def test_a_damaged_pool_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pool.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"pool\.json .* Delete it"):
        read_pool(path)


@pytest.mark.parametrize("kind", ["half", "end cut off", "text", "one byte", "empty"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, kind: str) -> None:
    path, supernet = tmp_path / "checkpoint.npz", small_supernet()
    save_checkpoint(path, supernet, 1)
    kernel = supernet.cells[0].conv.kernels[0].numpy()
    path.write_bytes(damages(path.read_bytes(), kernel.tobytes())[kind])
    before = supernet.get_weights()
    with pytest.raises(RunError, match=r"checkpoint\.npz is damaged: .* Delete it to start the search again"):
        load_checkpoint(path, supernet)
    for mine, theirs in zip(before, supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, mine)


def test_a_checkpoint_of_another_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, small_supernet("a cell to skip"), 1)
    with pytest.raises(RunError, match="belongs to another search space"):
        load_checkpoint(path, small_supernet())


def test_candidates_are_ranked_by_their_cross_entropy_and_the_supernet_is_left_as_it_was(
    whole: tuple[SuperNet, Path, Any],
) -> None:
    """Oracle: plain models with the copied weights, their BatchNorm statistics taken over the windows at once."""
    supernet, _, _ = whole
    before = [weight.numpy() for weight in supernet.weights]
    candidates = projector(SPACE, Budget(latency_ms=3.0)).best(supernet.probabilities(), 2)
    tf.config.run_functions_eagerly(False)
    try:
        ranked = rank(supernet, candidates, TRAIN, ALPHA, SCALE, seed=0)
    finally:
        tf.config.run_functions_eagerly(True)
    for mine, weight in zip(before, supernet.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), mine)
    assert [item.cross_entropy for item in ranked] == sorted(item.cross_entropy for item in ranked)
    assert {item.candidate.architecture for item in ranked} == {one.architecture for one in candidates}
    for item in ranked:
        accuracy, cross_entropy = scores(supernet, item.candidate)
        # Two of 24 windows: the statistics are of random batches there, of all windows here.
        assert item.accuracy == pytest.approx(accuracy, abs=2.5 / len(ALPHA))
        assert item.cross_entropy == pytest.approx(cross_entropy, rel=0.05)


def scores(supernet: SuperNet, candidate: Any) -> tuple[float, float]:
    from micronas_tf.models import build_model  # noqa: PLC0415 - one use

    model = build_model(candidate.network)
    copy_weights(supernet, model)
    x = tf.constant(network_input(TRAIN, SCALE))
    for layer in model.layers:
        layer.momentum = 0.0  # one pass, in which every layer normalises by its batch, gives all statistics
    model(x, training=True)
    found = model(network_input(ALPHA, SCALE)).numpy()
    of_truth = found[np.arange(len(ALPHA)), ALPHA.y]
    return float(np.mean(found.argmax(-1) == ALPHA.y)), -float(np.log(of_truth).mean())


@pytest.mark.parametrize(
    "fields", [{"epochs": 0}, {"batch_size": 0}, {"warmup": 1.0}, {"warmup": -0.1}, {"cooling": 0.0}, {"cooling": 1.1}]
)
def test_impossible_recipes_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(SpaceError, match="A search needs epochs"):
        SearchRecipe(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tightening": 1.5}, "tightening is a share"),
        ({"entropy_weight": -1.0}, "entropy weight not negative"),
        ({"decided": 1.0}, "`decided` below 1"),
        ({"rungs": 0}, "one candidate and one rung"),
        ({"trials": -1}, "trials and pool are not negative"),
        ({"pool": -1}, "trials and pool are not negative"),
        ({"keep_one_of": 0}, "keeps one of one trial or more"),
        ({"trial_share": 0.0}, "above 0 and at most 1"),
        ({"random_share": 1.1}, "are shares, 0 to 1"),
        ({"few_random_share": -0.1}, "are shares, 0 to 1"),
        ({"ample": -1}, "`ample` is not negative"),
        ({"explore": 1.5}, "above 0 and at most 1"),
    ],
)
def test_impossible_schedules_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        SearchRecipe(**fields)


@pytest.mark.parametrize(
    ("recipe", "samples", "batch", "steps"),
    # By hand: the least number of steps is spread over the epochs.
    [
        (SearchRecipe(), 7352, 64, 115),
        (SearchRecipe(), 100, 30, 6),
        (SearchRecipe(epochs=2, least_steps=0), 100, 30, 4),
        (SearchRecipe(epochs=7, least_steps=100), 10, 10, 15),
    ],
)
def test_steps_by_hand(recipe: SearchRecipe, samples: int, batch: int, steps: int) -> None:
    assert recipe.steps_per_epoch(samples, batch) == steps


def test_only_limits_that_are_set_have_a_loss() -> None:
    recipe = SearchRecipe(latency_weight=3.0, flash_weight=5.0)
    limits = recipe.limits(Budget(latency_ms=7.0, flash_bytes=1000))
    assert {name: (limit.value, limit.weight) for name, limit in limits.items()} == {
        "latency_ms": (7.0, 3.0),
        "flash_bytes": (1000.0, 5.0),
    }
    assert recipe.limits(Budget()) == {}


@pytest.mark.slow
def test_a_traced_search_resumes_as_well(tmp_path: Path) -> None:
    tf.config.run_functions_eagerly(False)
    try:
        fresh_process()
        expected = run(tmp_path / "whole")
        fresh_process()
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", callbacks=[Stop(1, 2)])
        fresh_process()
        assert_equal(expected, run(tmp_path / "cut"))
    finally:
        tf.config.run_functions_eagerly(True)
