"""A time budget divided among the stages of a run.

Search, training and quantising take fewer steps where they must (`timing.Pace`), and there are fewer trials or none
(`timing.Rounds`); what the other stages take is reserved. What is still to come is predicted from what this run has
measured: the steps of a later stage from those of the present one, and preparations, which build graphs, from the
present one's first step. The ratios below only divide the time; the end is kept by measuring again in every stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from micronas_tf.errors import RunError
from micronas_tf.record import RunRecord
from micronas_tf.run_directory import resume_command
from micronas_tf.timing import Changes, Pace, Rounds, Stopwatch


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage costs in relation to the search.

    Attributes:
        first: seconds of its first step, which builds its graph; that of the search takes 1.
        preparation: seconds besides the further steps, in the same unit.
        step: seconds of a batch; one of the search takes 1.
        weight: share of the stage where there is not enough time for all.
        least: steps below which the result is worth nothing; 0 with a weight: the stage can be left out.
    """

    first: float
    preparation: float
    step: float
    weight: float = 0.0
    least: int = 0

    @property
    def optional(self) -> bool:
        return self.weight > 0 and not self.least


STAGES: Final[Mapping[str, Stage]] = {
    "search": Stage(1.0, 1.0, 1.0, weight=0.5, least=40),
    "projecting": Stage(0.0, 0.4, 0.0),
    "ranking": Stage(0.0, 0.45, 0.3),
    "trials": Stage(0.12, 0.2, 0.2, weight=0.25),
    "training": Stage(0.12, 0.2, 0.2, weight=0.35, least=60),
    "quantising": Stage(0.12, 0.6, 0.25, weight=0.15, least=30),
    # With the conversion before it; two interpreters take a window as long as a training takes about five.
    "verifying": Stage(0.0, 0.4, 1.0),
    "reporting": Stage(0.0, 1.0, 0.5),
}
"""Ratios seen on BasicMotions and UCI-HAR, between both."""


_UNKNOWN_STEP_S: Final = 1e-3

_LATE: Final = 1.1
"""Of a budget: the job may end so much later."""


