"""The steps of a run: what they write, that finished ones are not done again, and when a promise is broken."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from micronas_tf import delivery, pipeline, selection
from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget
from micronas_tf.cost import flash_bytes
from micronas_tf.datasets import Dataset, Standardisation, Windows
from micronas_tf.errors import BoardError, BudgetError, CostError, RunError
from micronas_tf.estimation import mean_error
from micronas_tf.files import exclusively
from micronas_tf.front import Pareto
from micronas_tf.pipeline import run
from micronas_tf.plan import Plan, make_plan
from micronas_tf.progress import silent
from micronas_tf.promise import promise_broken
from micronas_tf.quantize import Int8Report
from micronas_tf.quantize.runtimes import Arena
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import Projector, Ranked, SearchRecipe, most_varied
from micronas_tf.selection import find_architecture
from micronas_tf.settings import Settings
from micronas_tf.space import SpaceConfig, lower
from micronas_tf.training import TrainingRecipe

SMALL = SpaceConfig(time_filters_max=8, fusion_filters_max=16, time_kernels=(3, 5), fusion_kernels=(3,), extra_cells=0)
SETTINGS = Settings(
    budget=Budget(latency_ms=20.0),
    space=SMALL,
    search=SearchRecipe(epochs=2, least_steps=0, batch_size=12, warmup=0.5, candidates=1, trials=2, pool=3, ample=0),
    training=TrainingRecipe(epochs=1, least_steps=0, batch_size=12, stretch=1.0),
)
# w gets about 70 % of the 48 train windows: 3 batches of 12 an epoch.
STEPS = 6

pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")


def waves(count: int, seed: int) -> Windows:
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    angle = 2 * np.pi * (1 + 2 * y[:, None, None]) * np.arange(16)[None, :, None] / 16
    x = np.sin(angle + rng.uniform(0, 2 * np.pi, (count, 1, 1))) + rng.normal(0, 0.2, (count, 16, 3))
    return Windows.of(x, y, channel_names=["acc_x", "acc_y", "acc_z"])


DATA = Dataset("waves", waves(48, 0), waves(12, 1))


class Heard:
    """A progress that keeps what it hears, and raises KeyboardInterrupt at one step."""

    def __init__(self, stage: str = "", step: int = -1) -> None:
        self.at, self.stages = (stage, step), list[str]()

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if stage not in self.stages:
            self.stages.append(stage)
        if stage == self.at[0] and done >= self.at[1]:
            raise KeyboardInterrupt


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A few steps eagerly, not traced; ranking, conversion and verification, which other tests cover, pretended."""

    def quantise(plan: Any, files: RunDirectory, *others: Any) -> bytes:
        files.flatbuffer.write_bytes(b"int8")
        return b"int8"

    def evaluate(*arguments: Any) -> dict[str, Any]:
        return {"within_budget": True, "verified": True, "excess": {}}

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    monkeypatch.setattr(pipeline, "quantise", quantise)
    monkeypatch.setattr(selection, "rank", lambda supernet, found, *others, **options: [Ranked(found[0], 0.5, 1.0)])
    monkeypatch.setattr(pipeline, "evaluate", evaluate)

    def export(plan: Plan, files: RunDirectory, *others: Any) -> dict[str, Any]:
        metrics: dict[str, Any] = others[-1]
        write_json(files.metrics, metrics)
        return metrics

    monkeypatch.setattr(pipeline, "export", export)
    monkeypatch.setattr(pipeline, "details", lambda *arguments: {})
    monkeypatch.setattr(pipeline, "write_report", lambda directory: directory / "report.html")
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def start(folder: Path, progress: Any = None, *, settings: Settings = SETTINGS) -> pipeline.Result:
    """As a new process would: Keras's names count from 0."""
    keras.utils.clear_session()
    return run(DATA, settings, folder, about={"source": None}, progress=progress or Heard())


@pytest.mark.usefixtures("cheap")
def test_a_front_that_ends_early_leaves_the_report_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> None:
        assert written == [tmp_path / "run"]
        raise KeyboardInterrupt

    written: list[Path] = []
    monkeypatch.setattr(pipeline, "write_report", written.append)
    with pytest.raises(KeyboardInterrupt):
        run(DATA, SETTINGS, tmp_path / "run", about={"source": None}, progress=silent, afterwards=interrupted)
    assert read_json(tmp_path / "run" / "run.json")["status"] == "done"
    assert written


