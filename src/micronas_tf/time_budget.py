"""A time budget divided among the stages of a run.

Search, training and quantising take fewer steps where they must (`timing.Pace`); what the other stages take is
reserved. What is still to come is predicted from what this run has measured: the steps of a later stage from those
of the present one, and preparations, which build graphs, from the present one's first step. The ratios below only
divide the time; the end is kept by measuring again in every stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from micronas_tf.errors import RunError
from micronas_tf.record import RunRecord
from micronas_tf.timing import Pace, Stopwatch


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage costs in relation to the search.

    Attributes:
        first: seconds of its first step, which builds its graph; that of the search takes 1.
        preparation: seconds besides the further steps, in the same unit.
        step: seconds of a batch; one of the search takes 1.
        weight: share of the stage where there is not enough time for all.
        least: steps below which the result is worth nothing.
        repeated: for every model that is trained.
    """

    first: float
    preparation: float
    step: float
    weight: float = 0.0
    least: int = 0
    repeated: bool = False


STAGES: Final[Mapping[str, Stage]] = {
    "search": Stage(1.0, 1.0, 1.0, weight=0.5, least=40),
    "projecting": Stage(0.0, 0.4, 0.0),
    "ranking": Stage(0.0, 0.45, 0.3),
    "training": Stage(0.12, 0.2, 0.2, weight=0.35, least=60, repeated=True),
    "quantising": Stage(0.12, 0.6, 0.25, weight=0.15, least=30, repeated=True),
    # With the conversion before it; two interpreters take a window as long as a training takes about five.
    "verifying": Stage(0.0, 0.4, 1.0, repeated=True),
}
"""Ratios seen on BasicMotions and UCI-HAR, between both."""


class TimeBudget:
    """Hands every stage its pace.

    Args:
        limit_s: of the whole job; None: no limit, and no paces.
        watch: knows what is used.
        record: keeps the numbers of steps.
        steps: batches of each stage in full.
        models: how many are trained and quantised in all.
    """

    def __init__(
        self, limit_s: float | None, watch: Stopwatch, record: RunRecord, steps: Mapping[str, int], *, models: int = 1
    ) -> None:
        self.limit_s, self.watch, self.record, self.steps, self.models = limit_s, watch, record, dict(steps), models
        self.paces: dict[str, Pace] = {}
        self.began: dict[str, float] = {}

    def pace(self, stage: str) -> Pace | None:
        """None without a limit."""
        if self.limit_s is None:
            return None
        self.began.pop(stage, None)
        self.paces[stage] = Pace(
            lambda first_s, step_s: self.left(stage, first_s, step_s),
            changes=tuple((start, total) for start, total in self.record.steps.get(stage, [])),
            keep=lambda changes: self.record.keep_steps(stage, changes),
            least=STAGES[stage].least,
            refuse=self._refuse if stage == "search" else None,
        )
        return self.paces[stage]

    def left(self, stage: str, first_s: float, step_s: float) -> float:
        """Seconds that the steps of a stage may still take; negative if they should have ended.

        Args:
            stage: the present one.
            first_s: its first step, which builds the graph.
            step_s: a later step.
        """
        assert self.limit_s is not None
        now_s = self.watch.total
        fixed_s, full_s, _ = self._later(stage, first_s, step_s)
        # The share is of the time that there was when the stage began, or every look would take a share of the rest.
        began_s = self.began.setdefault(stage, now_s)
        free_s = self.limit_s - began_s - fixed_s
        share_s = free_s * STAGES[stage].weight / self._weights(stage)
        return max(share_s, free_s - full_s) - (now_s - began_s)

    def _weights(self, stage: str) -> float:
        """Of this stage and the later ones, those of each model once."""
        first = list(STAGES).index(stage)
        weights = sum(s.weight * (self.models if s.repeated else 1) for s in list(STAGES.values())[first:])
        return weights or 1.0

    def _later(self, stage: str, first_s: float, step_s: float) -> tuple[float, float, float]:
        """Seconds of the later stages: what cannot be shortened, all steps, the least steps."""
        graph_s, unit_s = first_s / STAGES[stage].first, step_s / STAGES[stage].step
        fixed_s = full_s = least_s = 0.0
        names = list(STAGES)
        for name in names:
            other, count = STAGES[name], self.steps.get(name, 0)
            later = names.index(name) > names.index(stage)
            times = (self.models if other.repeated else 1) - (0 if later else 1)
            if not later and not other.repeated:
                continue
            steps_s = times * count * other.step * unit_s
            fixed_s += times * other.preparation * graph_s
            if other.weight:
                full_s += steps_s
                least_s += times * min(count, other.least) * other.step * unit_s
            else:
                fixed_s += steps_s
        return fixed_s, full_s, least_s

    def _refuse(self, first_s: float, step_s: float) -> None:
        """Raises RunError: names the least budget that works."""
        assert self.limit_s is not None
        fixed_s, _, least_s = self._later("search", first_s, step_s)
        needed_s = 1.1 * (self.watch.total + fixed_s + least_s + step_s * STAGES["search"].least)
        raise RunError(
            f"A time budget has to hold a search, a training and a verification. Received: {self.limit_s:g} s, of "
            f"which {self.watch.total:.0f} s are used; this job needs about {ceil(needed_s / 10) * 10} s on this "
            "machine. Go on with --resume and a larger --time-budget, or use fewer windows."
        )

    def to_json(self) -> dict[str, Any]:
        """For `metrics.json`: the budget, what was used, and the steps taken of those in the recipe."""
        steps = {stage: [pace.total, pace.recipe] for stage, pace in self.paces.items() if pace.recipe}
        return {"budget_s": self.limit_s, "used_s": round(self.watch.total, 1), "steps": steps}
