"""Many answers from one search: the trade-off between one cost and accuracy.

One supernet serves many budgets. Its probabilities are projected onto a ladder of limits, what comes out is ranked
by the supernet's accuracy, and the networks that nothing beats are trained, each in a run of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from math import inf
from typing import Any, Final

from micronas_tf.architecture import Architecture
from micronas_tf.boards import Budget
from micronas_tf.cost import NetworkCosts
from micronas_tf.errors import BudgetError
from micronas_tf.files import discard
from micronas_tf.front import Axis, knee, ladder, non_dominated, spread
from micronas_tf.pipeline import Result, run
from micronas_tf.plan import Plan
from micronas_tf.progress import Progress
from micronas_tf.promise import promise_broken
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import Candidate, Projector, load_supernet, rank
from micronas_tf.space import largest, lower
from micronas_tf.timing import Stopwatch

SCHEMA: Final = 1

_CANDIDATES: Final = 2
"""Architectures that are compared at each limit."""

_RUNGS: Final = 2
"""Limits for each model that is trained."""

_LEAST_RUNGS: Final = 3

_SHARE: Final = 0.6
"""Of the search's seconds: after these the ladder ends, once it has its two ends and their middle."""

_LEAST_SHARE: Final = 0.5
"""Of what the training and the quantising of the run's own model took: a point that has less time is not trained."""


def explore(plan: Plan, result: Result, watch: Stopwatch) -> None:
    """Find, train and evaluate the points of the front beside a run's answer; goes on where it was interrupted.

    `pareto.json` is written after the ranking and after every point. Another front takes the folders of an earlier one
    over: what is there of another architecture is deleted.

    Raises:
        RunError: a file cannot be read, or the folder of a point cannot be emptied or written.
    """
    files, asked = RunDirectory(result.directory), plan.settings.pareto
    assert asked is not None
    request = {"axis": asked.axis, "asked": asked.points}
    front = read_json(files.pareto) if files.pareto.exists() else {}
    asked_before = {name: front.get(name) for name in request} == request
    # Without time for another front an old one is better than none.
    if not asked_before or not (_is_around(plan, front, result) or _seconds_for(plan, watch, 1) == 0.0):
        points = _ranked(plan, result, files, watch)
        front = {"schema": SCHEMA, **request, "points": points}
        _choose(plan, points, asked.points, files)
    _update(plan, front, files, result)
    waiting = [point for point in front["points"] if point["folder"] and not point["trained"]]
    for number, point in enumerate(waiting):
        budget_s = _seconds_for(plan, watch, len(waiting) - number)
        if budget_s is not None and budget_s <= 0:
            return
        _train(plan, point, files, budget_s, _numbered(watch, number + 1, len(waiting)))
        _update(plan, front, files, result)


def _is_around(plan: Plan, front: Mapping[str, Any], result: Result) -> bool:
    """Whether the front is one around the run's answer, at the latencies that are known now."""
    chosen = next(point for point in front["points"] if point["chosen"])
    latency_ms = plan.costs(result.network).latency.latency_ms
    return Architecture.from_json(chosen["architecture"]) == result.architecture and chosen["latency_ms"] == latency_ms


def _ranked(plan: Plan, result: Result, files: RunDirectory, watch: Stopwatch) -> list[dict[str, Any]]:
    """What the ladder gives and the run's own answer, with the supernet's accuracy, cheapest first."""
    settings = plan.settings
    supernet = load_supernet(plan.figures, plan.search, files.search, seed=settings.seed, strategy=settings.strategy)
    found = _climb(plan, supernet.probabilities(), watch)
    answer = Candidate(result.architecture, result.network, plan.costs(result.network), 0.0)
    found[answer.architecture] = (_ends(plan)[1], answer)
    candidates = [candidate for _, candidate in found.values()]
    ranked = rank(
        supernet,
        candidates,
        plan.weight_windows,
        plan.alpha_windows,
        result.standardisation,
        seed=settings.seed,
        progress=watch,
    )
    points = []
    for item in ranked:
        architecture, costs = item.candidate.architecture, item.candidate.costs
        points.append(
            {
                "limit": found[architecture][0],
                "latency_ms": costs.latency.latency_ms,
                "arena_bytes": costs.arena_bytes,
                "peak_memory_bytes": costs.peak_memory_bytes,
                "flash_bytes": costs.flash_bytes,
                "supernet_accuracy": item.accuracy,
                "supernet_cross_entropy": item.cross_entropy,
                "int8_accuracy": None,
                "trained": False,
                "broken": None,
                "knee": False,
                "chosen": architecture == answer.architecture,
                "folder": None,
                "architecture": architecture.to_json(),
            }
        )
    return sorted(points, key=lambda point: _cost(plan, point))