@pytest.mark.usefixtures("cheap")
def test_an_interrupted_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    """Once interrupted in the search, after its first epoch, and once in the training."""
    heard = Heard()
    whole = start(tmp_path / "whole", heard)
    assert heard.stages == ["search", "projecting", "trials", "training", "reporting"]
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        start(cut, Heard("search", STEPS))
    assert not (cut / "architecture.json").exists()
    assert read_json(cut / "run.json")["status"] == "running"
    with pytest.raises(KeyboardInterrupt):
        start(cut, Heard("training", 0))
    assert not (cut / "model.keras").exists()
    heard = Heard()
    resumed = start(cut, heard)
    assert heard.stages == ["training", "reporting"]
    assert resumed.architecture == whole.architecture
    assert resumed.network == whole.network
    assert read_json(cut / "run.json")["status"] == "done"
    for name in ("architecture.json", "network.json", "standardisation.json", "metrics.json"):
        assert read_json(cut / name) == read_json(tmp_path / "whole" / name)
    for mine, theirs in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        # One seed, one stream of batches; CPU kernels may sum in another order.
        np.testing.assert_allclose(theirs, mine, atol=1e-3)
    # A third time: the answer stays complete, even if that ends early.
    with pytest.raises(KeyboardInterrupt):
        start(cut, Heard("reporting", 0))
    assert read_json(cut / "run.json")["status"] == "done"
    assert read_json(cut / "metrics.json") == read_json(tmp_path / "whole" / "metrics.json")
    # A fourth time: nothing is trained, the same files are read.
    heard = Heard()
    again = start(cut, heard)
    assert heard.stages == ["reporting"]
    for mine, theirs in zip(resumed.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, mine)
    assert again.tflite == b"int8"
    # What is trained or found anew takes what followed from it along.
    (cut / "model.keras").unlink()
    (cut / "saved_model").mkdir()
    write_json(cut / "verify.json", {})
    with pytest.raises(KeyboardInterrupt):
        start(cut, Heard("training", 0))
    assert not any((cut / name).exists() for name in ("model.tflite", "verify.json", "saved_model"))
    start(cut)
    (cut / "architecture.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        start(cut, Heard("projecting", 0))
    assert not any((cut / name).exists() for name in ("network.json", "model.keras", "model.tflite"))


@pytest.mark.usefixtures("cheap")
def test_a_run_without_time_is_not_gone_on_with(tmp_path: Path) -> None:
    """Interrupted in its training: with what is used, 1 s cannot be kept. Once all is trained, nothing is refused."""
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, Heard("training", 0))
    late = replace(SETTINGS, time_budget_s=1.0)
    write_json(tmp_path / "run.json", {**read_json(tmp_path / "run.json"), "seconds": {"search": 2.0}})
    with pytest.raises(RunError, match=r"used up its time budget of 1 s: it has taken [2-9] s, and is not done"):
        start(tmp_path, settings=late)
    assert not (tmp_path / "model.keras").exists()
    # The run does not take over what was refused, and goes on with what it had.
    assert read_json(tmp_path / "run.json")["settings"]["time_budget_s"] is None
    start(tmp_path)
    assert start(tmp_path, settings=late).tflite == b"int8"


def test_two_cannot_go_on_with_one_run(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"seconds": {"search": 5.0}})
    with exclusively(tmp_path), pytest.raises(RunError, match="Another process works in"):
        start(tmp_path)
    assert read_json(tmp_path / "run.json") == {"seconds": {"search": 5.0}}


@pytest.mark.usefixtures("cheap")
def test_the_time_of_a_silent_stage_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in the verifying, which has said nothing for a while: a time budget is of the whole job."""
    ended: list[float] = []

    def evaluate(*arguments: Any) -> None:
        time.sleep(0.5)
        ended.append(time.monotonic())
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "evaluate", evaluate)
    keras.utils.clear_session()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(DATA, SETTINGS, tmp_path, about={}, progress=Heard(), started=started)
    used_s = sum(read_json(tmp_path / "run.json")["seconds"].values())
    assert ended[0] - started - 0.1 <= used_s <= time.monotonic() - started


@pytest.mark.usefixtures("cheap")
def test_an_answer_is_done_before_what_comes_after_it(tmp_path: Path) -> None:
    """Ctrl-C in a point of the front: the run's own answer can be reported, and others compared with it."""

    def explore(plan: Any, result: pipeline.Result, watch: Any) -> None:
        assert read_json(result.directory / "run.json")["status"] == "done"
        watch("training 1/3", 0, 1, {})
        raise KeyboardInterrupt

    keras.utils.clear_session()
    with pytest.raises(KeyboardInterrupt):
        run(DATA, SETTINGS, tmp_path, about={}, progress=Heard(), afterwards=explore)
    record = read_json(tmp_path / "run.json")
    assert record["status"] == "done"
    assert "training 1/3" in record["seconds"]


