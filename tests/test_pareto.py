"""The front of a run: a ladder of budgets from one supernet, the best of it trained, point by point."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from micronas_tf import pareto
from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget
from micronas_tf.datasets import Dataset, Standardisation, Windows
from micronas_tf.front import Axis, Pareto, knee, non_dominated
from micronas_tf.pipeline import Result
from micronas_tf.plan import Plan, make_plan
from micronas_tf.progress import silent
from micronas_tf.promise import front_broken
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import Candidate, Ranked
from micronas_tf.settings import Settings
from micronas_tf.space import SpaceConfig, largest, lower
from micronas_tf.timing import Stopwatch

SPACE = SpaceConfig(time_filters_max=8, fusion_filters_max=16, time_kernels=(3, 5), fusion_kernels=(3,), extra_cells=0)
METRICS = {"int8": {"accuracy": 0.75}, "within_budget": True, "verified": True, "excess": {}}


def waves(count: int, seed: int) -> Windows:
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    return Windows.of(rng.normal(size=(count, 16, 3)) + y[:, None, None], y)


DATA = Dataset("waves", waves(48, 0), waves(12, 1))


class Supernet:
    """The larger a choice, the more probable: every limit has another network for an answer."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def probabilities(self) -> dict[str, list[float]]:
        groups = self.plan.figures.space.groups
        return {g.name: [2 * (k + 1) / len(g) / (len(g) + 1) for k in range(len(g))] for g in groups}


def accuracy_of(network: Mapping[str, Any]) -> str:
    """Of the model that is trained of this network: another one's for every network that is not the same."""
    digest = hashlib.sha256(json.dumps(network).encode()).hexdigest()
    return str(0.6 + 0.3 * int(digest[:8], 16) / 16**8)


def cost(costs: Any, axis: Axis) -> float:
    return float(costs.latency.latency_ms if axis == "latency" else costs.arena_bytes)


