"""Time: what a run has used, stage by stage, and how a stage of many steps ends when its time does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Final

from micronas_tf.errors import RunError
from micronas_tf.progress import Progress

Now = Callable[[], float]
Changes = tuple[tuple[int, int], ...]
"""From which step on a stage was to end after how many steps: ((0, 2400), (9, 730))."""

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_DURATION: Final = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?:in)?)?(?:{_NUMBER}s)?|{_NUMBER}")
_SAVE_EVERY_S: Final = 5.0

STARTING: Final = "starting"
"""Has the time of a run that ends before any stage speaks."""


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `1.5h` or `1h30m`.

    Raises:
        RunError: it is none of these, for example `1h30`, or not positive.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    units = (3600, 60, 1, 1)
    seconds = sum(float(n or 0) * unit for n, unit in zip(found.groups(), units, strict=True)) if found else 0.0
    if not seconds > 0 or not isfinite(seconds):
        raise RunError(
            f"A time budget is a duration like 90s, 10m or 1h30m. Received: {text!r}. Only a number that stands alone "
            "needs no unit: it is seconds."
        )
    return seconds


class Stopwatch:
    """A `Progress` that passes on what it hears and keeps how long each stage took, over all resumes.

    The time up to a call belongs to the stage that calls, its preparation included.

    Args:
        listener: hears everything, too.
        used: seconds by stage that earlier runs of the same job took.
        save: told the seconds by stage now and then, so that a killed run knows them.
        started: when this run began, by `now`.
        now: a clock in seconds.
    """

    def __init__(
        self,
        listener: Progress,
        used: Mapping[str, float],
        save: Callable[[dict[str, float]], None],
        *,
        started: float | None = None,
        now: Now = time.monotonic,
    ) -> None:
        self.listener, self.save, self.now = listener, save, now
        self.used, self.seconds = dict(used), dict(used)
        self.counted_at = now() if started is None else started
        self.saved_at = now()
        self.stage = STARTING

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        self._count(stage)
        if self.counted_at - self.saved_at >= _SAVE_EVERY_S:
            self.saved_at = self.counted_at
            self.save(self.seconds)
        self.listener(stage, done, total, figures)

    def stop(self) -> dict[str, float]:
        """Seconds by stage, those since the last call too: they count with the stage that spoke last."""
        self._count(self.stage)
        return self.seconds

    def _count(self, stage: str) -> None:
        now = self.now()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.counted_at
        self.stage, self.counted_at = stage, now

    def since_start(self, stage: str) -> float:
        """Seconds that a stage has taken since this part of the job began."""
        return self.seconds.get(stage, 0.0) - self.used.get(stage, 0.0)

    @property
    def total(self) -> float:
        """Seconds of the whole job until now."""
        return sum(self.seconds.values()) + self.now() - self.counted_at


class Pace:
    """How many steps a stage takes in its time, and how far through its schedule each step is.

    A schedule (learning rate, temperature) is written for the recipe's number of steps. A stage that takes fewer
    goes through all of it in longer strides: `position` says where, from 0 to the recipe's steps. The number of
    steps is chosen after the first few have been measured, and again when the stage runs late or early. Each
    choice is kept, so that a resumed stage repeats it.

    Args:
        left: seconds that this stage may still take, given the seconds of its first step (which builds the graph)
            and those of a step.
        changes: choices of the run that this one resumes.
        keep: told all choices whenever one is made.
        least: steps that are taken in any case.
        refuse: called, with the same seconds, when at the first choice there is no time for the least steps.
        now: a clock in seconds.
    """

    MEASURED_STEPS: Final = 8
    MEASURED_S: Final = 0.5
    LATE: Final = 1.02
    EARLY: Final = 0.85
    CHECKS: Final = 25

    def __init__(
        self,
        left: Callable[[float, float], float],
        *,
        changes: Changes = (),
        keep: Callable[[Changes], None] = lambda changes: None,
        least: int = 1,
        refuse: Callable[[float, float], None] | None = None,
        now: Now = time.monotonic,
    ) -> None:
        self.left, self.changes, self.keep, self.least, self.refuse = left, changes, keep, least, refuse
        self.now = now
        self.recipe = self.done = 0
        self.chosen = False
        self.first_s = 0.0

    def begin(self, recipe: int, done: int = 0) -> None:
        """The stage starts: after `done` of at most `recipe` steps."""
        self.recipe = recipe
        self.done = min(done, steps_at(self.changes, done, recipe))
        self.since = self.step_began = self.now()
        self.measured = -1

    @property
    def total(self) -> int:
        """Steps that the stage takes, as chosen until now."""
        return steps_at(self.changes, self.done, self.recipe)

    @property
    def position(self) -> float:
        """Of the next step in the schedule of the recipe."""
        return position_at(self.changes, self.done, self.recipe)

    @property
    def finished(self) -> bool:
        return self.done >= self.total

    def step(self) -> None:
        """A step is done."""
        self.done += 1
        self.measured += 1
        if self.measured == 0:
            self.first_s = self.now() - self.since
            self.since = self.now()
            return
        elapsed = self.now() - self.since
        enough = self.measured >= self.MEASURED_STEPS and elapsed >= self.MEASURED_S
        if enough and elapsed >= self.check_every_s and not self.finished:
            self._choose(elapsed / self.measured)
            self.since, self.measured = self.now(), 0

    @property
    def check_every_s(self) -> float:
        return self.interval_s if self.chosen else 0.0

    def _choose(self, step_s: float) -> None:
        """Keep the number of steps if it fits, else take another."""
        left = self.left(self.first_s, step_s)
        if not self.chosen and self.refuse and self.done < self.least and left < step_s * (self.least - self.done):
            self.refuse(self.first_s, step_s)
        self.chosen = True
        self.interval_s = max(1.0, left / self.CHECKS)
        planned = (self.total - self.done) * step_s
        late, early = planned > left * self.LATE, planned < left * self.EARLY and self.total < self.recipe
        if late or early:
            possible = self.done + max(1, int(left / step_s))
            self._change(min(self.recipe, max(possible, self.least)))

    def _change(self, total: int) -> None:
        kept = tuple((start, steps) for start, steps in self.changes if start < self.done)
        self.changes = (*kept, (self.done, total))
        self.keep(self.changes)


class Rounds:
    """How many of several rounds a stage takes in its time: it ends before one that would be late.

    The choice is kept, as that of a `Pace` is, so that a resumed stage repeats it.

    Args:
        expected_s: of each round, before one has been measured; more than 0.
        left: seconds that the rounds may still take, given how many times the expected seconds they take.
        changes: choices of the run that this one resumes.
        keep: told all choices whenever one is made.
        now: a clock in seconds.
    """

    REPEATED: Final = 0.1
    """A round that an earlier part of the run has done takes hardly any time."""

    def __init__(
        self,
        expected_s: Sequence[float],
        left: Callable[[float], float],
        *,
        changes: Changes = (),
        keep: Callable[[Changes], None] = lambda changes: None,
        now: Now = time.monotonic,
    ) -> None:
        self.recipe, self.expected_s = len(expected_s), tuple(expected_s)
        self.left, self.changes, self.keep, self.now = left, changes, keep, now
        self.done = 0
        self.slowest = 0.0

    def begin(self) -> bool:
        """Whether there are any rounds: there is time for one at least."""
        if not self.changes:
            self._end_after(self.recipe if self.expected_s[0] <= self.left(1.0) else 0)
        self.began = self.now()
        return self.total > 0

    @property
    def total(self) -> int:
        """Rounds of the stage, as chosen until now."""
        # The run that is resumed may have had more candidates: new latencies make others fit the budget.
        return min(steps_at(self.changes, self.done, self.recipe), self.recipe)

    def step(self) -> bool:
        """A round is done; whether it was the last one."""
        self.done += 1
        took_s, self.began = self.now() - self.began, self.now()
        times = took_s / self.expected_s[self.done - 1]
        if times > self.REPEATED:
            self.slowest = max(self.slowest, times)
            if self.done < self.total and self.left(self.slowest) < self.slowest * self.expected_s[self.done]:
                self._end_after(self.done)
        return self.done >= self.total

    def _end_after(self, total: int) -> None:
        self.changes = (*self.changes, (self.done, total))
        self.keep(self.changes)


def steps_at(changes: Sequence[tuple[int, int]], step: int, recipe: int) -> int:
    """Steps that a stage was to take, as known when `step` of them were done."""
    return next((total for start, total in reversed(changes) if start <= step), recipe)


def position_at(changes: Sequence[tuple[int, int]], step: int, recipe: int) -> float:
    """Where in a schedule of `recipe` steps a stage is after `step` steps, ends of all choices being its end."""
    position, at, total = 0.0, 0, recipe
    for start, then in (*changes, (step, recipe)):
        reached = min(start, step)
        if reached > at:
            position += (recipe - position) * (reached - at) / (total - at)
        at, total = max(at, reached), then
        if start >= step:
            break
    return position