@pytest.mark.parametrize(
    ("bundle", "rate"),
    [
        ({"model_sha256": hashlib.sha256(b"int8").hexdigest(), "sampling_hz": 50.0}, 50.0),
        ({"model_sha256": hashlib.sha256(b"int8").hexdigest(), "sampling_hz": None}, 20.0),
        ({"model_sha256": "of another model", "sampling_hz": 50.0}, 20.0),
        (None, 20.0),
    ],
)
def test_a_resumed_run_keeps_the_rate_of_its_bundle(
    bundle: Any, rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data say 20 Hz, `export --rate` said 50. A bundle that cannot be read is written anew."""
    files, written = RunDirectory(tmp_path), list[Any]()
    files.bundle.mkdir()
    (files.bundle / "bundle.json").write_text("{" if bundle is None else json.dumps(bundle))

    def export(files: RunDirectory, model: Any, *others: Any) -> dict[str, Any]:
        written.append(model)
        return {}

    monkeypatch.setattr(delivery, "export", export)
    train, test = (replace(part, sampling_rate_hz=20.0) for part in (DATA.train, DATA.test))
    timed = Dataset(DATA.name, train, test)
    pipeline.export(make_plan(timed, SETTINGS), files, b"int8", Standardisation.fit(DATA.train), {})
    assert [model.sampling_hz for model in written] == [rate]


def test_the_ranking_of_the_pool_is_heard_as_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is work between two of its steps, and says so while it takes seconds."""
    heard: list[tuple[Any, ...]] = []

    def search(*arguments: Any, progress: Any, callbacks: Any, **options: Any) -> None:
        progress("search", 3, 6, {"accuracy": 0.5})
        callbacks[0].ranked(None)
        raise KeyboardInterrupt

    monkeypatch.setattr(selection, "search", search)
    monkeypatch.setattr(selection, "rank", lambda *arguments, progress, **options: progress("ranking", 1, 3, {}))
    plan, files = make_plan(DATA, SETTINGS), RunDirectory(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        find_architecture(plan, files, Standardisation.fit(DATA.train), lambda *said: heard.append(said))
    # Once by the search itself, then with every network that is drawn, and while they are ranked.
    assert heard == [("search", 3, 6, {"accuracy": 0.5})] * (1 + SETTINGS.search.pool + 1 + 1)


def test_settings_survive_json() -> None:
    settings = replace(SETTINGS, margin=0.05, seed=3, quantisation="ptq", saved_model=True)
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    more = replace(settings, time_budget_s=600.0, pareto=Pareto("memory", 4))
    assert Settings.from_json(json.loads(json.dumps(more.to_json()))) == more
    # Runs of before there was such a thing.
    former = {k: v for k, v in settings.to_json().items() if k not in ("time_budget_s", "pareto")}
    assert Settings.from_json(former) == settings


@pytest.mark.parametrize("asked", [{"pareto": Pareto("latency")}, {"time_budget_s": 60.0}])
def test_what_needs_a_supernet_is_refused_to_a_strategy_without(asked: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="need a supernet, and the strategy random has none"):
        replace(SETTINGS, strategy="random", **asked)


@pytest.mark.parametrize("change", [{"budget": None}, {"search": {"speed": 1}}, {"colour": "red"}, {"space": 3}])
def test_settings_of_another_version_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="another version of micronas-tf"):
        Settings.from_json({**SETTINGS.to_json(), **change})
    without = SETTINGS.to_json()
    del without["training"]
    with pytest.raises(RunError, match="'training'"):
        Settings.from_json(without)


def test_the_margin_is_the_sources_mean_error_unless_given() -> None:
    plan = make_plan(DATA, SETTINGS)
    errors = [plan.source.cycles(op).rel_error for op in plan.figures.space.operators()]
    assert mean_error(plan.figures.space, plan.source) == pytest.approx(sum(errors) / len(errors))
    assert plan.projector.margin == mean_error(plan.figures.space, plan.source) > 0
    assert make_plan(DATA, replace(SETTINGS, margin=0.3)).projector.margin == 0.3


def test_a_plan_is_of_the_datas_shape() -> None:
    space = make_plan(DATA, SETTINGS).figures.space
    assert (space.window, space.sensors, space.classes, space.config) == (16, 3, 3, SMALL)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (Settings(board="nope"), BoardError),
        (Settings(latency_source="none.csv"), CostError),
        (Settings(budget=Budget(latency_ms=1e-3)), BudgetError),
        (Settings(budget=Budget(memory_bytes=100)), BudgetError),
        (Settings(budget=Budget(flash_bytes=100)), BudgetError),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    settings: Settings, error: type[Exception], tmp_path: Path
) -> None:
    heard = Heard()
    with pytest.raises(error):
        run(DATA, replace(settings, space=SMALL), tmp_path, about={}, progress=heard)
    assert heard.stages == []
    assert list(tmp_path.iterdir()) == []