class Job:
    """A run with its answer, on which fronts can be explored; training is pretended and written down."""

    def __init__(self, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(folder / "user-data"))
        self.plan = make_plan(DATA, settings)
        self.files = RunDirectory(folder / "run")
        write_json(self.files.run, {"source": "waves.npz", "window": None, "hop": None, "test_fraction": 0.25})
        answer = self.plan.projector.best(Supernet(self.plan).probabilities())[0]
        scale = Standardisation.fit(DATA.train)
        self.result = Result(
            keras.Model(), answer.architecture, answer.network, b"", scale, dict(METRICS), self.files.path
        )
        self.trained: list[tuple[Path, Settings, dict[str, Any]]] = []
        self.ranked: list[Candidate] = []
        self.fail_at = self.no_report_of = -1
        self.point_s = 0.0
        monkeypatch.setattr(pareto, "load_supernet", lambda *arguments, **options: Supernet(self.plan))
        monkeypatch.setattr(pareto, "rank", self.rank)
        monkeypatch.setattr(pareto, "run", self.run)

    def rank(self, supernet: Any, candidates: Sequence[Candidate], *others: Any, **options: Any) -> list[Ranked]:
        """Larger is better, but every third one is poor; too few windows to see it in the accuracy."""
        self.ranked += candidates
        macs = [candidate.costs.macs for candidate in candidates]
        poor = [0.3 * (place % 3 == 2) for place in range(len(macs))]
        found = [Ranked(c, 0.5, 1.0 - 0.4 * m / max(macs) + p) for c, m, p in zip(candidates, macs, poor, strict=True)]
        return sorted(found, key=lambda item: item.cross_entropy)

    def run(
        self,
        dataset: Dataset,
        settings: Settings,
        folder: Path,
        *,
        about: Mapping[str, Any],
        progress: Any,
        may_refuse: bool,
    ) -> None:
        assert not may_refuse
        if len(self.trained) == self.fail_at:
            raise KeyboardInterrupt
        own = RunDirectory(folder)
        # One of an earlier limit would make it look finished, if it ended early.
        assert not own.report.exists()
        network = read_json(own.network)
        self.trained.append((folder, settings, dict(about)))
        progress("training", 1, 1, {})
        record = {"settings": settings.to_json(), "seconds": {"training": self.point_s}, "status": "running"}
        write_json(own.run, record)
        # As there: a model that is found is not trained again, and the metrics come before the report.
        if not own.model.exists():
            own.model.write_text(accuracy_of(network))
        write_json(own.metrics, {**METRICS, "int8": {"accuracy": float(own.model.read_text())}})
        if len(self.trained) == self.no_report_of:
            raise KeyboardInterrupt
        write_json(own.run, {**record, "status": "done"})
        own.report.write_text("page")

    def explore(self, heard: list[str] | None = None, **used: float) -> dict[str, Any]:
        def listener(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if heard is not None:
                heard.append(stage)

        watch = Stopwatch(listener, {"search": 1000.0}, lambda seconds: None)
        watch.seconds |= used
        pareto.explore(self.plan, self.result, watch)
        return dict(read_json(self.files.pareto))


def settings(axis: Axis, points: int = 4, **budget: Any) -> Settings:
    return Settings(budget=Budget(**budget), space=SPACE, pareto=Pareto(axis, points))


@pytest.fixture(params=["latency", "memory"])
def axis(request: pytest.FixtureRequest) -> Axis:
    found: Axis = request.param
    return found


def test_the_front_of_a_run(axis: Axis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path, settings(axis, latency_ms=20.0, memory_bytes=8192), monkeypatch)
    heard: list[str] = []
    front = job.explore(heard)
    points = front["points"]
    assert (front["schema"], front["axis"]) == (1, axis)
    # Distinct networks, cheapest first, each within the limit it was found for and within the run's other limit.
    assert len({json.dumps(point["architecture"]) for point in points}) == len(points) > 4
    name = "latency_ms" if axis == "latency" else "arena_bytes"
    costs = [point[name] for point in points]
    assert costs == sorted(costs)
    assert all(point[name] <= point["limit"] for point in points)
    assert all(point["latency_ms"] <= 20.0 and point["arena_bytes"] <= 8192 for point in points)
    # The ladder begins at the least that the space can do.
    least = job.plan.projector.least()
    assert costs[0] == pytest.approx(least.latency_ms if axis == "latency" else least.memory_bytes)
    # Four models in all: the answer, and three of those that nothing beats.
    trained = [point for point in points if point["trained"]]
    assert len(trained) == 4
    (chosen,) = [point for point in points if point["chosen"]]
    assert (chosen["int8_accuracy"], chosen["folder"]) == (0.75, None)
    best = non_dominated([(point[name], -point["supernet_cross_entropy"]) for point in points])
    others = [index for index, point in enumerate(points) if point["folder"]]
    assert set(others) <= set(best)
    assert len(job.trained) == 3
    assert all(point["int8_accuracy"] is None for point in points if not point["trained"])
    bend = knee([(point[name], point["int8_accuracy"]) for point in trained])
    assert [point["knee"] for point in trained] == [index == bend for index in range(4)]
    assert {"exploring", "training 1/3", "training 3/3"} <= set(heard)


def test_a_model_that_breaks_its_promise_is_named_and_no_knee(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path, settings("latency", latency_ms=20.0), monkeypatch)
    front = job.explore()
    points = front["points"]
    assert [point["broken"] for point in points] == [None] * len(points)
    assert front_broken(front) is None
    for point in points:
        if point["folder"]:
            own = RunDirectory(job.files.path / point["folder"])
            write_json(own.metrics, {**read_json(own.metrics), "excess": {"flash_bytes": [9.0, 8]}})
    front = job.explore()
    again = front["points"]
    assert "pareto/2: The model exceeds the budget" in str(front_broken(front))
    assert {point["folder"] for point in again if point["broken"]} == {"pareto/1", "pareto/2", "pareto/3"}
    assert all("exceeds the budget: flash_bytes 9.00 > 8" in point["broken"] for point in again if point["folder"])
    assert not any(point["knee"] for point in again)


def test_each_model_is_a_run_of_its_own(axis: Axis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path, settings(axis, latency_ms=20.0, memory_bytes=8192), monkeypatch)
    points = {point["folder"]: point for point in job.explore()["points"] if point["folder"]}
    assert set(points) == {"pareto/1", "pareto/2", "pareto/3"}
    for folder, own, about in job.trained:
        point = points[str(folder.relative_to(job.files.path))]
        changed = {"latency_ms": point["limit"]} if axis == "latency" else {"memory_bytes": round(point["limit"])}
        assert own == replace(job.plan.settings, budget=replace(job.plan.settings.budget, **changed), pareto=None)
        assert about == {"source": "waves.npz", "window": None, "hop": None, "test_fraction": 0.25}
        assert read_json(RunDirectory(folder).architecture) == point["architecture"]


def test_an_interrupted_front_goes_on_with_the_next_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path, settings("latency", latency_ms=20.0), monkeypatch)
    job.fail_at = 1
    with pytest.raises(KeyboardInterrupt):
        job.explore()
    before = read_json(job.files.pareto)
    assert sum(point["trained"] for point in before["points"]) == 2
    job.fail_at, job.ranked = -1, []
    after = job.explore()
    assert job.ranked == []
    assert [str(folder.relative_to(job.files.path)) for folder, _, _ in job.trained] == [
        f"pareto/{n}" for n in (1, 2, 3)
    ]
    assert [p["architecture"] for p in after["points"]] == [p["architecture"] for p in before["points"]]
    assert job.explore() == after
    assert len(job.trained) == 3


