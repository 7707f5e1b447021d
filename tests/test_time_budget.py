"""A time budget over whole jobs, simulated with a clock that the test moves: every job ends in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from micronas_tf.errors import RunError
from micronas_tf.progress import silent
from micronas_tf.record import RunRecord
from micronas_tf.time_budget import STAGES, TimeBudget
from micronas_tf.timing import Stopwatch


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@dataclass(frozen=True)
class Job:
    """Seconds on one machine: what comes before the first step and after the last, the first step, a further one."""

    start: float
    search: tuple[float, float, float]
    projecting: float
    ranking: float
    training: tuple[float, float, float]
    quantising: tuple[float, float, float]
    verifying: float
    steps: tuple[int, int, int]
    batches: int

    @property
    def trial_steps(self) -> list[int]:
        """Twelve short trials, four longer ones."""
        return [round(0.1 * self.steps[1])] * 12 + [round(0.3 * self.steps[1])] * 4

    @property
    def trials(self) -> list[float]:
        """Seconds of each: a training of its own with fewer steps."""
        return [sum(self.training[:2]) + self.training[2] * (steps - 1) for steps in self.trial_steps]

    @property
    def reporting(self) -> float:
        return self.start

    @property
    def full(self) -> float:
        stages = (self.search, self.training, self.quantising)
        steps = sum(a + first + each * (n - 1) for (a, first, each), n in zip(stages, self.steps, strict=True))
        others = self.start + self.projecting + self.ranking + self.verifying + self.reporting
        return others + sum(self.trials) + steps


# As they were seen, rounded; the conversion after the quantising counts with the verifying.
JOBS = {
    "BasicMotions": Job(12, (0, 19, 0.061), 7, 11.5, (0.3, 2.3, 0.013), (7.3, 3.7, 0.02), 4.6, (600, 1500, 500), 4),
    "UCI-HAR": Job(14, (0, 20, 0.146), 3.2, 9.6, (0.3, 1.8, 0.018), (2, 1.8, 0.016), 4.4, (2430, 3450, 500), 46),
    "large network": Job(14, (0, 20, 0.3), 9, 15, (0.4, 2.4, 0.1), (8, 3, 0.13), 25, (2430, 3450, 500), 46),
    "four times as fast": Job(4, (0, 5, 0.04), 1, 2.5, (0.1, 0.5, 0.005), (0.5, 0.5, 0.004), 1, (2430, 3450, 500), 46),
}


def budget_of(job: Job, limit_s: float | None, path: Path, clock: Clock, *, models: int = 1) -> TimeBudget:
    watch = Stopwatch(silent, {}, lambda seconds: None, now=clock)
    counts = {
        "ranking": 400,
        "trials": sum(job.trial_steps) // len(job.trial_steps),
        "training": job.steps[1],
        "quantising": job.steps[2],
        "verifying": job.batches,
    }
    repeats = {"trials": len(job.trials), **dict.fromkeys(("training", "quantising", "verifying", "reporting"), models)}
    return TimeBudget(limit_s, watch, RunRecord(path, {}), counts, repeats)


def walk(budget: TimeBudget, clock: Clock, stage: str, times: tuple[float, float, float], steps: int) -> None:
    clock.time += times[0]
    pace = budget.pace(stage)
    if pace is None:
        clock.time += times[1] + times[2] * (steps - 1)
        return
    pace.now = clock
    pace.begin(steps)
    while not pace.finished:
        clock.time += times[2] if pace.done else times[1]
        pace.step()
        budget.watch(stage, pace.done, pace.total, {})


def deliver(job: Job, budget: TimeBudget, clock: Clock) -> None:
    """What every model goes through."""
    walk(budget, clock, "training", job.training, job.steps[1])
    walk(budget, clock, "quantising", job.quantising, job.steps[2])
    clock.time += job.verifying + job.reporting


def simulate(job: Job, limit_s: float | None, folder: Path, *, models: int = 1) -> tuple[float, TimeBudget]:
    """The whole job; seconds at its end. Further models are runs of their own, which share the time that is left.

    One that has less than half the time of the answer's training is not trained (`pareto`).
    """
    clock = Clock()
    budget = budget_of(job, limit_s, folder / "run.json", clock, models=models)
    clock.time += job.start
    walk(budget, clock, "search", job.search, job.steps[0])
    clock.time += job.projecting + job.ranking
    rounds = budget.rounds("trials", job.trial_steps)
    if rounds is None:
        clock.time += sum(job.trials)
    elif rounds.begin():
        for trial in job.trials:
            clock.time += trial
            if rounds.step():
                break
    fixed_s, before = job.verifying + job.reporting, clock.time
    deliver(job, budget, clock)
    least_s = 0.5 * (clock.time - before - fixed_s) + fixed_s
    for others in range(models - 1, 0, -1):
        assert limit_s is not None
        left_s = limit_s - clock.time
        if left_s > least_s:
            deliver(job, budget_of(job, max(left_s / others, least_s), folder / f"{others}.json", clock), clock)
    return clock.time, budget


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("share", [0.35, 0.5, 0.7, 0.9, 1.0])
def test_a_job_ends_in_time(name: str, share: float, tmp_path: Path) -> None:
    """10 % late at most; and it makes use of the time."""
    job = JOBS[name]
    limit_s = max(share * job.full, 110.0 if job.start > 5 else 40.0)
    seconds, budget = simulate(job, limit_s, tmp_path)
    assert seconds <= 1.1 * limit_s
    assert seconds >= 0.7 * min(limit_s, job.full)
    steps = budget.to_json()["steps"]
    for stage, (taken, recipe) in steps.items():
        assert min(STAGES[stage].least, recipe) <= taken <= recipe
    # No stage starves another: where the search is cut to a third, the training has its share, too.
    if limit_s > 150 and steps["search"][0] < steps["search"][1]:
        assert steps["training"][0] > 0.15 * steps["training"][1]


@pytest.mark.parametrize("name", JOBS)
def test_ample_time_shortens_nothing(name: str, tmp_path: Path) -> None:
    job = JOBS[name]
    seconds, budget = simulate(job, 2.5 * job.full, tmp_path)
    assert seconds == pytest.approx(job.full)
    assert all(taken == recipe for taken, recipe in budget.to_json()["steps"].values())


@pytest.mark.parametrize("name", JOBS)
def test_no_limit_has_no_paces(name: str, tmp_path: Path) -> None:
    seconds, budget = simulate(JOBS[name], None, tmp_path)
    assert seconds == pytest.approx(JOBS[name].full)
    assert budget.pace("search") is None


@pytest.mark.parametrize("name", JOBS)
def test_a_budget_too_short_is_refused_with_one_that_works(name: str, tmp_path: Path) -> None:
    job = JOBS[name]
    with pytest.raises(
        RunError,
        match=r"this job needs about \d+ s on this machine\. .* larger time budget by `micronas-tf .* --time-budget …`",
    ) as refused:
        simulate(job, job.start + job.search[1] + 5, tmp_path / "short")
    enough = float(str(refused.value).split("about ")[1].split(" s")[0])
    seconds, _ = simulate(job, enough, tmp_path / "enough")
    assert seconds <= 1.1 * enough


def test_many_models_share_the_time(tmp_path: Path) -> None:
    """Four models of a front: the first training leaves time for the other three."""
    job = JOBS["UCI-HAR"]
    seconds, _ = simulate(job, 300.0, tmp_path, models=4)
    assert 0.7 * 300 <= seconds <= 1.1 * 300


@pytest.mark.parametrize("limit_s", [150.0, 200.0, 300.0, 600.0])
def test_models_that_have_no_time_do_not_refuse_the_answer(limit_s: float, tmp_path: Path) -> None:
    """Ten would need 600 s at least, the answer 130."""
    seconds, budget = simulate(JOBS["UCI-HAR"], limit_s, tmp_path, models=10)
    assert 0.7 * limit_s <= seconds <= 1.1 * limit_s
    assert all(taken >= STAGES[stage].least for stage, (taken, _) in budget.to_json()["steps"].items())


def test_a_run_that_is_too_late_does_not_go_on(tmp_path: Path) -> None:
    """It has used 95 of 100 s, and what is left takes 29 in its shortest way. Other models need not be trained."""
    clock = Clock()
    budget = budget_of(JOBS["UCI-HAR"], 100.0, tmp_path / "run.json", clock, models=4)
    clock.time += 95.0
    budget.check("trials")  # nothing has been measured yet, and there is some time left
    clock.time += 20.0
    with pytest.raises(RunError, match="used up its time budget of 100 s: it has taken 115 s"):
        budget.check("trials")
    clock.time -= 20.0
    budget.record.keep_units(10.0, 0.1)
    fixed_s = 10 * (0.2 + 0.6 + 0.4 + 1.0) + 46 * 0.1  # preparations, and the windows that are verified
    least_s = 0.1 * (60 * 0.2 + 30 * 0.25)
    with pytest.raises(RunError, match="100 s, of which 95 s are used; this job needs about") as refused:
        budget.check("trials")
    enough = float(str(refused.value).split("about ")[1].split(" s")[0])
    assert enough == pytest.approx(1.1 * (95 + fixed_s + least_s), abs=10)
    larger = budget_of(JOBS["UCI-HAR"], enough, tmp_path / "run.json", clock, models=4)
    larger.record.keep_units(10.0, 0.1)
    clock.time += 95.0
    assert larger.watch.total == pytest.approx(95.0)
    larger.check("trials")
    budget_of(JOBS["UCI-HAR"], None, tmp_path / "run.json", clock).check("trials")


def test_the_choices_are_in_the_record(tmp_path: Path) -> None:
    job = JOBS["UCI-HAR"]
    _, budget = simulate(job, 150.0, tmp_path)
    again = RunRecord(tmp_path / "run.json", {})
    shortened = {stage: taken for stage, (taken, recipe) in budget.to_json()["steps"].items() if taken < recipe}
    assert {"search", "training"} <= set(shortened)
    assert {stage: changes[-1][1] for stage, changes in again.steps.items()} == shortened


def test_trials_after_a_search_without_a_limit_keep_the_time(tmp_path: Path) -> None:
    """Nothing has been measured yet: the first trial tells how long the others take."""
    clock = Clock()
    record = RunRecord(tmp_path / "run.json", {})
    watch = Stopwatch(silent, {}, lambda seconds: None, now=clock)
    budget = TimeBudget(100.0, watch, record, {"trials": 100, "training": 1000, "quantising": 500, "verifying": 10})
    rounds = budget.rounds("trials", [100] * 12 + [300] * 4)
    assert rounds is not None
    assert rounds.begin()
    start = clock.time
    while True:
        clock.time += 10.0
        if rounds.step():
            break
    # Training and quantising take 15 times as many batches as a trial.
    assert clock.time - start <= 40.0


def test_a_search_without_trials_leaves_them_no_time(tmp_path: Path) -> None:
    watch = Stopwatch(silent, {}, lambda seconds: None, now=Clock())
    shares = []
    for trials in (0, 8):
        record = RunRecord(tmp_path / f"{trials}.json", {})
        counts = {"trials": 1000, "training": 1_000_000, "quantising": 1_000_000, "verifying": 0}
        budget = TimeBudget(1000.0, watch, record, counts, {"trials": trials})
        shares.append(budget.left("search", 0.0, 1.0))
    assert shares[0] / shares[1] == pytest.approx((0.5 + 0.25 + 0.35 + 0.15) / (0.5 + 0.35 + 0.15))