def _climb(
    plan: Plan, probabilities: Mapping[str, Sequence[float]], watch: Stopwatch
) -> dict[Architecture, tuple[float, Candidate]]:
    """The most probable architectures at each limit of the ladder, with the least limit they were found for."""
    asked = plan.settings.pareto
    assert asked is not None
    least, most = _ends(plan)
    # Above what the most probable networks cost, every limit has the same answer.
    reached = max(_limit_of(plan, candidate.costs) for candidate in _best(plan, most, probabilities))
    limits = ladder(least, min(most, reached), _RUNGS * asked.points)
    found: dict[Architecture, tuple[float, Candidate]] = {}
    allowed_s = min(watch.total + _SHARE * watch.seconds.get("search", inf), plan.settings.time_budget_s or inf)
    for number, limit in enumerate(limits):
        watch("exploring", number, len(limits), {})
        if number >= _LEAST_RUNGS and watch.total > allowed_s:
            break
        try:
            candidates = _best(plan, limit, probabilities)
        except BudgetError:  # the least of this cost does not fit the other limits
            continue
        for candidate in candidates:
            former, _ = found.get(candidate.architecture, (inf, candidate))
            found[candidate.architecture] = (min(limit, former), candidate)
    watch("exploring", len(limits), len(limits), {})
    return found


def _best(plan: Plan, limit: float, probabilities: Mapping[str, Sequence[float]]) -> list[Candidate]:
    """The most probable architectures at one limit."""
    projector = Projector(replace(plan.figures, budget=_budget(plan, limit)), plan.costs, plan.projector.margin)
    return projector.best(probabilities, _CANDIDATES)


def _ends(plan: Plan) -> tuple[float, float]:
    """The least limit that something fits, and the run's own, or what the largest network of the space costs."""
    budget, space = plan.settings.budget, plan.figures.space
    least, most = plan.projector.least(), _limit_of(plan, plan.costs(lower(space, largest(space))))
    if _axis(plan) == "latency":
        return _with_margin(plan, least.latency_ms), budget.latency_ms or most
    return float(least.memory_bytes), float(budget.memory_bytes or most)


def _limit_of(plan: Plan, costs: NetworkCosts) -> float:
    """The least limit that a network of these costs fits."""
    if _axis(plan) == "latency":
        return _with_margin(plan, costs.latency.latency_ms)
    return float(costs.memory_bytes(plan.settings.budget.memory_figure))


def _with_margin(plan: Plan, latency_ms: float) -> float:
    # Rounding must not make the least limit an impossible one.
    return latency_ms * (1 + plan.projector.margin) * (1 + 1e-9)


def _axis(plan: Plan) -> Axis:
    assert plan.settings.pareto is not None
    return plan.settings.pareto.axis


def _budget(plan: Plan, limit: float) -> Budget:
    """The run's budget with another limit on the front's axis."""
    if _axis(plan) == "latency":
        return replace(plan.settings.budget, latency_ms=limit)
    return replace(plan.settings.budget, memory_bytes=round(limit))


def _cost(plan: Plan, point: Mapping[str, Any]) -> float:
    if _axis(plan) == "latency":
        return float(point["latency_ms"])
    arena = plan.settings.budget.memory_figure == "arena"
    return float(point["arena_bytes" if arena else "peak_memory_bytes"])


def _choose(plan: Plan, points: list[dict[str, Any]], wanted: int, files: RunDirectory) -> None:
    """Name a folder for each point to train: evenly spread over what nothing beats, the run's answer aside.

    Few windows give many equal accuracies: what beats another network has the lower cross-entropy. A model that an
    earlier front has trained keeps its folder.
    """
    costs = [_cost(plan, point) for point in points]
    known = [-point["supernet_cross_entropy"] for point in points]
    front = [index for index in non_dominated(list(zip(costs, known, strict=True))) if not points[index]["chosen"]]
    chosen = [points[front[place]] for place in spread([costs[index] for index in front], wanted - 1)]
    kept = {}
    for path in sorted(files.path.glob("pareto/*/architecture.json")):
        kept[Architecture.from_json(read_json(path))] = path.parent.relative_to(files.path).as_posix()
    for point in chosen:
        point["folder"] = kept.get(Architecture.from_json(point["architecture"]))
    taken = {point["folder"] for point in chosen}
    free = (name for name in (f"pareto/{number}" for number in count(1)) if name not in taken)
    for point in chosen:
        point["folder"] = point["folder"] or next(free)