class TimeBudget:
    """Hands every stage its pace.

    Args:
        limit_s: of the whole job; None: no limit, and no paces.
        watch: knows what is used.
        record: keeps the numbers of steps.
        steps: batches of each stage in full, of one model.
        repeats: models that go through a stage, where this is not one.
    """

    def __init__(
        self,
        limit_s: float | None,
        watch: Stopwatch,
        record: RunRecord,
        steps: Mapping[str, int],
        repeats: Mapping[str, int] | None = None,
    ) -> None:
        self.limit_s, self.watch, self.record = limit_s, watch, record
        self.steps, self.repeats = dict(steps), dict(repeats or {})
        self.paces: dict[str, Pace | Rounds] = {}
        self.began: dict[str, float] = {}
        self.models: dict[str, int] = {}
        """For how many models of a front there is time when a stage begins; the others may have none."""
        self.known_graph_s: dict[str, float] = {}
        """What was known of the first step of the search when a stage began; 0: nothing."""

    def check(self, done: str) -> None:
        """Refuse to go on with a run that cannot end in time any more, even in its shortest way.

        Args:
            done: the last stage that is.

        Raises:
            RunError: names a budget that would do, if anything has been measured.
        """
        fixed_s, _, least_s = self._later(done, 1)
        needed_s = self.watch.total + fixed_s + least_s
        if self.limit_s is None or needed_s <= _LATE * self.limit_s:
            return
        if any(self.record.units):
            raise self._too_short(needed_s)
        raise RunError(
            f"The run has used up its time budget of {self.limit_s:g} s: it has taken {self.watch.total:.0f} s, and is "
            f"not done. {self._remedy}."
        )

    def pace(self, stage: str) -> Pace | None:
        """None without a limit."""
        if self.limit_s is None:
            return None
        self.began.pop(stage, None)
        self.models.pop(stage, None)
        self.known_graph_s.pop(stage, None)
        pace = self.paces[stage] = Pace(
            lambda first_s, step_s: self.left(stage, first_s, step_s),
            changes=self._kept(stage),
            keep=lambda changes: self.record.keep_steps(stage, changes),
            least=STAGES[stage].least,
            refuse=self._refuse if stage == "search" else None,
        )
        return pace

    def rounds(self, stage: str, steps: Sequence[int]) -> Rounds | None:
        """Of a stage with a model of so many batches in each round; None without a limit."""
        if self.limit_s is None:
            return None
        kind = STAGES[stage]
        graph_s, step_s = self.record.units
        # A search that went on without a limit has measured nothing: the first round then tells.
        step_s = step_s or _UNKNOWN_STEP_S

        def left(times: float) -> float:
            # What a round is faster than predicted, the later trainings are, too.
            self.record.keep_units(graph_s, step_s * times)
            return self._left(stage)

        rounds = self.paces[stage] = Rounds(
            [(kind.first + kind.preparation) * graph_s + count * kind.step * step_s for count in steps],
            left,
            changes=self._kept(stage),
            keep=lambda changes: self.record.keep_steps(stage, changes),
            now=self.watch.now,
        )
        return rounds

    def _kept(self, stage: str) -> Changes:
        return tuple((start, total) for start, total in self.record.steps.get(stage, []))

    def left(self, stage: str, first_s: float, step_s: float) -> float:
        """Seconds that the steps of a stage may still take; negative if they should have ended.

        Args:
            stage: the present one.
            first_s: its first step, which builds the graph.
            step_s: a later step.
        """
        known_s, ratio = self.known_graph_s.setdefault(stage, self.record.units[0]), STAGES[stage].first
        # With what was known before: a first step that is small beside that of the search tells little of it.
        graph_s = (first_s + known_s) / (ratio + 1.0) if known_s else first_s / ratio
        self.record.keep_units(graph_s, step_s / STAGES[stage].step)
        return self._left(stage)

    def _left(self, stage: str) -> float:
        kind = STAGES[stage]
        # Chosen once: when a stage is about to end, little is left for it in any case.
        if stage not in self.models:
            least_s = kind.least * kind.step * self.record.units[1]
            counts = range(self._models("reporting"), 1, -1)
            self.models[stage] = next((count for count in counts if self._share(stage, count) >= least_s), 1)
        return self._share(stage, self.models[stage])

    def _share(self, stage: str, models: int) -> float:
        """Seconds for the stage, if the later ones are those of so many models at most."""
        assert self.limit_s is not None
        now_s = self.watch.total
        fixed_s, full_s, _ = self._later(stage, models)
        # The share is of the time that there was when the stage began, or every look would take a share of the rest.
        began_s = self.began.setdefault(stage, now_s)
        free_s = self.limit_s - began_s - fixed_s
        share_s = free_s * STAGES[stage].weight / self._weights(stage, models)
        return max(share_s, free_s - full_s) - (now_s - began_s)

    def _weights(self, stage: str, models: int) -> float:
        """Of this stage and the later ones, those of each model once, the trials together."""
        names = list(STAGES)
        later = names[names.index(stage) :]
        counts = {name: min(1 if name == "trials" else models, self._models(name)) for name in later}
        return sum(STAGES[name].weight * count for name, count in counts.items()) or 1.0

    def _models(self, stage: str) -> int:
        return self.repeats.get(stage, 1)

    def _still(self, name: str, stage: str, models: int) -> int:
        """How many models, of so many at most, are still to go through `name` after the present one in `stage`."""
        names = list(STAGES)
        count = self._models(name) if name == "trials" else min(models, self._models(name))
        if names.index(name) > names.index(stage):
            return count
        return 0 if name == "trials" else max(0, count - 1)

    def _later(self, stage: str, models: int) -> tuple[float, float, float]:
        """Seconds of the later stages: what cannot be shortened, all that can, the least steps.

        Args:
            stage: the present one.
            models: of a front, at most; the trials count as they are.
        """
        graph_s, unit_s = self.record.units
        fixed_s = full_s = least_s = 0.0
        for name, other in STAGES.items():
            times, count = self._still(name, stage, models), self.steps.get(name, 0)
            steps_s = times * count * other.step * unit_s
            preparation_s = times * other.preparation * graph_s
            if other.optional:
                full_s += preparation_s + steps_s
            elif other.weight:
                fixed_s += preparation_s
                full_s += steps_s
                least_s += times * min(count, other.least) * other.step * unit_s
            else:
                fixed_s += preparation_s + steps_s
        return fixed_s, full_s, least_s

    def _refuse(self, first_s: float, step_s: float) -> None:
        """Raises RunError: names the least budget that works."""
        fixed_s, _, least_s = self._later("search", 1)
        raise self._too_short(self.watch.total + fixed_s + least_s + step_s * STAGES["search"].least)

    def _too_short(self, needed_s: float) -> RunError:
        return RunError(
            f"A time budget has to hold a search, a training and a verification. Received: {self.limit_s:g} s, of "
            f"which {self.watch.total:.0f} s are used; this job needs about {ceil(_LATE * needed_s / 10) * 10} s on "
            f"this machine. {self._remedy}, or use fewer windows."
        )

    @property
    def _remedy(self) -> str:
        return f"Go on with a larger time budget by `{resume_command(self.record.path.parent, longer=True)}`"

    def to_json(self) -> dict[str, Any]:
        """For `metrics.json`: the budget, what was used, and the steps taken of those in the recipe."""
        steps = {stage: [pace.done, pace.recipe] for stage, pace in self.paces.items() if pace.recipe}
        return {"budget_s": self.limit_s, "used_s": round(self.watch.total, 1), "steps": steps}