def ask(job: Job, axis: Axis, points: int) -> None:
    """As `--resume RUN --pareto AXIS --pareto-points POINTS` does."""
    job.plan = replace(job.plan, settings=replace(job.plan.settings, pareto=Pareto(axis, points)))


def assert_of_its_own(job: Job, points: Sequence[Mapping[str, Any]]) -> None:
    """Every point of a folder is trained, with the model and the budget of its own network and limit."""
    space = job.plan.figures.space
    for point in points:
        if point["folder"]:
            own = RunDirectory(job.files.path / point["folder"])
            network = lower(space, Architecture.from_json(point["architecture"])).to_json()
            assert point["trained"]
            assert point["int8_accuracy"] == float(accuracy_of(network))
            assert read_json(own.architecture) == point["architecture"]
            assert own.model.read_text() == accuracy_of(network)
            budget = pareto._budget(job.plan, point["limit"])
            assert read_json(own.run)["settings"]["budget"] == budget.to_json()


@pytest.mark.parametrize(("again", "points"), [("latency", 3), ("latency", 5), ("memory", 4)])
def test_another_front_has_models_of_its_own(
    again: Axis, points: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But of the networks that both have the models are those that are trained already, in their folders."""
    job = Job(tmp_path, settings("latency", latency_ms=20.0), monkeypatch)
    before = {point["folder"]: point["architecture"] for point in job.explore()["points"] if point["folder"]}
    ask(job, again, points)
    front = job.explore()
    after = {point["folder"]: point["architecture"] for point in front["points"] if point["folder"]}
    known = {json.dumps(architecture): folder for folder, architecture in before.items()}
    both = {folder: known[json.dumps(one)] for folder, one in after.items() if json.dumps(one) in known}
    assert all(folder == former for folder, former in both.items())
    # The ends of a ladder are those of any other one along the same cost.
    assert again == "memory" or len(both) >= 2
    assert_of_its_own(job, front["points"])
    assert sum(point["trained"] for point in front["points"]) == points
    assert sum(point["knee"] for point in front["points"]) <= 1


def test_another_front_after_an_interrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-made runs of the earlier front are not gone on with."""
    job = Job(tmp_path, settings("latency", latency_ms=20.0), monkeypatch)
    job.no_report_of = 2
    with pytest.raises(KeyboardInterrupt):
        job.explore()
    ask(job, "memory", 4)
    job.no_report_of = -1
    assert_of_its_own(job, job.explore()["points"])


def test_a_point_without_its_report_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path, settings("latency", latency_ms=20.0), monkeypatch)
    job.no_report_of = 1
    with pytest.raises(KeyboardInterrupt):
        job.explore()
    assert (job.files.path / "pareto/1/metrics.json").exists()
    job.no_report_of = -1
    assert_of_its_own(job, job.explore()["points"])
    assert [folder.name for folder, _, _ in job.trained] == ["1", "1", "2", "3"]
    assert len(list(job.files.path.glob("pareto/*/report.html"))) == 3


