"""Time, with a clock that the test moves: durations, what a run has used, and stages that end in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from micronas_tf.errors import RunError
from micronas_tf.timing import Changes, Pace, Rounds, Stopwatch, parse_duration, position_at, steps_at


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("2.5", 2.5),
        ("90s", 90),
        ("10m", 600),
        ("10min", 600),
        ("1.5h", 5400),
        ("1h30m", 5400),
        (" 1H1M1S ", 3661),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-5m", "ten", "5d", "m", "1m1h", "nan", "1e3", "1h30", "10m5"])
def test_no_durations(text: str) -> None:
    with pytest.raises(RunError, match=r"A time budget is a duration like 90s, 10m or 1h30m\. Received"):
        parse_duration(text)


def test_time_belongs_to_the_stage_that_speaks() -> None:
    """By hand; the first stage's 4 s of a former run count, and so do 2 s before the watch was made."""
    clock, heard = Clock(), list[tuple[Any, ...]]()

    def listener(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        heard.append((stage, done, total, figures))

    saved: list[dict[str, float]] = []
    watch = Stopwatch(listener, {"search": 4.0}, lambda s: saved.append(dict(s)), started=998.0, now=clock)
    for seconds, stage in ((1, "search"), (3, "search"), (2, "training"), (7, "training")):
        clock.time += seconds
        watch(stage, 0, 9, {"accuracy": 0.5})
    assert watch.seconds == {"search": 4 + 2 + 1 + 3, "training": 2 + 7}
    assert heard[-1] == ("training", 0, 9, {"accuracy": 0.5})
    # Every 5 s: after 6, and after 7 more.
    assert saved == [{"search": 10.0, "training": 2.0}, {"search": 10.0, "training": 9.0}]
    clock.time += 1.5
    assert watch.total == pytest.approx(20.5)


def test_a_watch_that_is_stopped_has_the_silence_too() -> None:
    """3 s before any stage speaks, 2 s of the search and 40 s in which it says nothing."""
    clock = Clock()
    watch = Stopwatch(lambda *arguments: None, {"search": 4.0}, lambda seconds: None, now=clock)
    clock.time += 3
    assert watch.stop() == {"search": 4.0, "starting": 3.0}
    clock.time += 2
    watch("search", 0, 9, {})
    clock.time += 40
    assert watch.stop() == {"search": 4.0 + 2 + 40, "starting": 3.0}
    assert watch.total == pytest.approx(49.0)


def test_positions_by_hand() -> None:
    """4 of 100 steps at full length, then a stride of 96/16, from step 12 on one of 48/24 (8·6 = 48 are done)."""
    changes: Changes = ((4, 20), (12, 36))
    expected = {0: 0, 3: 3, 4: 4, 5: 10, 12: 52, 13: 54, 24: 76, 36: 100}
    assert {step: position_at(changes, step, 100) for step in expected} == pytest.approx(expected)
    assert [steps_at(changes, step, 100) for step in (0, 3, 4, 11, 12, 36)] == [100, 100, 20, 20, 36, 36]


@pytest.mark.parametrize("recipe", [1, 7, 100, 3450])
def test_without_a_change_the_position_is_the_step(recipe: int) -> None:
    """Exactly: a budget that is large enough changes nothing."""
    assert [position_at((), step, recipe) for step in range(recipe + 1)] == list(range(recipe + 1))


def walk(
    step_s: Callable[[int], float],
    limit_s: float,
    *,
    recipe: int = 1000,
    first_s: float = 20.0,
    stop_at: int | None = None,
    resume: Changes = (),
    done: int = 0,
    used_s: float = 0.0,
    **options: Any,
) -> tuple[Pace, float, list[float]]:
    """A stage on a machine whose steps take `step_s(step)`: the pace, the seconds it took, its positions."""
    clock = Clock()
    pace = Pace(lambda first, step: limit_s - used_s - (clock.time - 1000.0), changes=resume, now=clock, **options)
    pace.begin(recipe, done)
    positions = []
    while not pace.finished and pace.done != stop_at:
        positions.append(pace.position)
        clock.time += first_s if pace.done == done else step_s(pace.done)
        pace.step()
    return pace, clock.time - 1000.0, [*positions, pace.position]


MACHINES: dict[str, Callable[[int], float]] = {
    "steady": lambda step: 0.1,
    "noisy": lambda step: 0.1 * (1 + 0.8 * np.sin(step * 12.9898) ** 2),
    "cheap warm-up": lambda step: 0.05 if step < 120 else 0.15,
    "slows down": lambda step: 0.05 + 0.0005 * step,
    "speeds up": lambda step: max(0.02, 0.2 - 0.0005 * step),
    "another job comes and goes": lambda step: 0.3 if 100 <= step < 180 else 0.1,
}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_stage_ends_in_time_with_its_schedule(machine: str) -> None:
    """60 s for what takes 100 s or more. Late by 5 % at most; not early, for it uses what it has."""
    pace, seconds, positions = walk(MACHINES[machine], 60.0)
    assert pace.done < 1000
    assert 0.85 * 60 <= seconds <= 1.05 * 60
    assert positions[0] == 0.0
    assert positions[-1] == pytest.approx(1000.0)
    strides = np.diff(positions)
    assert (strides > 0).all()
    # The last step is near the end of the schedule: the cosine is at less than 1 % of its peak there.
    assert (1 + np.cos(np.pi * positions[-2] / 1000)) / 2 < 0.01


@pytest.mark.parametrize("limit_s", [121.0, 1000.0])
def test_enough_time_changes_nothing(limit_s: float) -> None:
    kept: list[Changes] = []
    pace, seconds, positions = walk(MACHINES["steady"], limit_s, keep=kept.append)
    assert (pace.done, pace.changes, kept) == (1000, (), [])
    assert positions == list(range(1001))
    assert seconds == pytest.approx(20 + 99.9)


def test_every_choice_is_kept_and_repeats() -> None:
    """Killed after 150 steps and begun again on the same machine: the same steps at the same positions."""
    kept: list[Changes] = []
    whole, _, positions = walk(MACHINES["cheap warm-up"], 60.0, keep=kept.append)
    assert kept[-1] == whole.changes != ()
    killed, _, _ = walk(MACHINES["cheap warm-up"], 60.0, stop_at=150)
    again, _, repeated = walk(MACHINES["cheap warm-up"], 60.0, resume=killed.changes)
    assert repeated[:150] == positions[:150]
    assert again.done == pytest.approx(whole.done, rel=0.03)


def test_a_resumed_stage_that_has_lost_time_takes_fewer_steps() -> None:
    killed, _, _ = walk(MACHINES["steady"], 60.0, stop_at=150)
    again, seconds, positions = walk(MACHINES["steady"], 60.0, resume=killed.changes, used_s=20.0)
    assert again.done < killed.total
    assert seconds <= 1.05 * 40
    assert positions[-1] == pytest.approx(1000.0)


def test_a_stage_that_was_finished_is_not_walked_again() -> None:
    pace = Pace(lambda first, step: 1.0, changes=((8, 30),))
    pace.begin(1000, done=40)
    assert pace.finished
    assert pace.total == 30
    assert pace.position == pytest.approx(1000.0)


def test_the_least_steps_are_taken_without_time() -> None:
    pace, _, positions = walk(MACHINES["steady"], -5.0, least=50)
    assert pace.done == 50
    assert positions[-1] == pytest.approx(1000.0)


def test_a_stage_that_can_refuse_does_so_before_it_chooses() -> None:
    kept: list[Changes] = []

    def refuse(first_s: float, step_s: float) -> None:
        assert [first_s, step_s] == pytest.approx([20.0, 0.1])
        raise RunError("too short")

    with pytest.raises(RunError, match="too short"):
        walk(MACHINES["steady"], 22.0, least=50, refuse=refuse, keep=kept.append)
    assert kept == []
    # With room for the least steps, or when a resumed stage has had them, it is not asked.
    assert walk(MACHINES["steady"], 18.0, least=50, done=70, refuse=refuse)[0].done > 70
    assert walk(MACHINES["steady"], 27.0, least=50, refuse=refuse)[0].done >= 50


def rounds_of(clock: Clock, changes: Changes, limit_s: float, expected_s: float = 8.0) -> Rounds:
    end = clock.time + limit_s
    return Rounds([expected_s] * 8, lambda times: end - clock.time, changes=changes, now=clock)


def play(rounds: Rounds, clock: Clock, known: int = 0) -> int:
    """Rounds done; each takes ten seconds, the first `known` ones none."""
    if not rounds.begin():
        return 0
    ended = False
    while not ended:
        clock.time += 0.0 if rounds.done < known else 10.0
        ended = rounds.step()
    return rounds.done


def test_rounds_with_ample_time_are_all_done() -> None:
    clock = Clock()
    rounds = rounds_of(clock, (), 1000.0)
    assert (play(rounds, clock), rounds.changes) == (8, ((0, 8),))


def test_rounds_end_before_one_that_would_be_late() -> None:
    """35 s hold three rounds of ten; whoever resumes them has the three, and begins no fourth."""
    clock = Clock()
    rounds = rounds_of(clock, (), 35.0)
    assert (play(rounds, clock), rounds.changes) == (3, ((0, 8), (3, 3)))
    assert play(rounds_of(clock, rounds.changes, 1000.0), clock, known=3) == 3


@pytest.mark.parametrize(("limit_s", "done"), [(119.0, 3), (121.0, 4), (1000.0, 4)])
def test_rounds_of_different_lengths(limit_s: float, done: int) -> None:
    """Each takes twice what was expected: the last, of 60 s, is begun where these are left after three of 20 s."""
    clock = Clock()
    end = clock.time + limit_s
    rounds = Rounds([10.0, 10.0, 10.0, 30.0], lambda times: end - clock.time, now=clock)
    assert rounds.begin()
    for seconds in (20.0, 20.0, 20.0, 60.0):
        clock.time += seconds
        if rounds.step():
            break
    assert rounds.done == done


def test_no_round_is_begun_without_time_for_one() -> None:
    clock = Clock()
    rounds = rounds_of(clock, (), 7.0)
    assert (play(rounds, clock), rounds.changes, clock.time) == (0, ((0, 0),), 1000.0)
    assert play(rounds_of(clock, rounds.changes, 1000.0), clock) == 0


def test_rounds_that_are_known_are_not_thrown_away() -> None:
    """Killed in the third round, and late by now: the two that are there count, and the third is the last."""
    clock = Clock()
    assert play(rounds_of(clock, ((0, 8),), 5.0), clock, known=2) == 3


@pytest.mark.parametrize(("limit_s", "done"), [(1000.0, 8), (35.0, 3)])
def test_a_choice_of_more_rounds_than_there_are(limit_s: float, done: int) -> None:
    """The run that is resumed had eleven candidates."""
    clock = Clock()
    assert play(rounds_of(clock, ((0, 11),), limit_s), clock) == done