def report(**changed: Any) -> Int8Report:
    """What `verify` hands over."""
    fields = {
        "accuracy": 0.5,
        "macro_f1": 0.4,
        "scores": np.zeros((12, 3), np.int8),
        "probabilities": np.zeros((12, 3), np.float32),
        "first_difference": None,
        "arena": Arena(head_bytes=100, tail_bytes=200, total_bytes=300),
        "planned_head_bytes": 100,
        "operators": ("CONV_2D", "CONV_2D", "SOFTMAX"),
    }
    return Int8Report(**{**fields, **changed})


def evaluated(monkeypatch: pytest.MonkeyPatch, budget: Budget, size: int, **changed: Any) -> dict[str, Any]:
    """`evaluate` on the least of architectures, with a flatbuffer of `size` bytes."""
    plan = make_plan(DATA, replace(SETTINGS, budget=budget))
    uniform = {group.name: [1 / len(group)] * len(group) for group in plan.figures.space.groups}
    candidate = plan.projector.best(uniform)[0]
    monkeypatch.setattr(pipeline, "verify", lambda *arguments: report(**changed))
    monkeypatch.setattr(pipeline, "float_scores", lambda *arguments: {"accuracy": 0.6, "macro_f1": 0.5})
    scale = Standardisation.fit(DATA.train)
    metrics = pipeline.evaluate(plan, candidate, None, b"x" * size, scale, Heard())
    assert json.loads(json.dumps(metrics)) == metrics
    assert metrics["flash_bytes"] == flash_bytes(candidate.network)
    return metrics


def test_metrics_within_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = evaluated(monkeypatch, Budget(latency_ms=20.0, flash_bytes=20_000), 5000)
    assert metrics["within_budget"] is metrics["verified"] is True
    assert metrics["int8"] == {"accuracy": 0.5, "macro_f1": 0.4}
    assert metrics["float"] == {"accuracy": 0.6, "macro_f1": 0.5}
    assert metrics["budget"] == {
        "latency_ms": 20.0,
        "memory_bytes": None,
        "flash_bytes": 20_000,
        "memory_figure": "arena",
    }
    assert metrics["verification"]["operators"] == ["CONV_2D", "SOFTMAX"]
    assert metrics["verification"]["windows"] == 12
    # All scores are equal: every window gets the first label.
    counts = np.bincount(DATA.test.y, minlength=3).tolist()
    assert metrics["confusions"] == [[count, 0, 0] for count in counts]
    assert promise_broken(metrics) is None