def _train(
    plan: Plan, point: Mapping[str, Any], files: RunDirectory, budget_s: float | None, progress: Progress
) -> None:
    """A run of its own that has its architecture already."""
    own = RunDirectory(files.path / point["folder"])
    architecture = Architecture.from_json(point["architecture"])
    if not _is_of(own, architecture):
        discard(own.path)
        write_json(own.network, lower(plan.figures.space, architecture).to_json())
        write_json(own.architecture, architecture.to_json())
    if budget_s is not None and own.run.exists():
        # What an interrupted point has used is off the job's time already, and its own run takes it off once more.
        budget_s += sum(read_json(own.run)["seconds"].values())
    settings = replace(
        plan.settings, budget=_budget(plan, point["limit"]), pareto=None, time_budget_s=budget_s, saved_model=False
    )
    # The last that a point's run writes: one of another budget would make it look finished.
    discard(own.report)
    record = read_json(files.run)
    about = {name: record[name] for name in ("source", "window", "hop", "test_fraction") if name in record}
    run(plan.dataset, settings, own.path, about=about, progress=progress, may_refuse=False)


def _is_of(own: RunDirectory, architecture: Architecture) -> bool:
    """Whether a point's folder is of this architecture: the same name may be another model's in another front."""
    return own.architecture.exists() and Architecture.from_json(read_json(own.architecture)) == architecture


def _seconds_for(plan: Plan, watch: Stopwatch, points: int) -> float | None:
    """The time of the next point, of `points` to come; 0 if there is not enough left for one."""
    if plan.settings.time_budget_s is None:
        return None
    left = plan.settings.time_budget_s - watch.total
    trained = sum(watch.seconds.get(stage, 0.0) for stage in ("training", "quantising"))
    # These are done again whenever the run is resumed.
    others = sum(watch.since_start(stage) for stage in ("verifying", "reporting"))
    # Fewer points with a training that is worth something, rather than all of them with one that is not.
    least = _LEAST_SHARE * trained + others
    return max(left / points, least) if left > least else 0.0


def _numbered(watch: Progress, number: int, count: int) -> Progress:
    """Stages named after the point: they come again for each."""

    def progress(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        watch(f"{stage} {number}/{count}", done, total, figures)

    return progress


def _update(plan: Plan, front: dict[str, Any], files: RunDirectory, result: Result) -> None:
    """What is trained by now, whether it keeps its promise, and the knee of what does."""
    for point in front["points"]:
        metrics = _metrics(plan, point, files, result)
        accuracy = None if metrics is None else metrics["int8"]["accuracy"]
        broken = None if metrics is None else promise_broken(metrics)
        point |= {
            "int8_accuracy": accuracy,
            "trained": metrics is not None,
            "broken": None if broken is None else str(broken),
            "knee": False,
        }
    trained = [point for point in front["points"] if point["trained"] and point["broken"] is None]
    bend = knee([(_cost(plan, point), point["int8_accuracy"]) for point in trained])
    for index, point in enumerate(trained):
        point["knee"] = index == bend
    write_json(files.pareto, front)


def _metrics(plan: Plan, point: Mapping[str, Any], files: RunDirectory, result: Result) -> Mapping[str, Any] | None:
    """Of the point's own run, when that is complete; None before."""
    if point["chosen"]:
        return result.metrics
    own = RunDirectory(files.path / (point["folder"] or "-"))
    if _is_of(own, Architecture.from_json(point["architecture"])) and _is_finished(own, _budget(plan, point["limit"])):
        return dict(read_json(own.metrics))
    return None


def _is_finished(own: RunDirectory, budget: Budget) -> bool:
    """Whether a run is complete, and for this budget. Its report is what it writes last but a few figures."""
    if not (own.run.exists() and own.report.exists()):
        return False
    record = read_json(own.run)
    return bool(record["status"] == "done" and record["settings"]["budget"] == budget.to_json())