def test_without_a_limit_the_ladder_ends_at_the_largest_network(
    axis: Axis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(tmp_path, settings(axis), monkeypatch)
    points = job.explore()["points"]
    space = job.plan.figures.space
    most = job.plan.costs(lower(space, largest(space)))
    expected = most.latency.latency_ms * (1 + job.plan.projector.margin) if axis == "latency" else most.arena_bytes
    assert max(point["limit"] for point in points) == pytest.approx(expected)


def test_the_ladder_ends_where_the_most_probable_networks_do(
    axis: Axis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit above what they cost has the same answer, and would show nothing more."""

    class Modest(Supernet):
        def probabilities(self) -> dict[str, list[float]]:
            return {name: odds[::-1] for name, odds in super().probabilities().items()}

    job = Job(tmp_path, settings(axis, points=6), monkeypatch)
    monkeypatch.setattr(pareto, "load_supernet", lambda *arguments, **options: Modest(job.plan))
    points = [point for point in job.explore()["points"] if not point["chosen"]]
    name = "latency_ms" if axis == "latency" else "arena_bytes"
    best = job.plan.projector.best(Modest(job.plan).probabilities(), 2)
    reached = max(cost(candidate.costs, axis) for candidate in best)
    assert max(point[name] for point in points) == reached
    margin = 1 + job.plan.projector.margin if axis == "latency" else 1
    assert max(point["limit"] for point in points) <= reached * margin * (1 + 1e-6)


def test_the_ladder_ends_with_its_share_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a search of no time at all: three rungs, two candidates each, and the answer."""
    job = Job(tmp_path, settings("latency", latency_ms=20.0), monkeypatch)
    job.explore(search=0.0)
    assert 3 <= len(job.ranked) <= 2 * 3 + 1


def test_points_without_time_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's own model took 40 s; of 1,100 s, 1,090 s are used."""
    timed = replace(settings("latency", latency_ms=20.0), time_budget_s=1100.0)
    job = Job(tmp_path, timed, monkeypatch)
    front = job.explore(training=30.0, quantising=10.0, verifying=30.0, reporting=20.0)
    assert job.trained == []
    assert sum(point["trained"] for point in front["points"]) == 1


def test_fewer_points_rather_than_worthless_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 s are left for three points. Half the 200 s of training, and 40 s that cannot be shortened: 140 each."""
    timed = replace(settings("latency", latency_ms=20.0), time_budget_s=1440.0)
    job = Job(tmp_path, timed, monkeypatch)
    job.explore(training=150.0, quantising=50.0, verifying=30.0, reporting=10.0)
    assert job.trained[0][1].time_budget_s == pytest.approx(140.0)


def test_a_front_is_of_the_runs_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other latencies, or another architecture: what the front knows is no longer true. It is found anew, in time."""
    job = Job(tmp_path, settings("latency", latency_ms=20.0), monkeypatch)
    front = job.explore()
    job.ranked.clear()
    assert job.explore() == front
    assert not job.ranked
    slower = [{**point, "latency_ms": 1.5 * point["latency_ms"]} for point in front["points"]]
    write_json(job.files.pareto, {**front, "points": slower})
    assert job.explore()["points"] == front["points"]
    (other,) = [one for one in front["points"] if one["folder"] == "pareto/1"]
    chosen = [{**one, "chosen": one is other} for one in front["points"]]
    write_json(job.files.pareto, {**front, "points": chosen})
    assert job.explore()["points"] == front["points"]
    write_json(job.files.pareto, {**front, "points": slower})
    job.plan = replace(job.plan, settings=replace(job.plan.settings, time_budget_s=900.0))
    assert [point["latency_ms"] for point in job.explore()["points"]] == [point["latency_ms"] for point in slower]


def test_points_share_the_time_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = replace(settings("latency", latency_ms=20.0), time_budget_s=1400.0)
    job = Job(tmp_path, timed, monkeypatch)
    job.explore(training=30.0, quantising=10.0)
    shares = [own.time_budget_s for _, own, _ in job.trained]
    # 360 s are left but for what this test takes; a point that needs less leaves more to the next.
    assert shares[0] == pytest.approx(120.0, abs=20.0)
    assert all(share is not None and share > 0 for share in shares)


def test_what_an_interrupted_point_has_used_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 360 s for three points the first has used 60: its run may take a third of the rest, and these."""
    timed = replace(settings("latency", latency_ms=20.0), time_budget_s=1400.0)
    job = Job(tmp_path, timed, monkeypatch)
    job.point_s, job.no_report_of = 60.0, 1
    with pytest.raises(KeyboardInterrupt):
        job.explore(training=30.0, quantising=10.0)
    job.explore(None, training=30.0, quantising=10.0, **{"training 1/3": 60.0})
    again = job.trained[1]
    assert again[0].name == "1"
    assert again[1].time_budget_s == pytest.approx(60.0 + 100.0, abs=20.0)


def test_silent_progress_will_do() -> None:
    watch = Stopwatch(silent, {}, lambda seconds: None)
    pareto._numbered(watch, 2, 3)("training", 1, 1, {})
    assert list(watch.seconds) == ["training 2/3"]