def test_a_flatbuffer_larger_than_its_limit_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real file decides, whatever was predicted."""
    metrics = evaluated(monkeypatch, Budget(flash_bytes=20_000), 20_001)
    assert metrics["within_budget"] is False
    broken = promise_broken(metrics)
    assert isinstance(broken, BudgetError)
    assert "flash_bytes 20,001.00 > 20,000" in str(broken)
    assert broken.exit_code == 1


@pytest.mark.parametrize("changed", [{"first_difference": "window 3"}, {"planned_head_bytes": 99}])
def test_what_tflm_does_not_confirm_breaks_the_promise(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    metrics = evaluated(monkeypatch, Budget(), 5000, **changed)
    assert (metrics["within_budget"], metrics["verified"]) == (True, False)
    assert "Verification failed" in str(promise_broken(metrics))


def test_architectures_are_read_back(tmp_path: Path) -> None:
    """A run whose architecture.json is there takes it, whatever else is missing."""
    plan, files = make_plan(DATA, SETTINGS), RunDirectory(tmp_path)
    uniform = {group.name: [1 / len(group)] * len(group) for group in plan.figures.space.groups}
    known = plan.projector.best(uniform)[0]
    files.architecture.write_text(json.dumps(known.architecture.to_json()))
    heard = Heard()
    found = find_architecture(plan, files, Standardisation.fit(DATA.train), heard)
    assert (found.architecture, found.network, found.costs) == (known.architecture, known.network, known.costs)
    assert isinstance(found.architecture, Architecture)
    assert heard.stages == []
    assert read_json(files.network) == known.network.to_json()


def test_what_is_tried_is_distinct_and_within_budget(tmp_path: Path) -> None:
    """A pool may name what the search proposes, too, and what fitted by the latencies of an earlier day."""
    settings = replace(SETTINGS, search=replace(SETTINGS.search, trials=4))
    plan, files = make_plan(DATA, settings), RunDirectory(tmp_path)
    uniform = {group.name: [1 / len(group)] * len(group) for group in plan.figures.space.groups}
    proposed = plan.projector.best(uniform, 2)
    names = {candidate.architecture for candidate in proposed}
    others = [one.architecture for one in plan.projector.explore(8, 0.1, 0) if one.architecture not in names][:3]
    fast = plan.costs(lower(plan.figures.space, others[1])).latency.latency_ms
    slow = plan.costs(lower(plan.figures.space, others[0])).latency.latency_ms
    assert slow != fast
    if slow < fast:
        others[:2] = others[1::-1]
        slow, fast = fast, slow
    files.search.mkdir()
    write_json(files.pool, [{"architecture": one.to_json()} for one in (proposed[0].architecture, *others[:2])])
    tight = Budget(latency_ms=(slow + fast) / 2)
    plan = replace(plan, projector=Projector(replace(plan.figures, budget=tight), plan.costs))
    tried = selection._tried(plan, files, uniform, [Ranked(one, 0.5, 1.0) for one in proposed], silent)
    assert [one.architecture for one in tried] == [proposed[0].architecture, others[1], proposed[1].architecture]
    settings = replace(settings, strategy="darts-softmax")
    tried = selection._tried(
        replace(plan, settings=settings), files, uniform, [Ranked(one, 0.5, 1.0) for one in proposed], silent
    )
    assert [one.architecture for one in tried] == [one.architecture for one in proposed]


def test_on_few_windows_most_trials_are_random_and_vary(tmp_path: Path) -> None:
    """Nobody has ranked the pool, and what the search proposes makes room for others."""
    plan, files = make_plan(DATA, replace(SETTINGS, search=SearchRecipe(explore=0.01))), RunDirectory(tmp_path)
    uniform = {group.name: [1 / len(group)] * len(group) for group in plan.figures.space.groups}
    drawn = [one.architecture for one in plan.projector.explore(plan.search.pool, 0.01, SETTINGS.seed)]
    known = plan.projector.candidate(drawn[2], uniform)
    likely = plan.projector.best(uniform, 6)
    proposed = [known, *(one for one in likely if one.architecture != known.architecture)]
    tried = selection._tried(plan, files, uniform, [Ranked(one, 0.5, 1.0) for one in proposed], silent)
    mixed, rest = [one.architecture for one in tried[:8]], [one.architecture for one in tried[8:]]
    found = [one.architecture for one in proposed[:4]]
    assert mixed[::2] == found
    assert mixed[1::2] + rest == most_varied(plan.figures.space, drawn, found, 12)
    assert len(tried) == 16


def test_where_nothing_random_is_tried_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawing begins with the greatest latency within the budget, which takes its time."""
    settings = replace(SETTINGS, search=replace(SETTINGS.search, trials=1))
    plan, files = make_plan(DATA, settings), RunDirectory(tmp_path)
    uniform = {group.name: [1 / len(group)] * len(group) for group in plan.figures.space.groups}
    (proposed,) = plan.projector.best(uniform)

    def refuse(*arguments: Any) -> None:
        raise AssertionError("drawn")

    monkeypatch.setattr(Projector, "explore", refuse)
    for other in (settings, replace(settings, strategy="darts-gumbel", search=replace(settings.search, trials=4))):
        tried = selection._tried(replace(plan, settings=other), files, uniform, [Ranked(proposed, 0.5, 1.0)], silent)
        assert [one.architecture for one in tried] == [proposed.architecture]
