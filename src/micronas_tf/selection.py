"""From a plan to one architecture: search, projection, ranking, trials."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

from micronas_tf.architecture import Architecture
from micronas_tf.datasets import Standardisation
from micronas_tf.files import discard
from micronas_tf.plan import Plan
from micronas_tf.progress import Progress, Repeating
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import (
    Candidate,
    PoolRanking,
    Ranked,
    most_varied,
    random_search,
    rank,
    read_pool,
    search,
    successive_halving,
)
from micronas_tf.space import lower
from micronas_tf.supernet import SuperNet
from micronas_tf.time_budget import TimeBudget


def find_architecture(
    plan: Plan,
    files: RunDirectory,
    standardisation: Standardisation,
    progress: Progress,
    time: TimeBudget | None = None,
) -> Candidate:
    """Search, project what was found onto the budget, and take the best of those that are compared.

    Raises:
        BudgetError: no architecture fits.
    """
    if files.architecture.exists():
        architecture = Architecture.from_json(read_json(files.architecture))
        network = lower(plan.figures.space, architecture)
        if not files.network.exists():
            write_json(files.network, network.to_json())
        return Candidate(architecture, network, plan.costs(network), 0.0)
    for path in (files.network, files.model, files.flatbuffer):
        # What follows from an architecture goes with it.
        discard(path)
    ranked, proposed = _ranked(plan, files, standardisation, progress, time)
    write_json(files.candidates, [_describe(item, item.candidate.architecture in proposed) for item in ranked])
    candidate = ranked[0].candidate
    write_json(files.network, candidate.network.to_json())
    write_json(files.architecture, candidate.architecture.to_json())
    return candidate


def _ranked(
    plan: Plan, files: RunDirectory, standardisation: Standardisation, progress: Progress, time: TimeBudget | None
) -> tuple[list[Ranked], set[Architecture]]:
    """Architectures within budget, compared on windows that train no weights, best first; what the search proposed."""
    settings, recipe, seed = plan.settings, plan.search, plan.settings.seed
    parts = (plan.weight_windows, plan.alpha_windows, standardisation)
    if settings.strategy == "random":
        # In full: that takes about the time of a search with its trials.
        count = max(1, settings.search.trials // 2)
        found = random_search(
            plan.projector, *parts, settings.training, count, seed=seed, directory=files.search, progress=progress
        )
        return found, set()

    searching = Repeating(progress)

    def pool_by(supernet: SuperNet) -> list[Ranked]:
        return rank(
            supernet, _explored(plan, recipe.pool, searching.again), *parts, seed=seed, progress=searching.again
        )

    pace = time.pace("search") if time else None
    # Without a warm-up nobody could rank it.
    with_pool = recipe.rank_pool and recipe.pool and recipe.warm_epochs and _random_trials(plan)
    supernet = search(
        plan.figures,
        *parts,
        recipe,
        seed=seed,
        strategy=settings.strategy,
        directory=files.search,
        progress=searching,
        callbacks=[PoolRanking(recipe.warm_epochs, pool_by, files.pool)] if with_pool else [],
        pace=pace,
    )
    probabilities = supernet.probabilities()
    write_json(files.probabilities, probabilities)
    candidates = _candidates(plan, probabilities, progress)
    proposed = {candidate.architecture for candidate in candidates}
    ranked = rank(supernet, candidates, *parts, seed=seed, progress=progress)
    tried = _tried(plan, files, probabilities, ranked, progress) if recipe.trials else []
    rounds = time.rounds("trials", plan.trial_steps(len(tried))) if time and tried else None
    if not tried or (rounds is not None and not rounds.begin()):
        return ranked, proposed
    found = successive_halving(
        tried,
        plan.trial_rounds(),
        *parts,
        seed=seed,
        directory=files.search,
        progress=progress,
        stop=rounds.step if rounds else lambda: False,
    )
    return found, proposed


def _explored(plan: Plan, count: int, progress: Progress) -> list[Candidate]:
    """Random architectures near the limit."""
    return plan.projector.explore(count, plan.search.explore, plan.settings.seed, progress)


def _random_trials(plan: Plan) -> int:
    """Of the trials; a DARTS baseline is to stand for itself."""
    return plan.search.random_trials if plan.settings.strategy == "dnas" else 0


def _varied(plan: Plan, known: Collection[Architecture], count: int, progress: Progress) -> list[Architecture]:
    """Of a pool that nobody has ranked, those that differ most from what is tried already."""
    pool = [one.architecture for one in _explored(plan, max(plan.search.pool, count), progress)]
    return most_varied(plan.figures.space, pool, known, count)


def _tried(
    plan: Plan,
    files: RunDirectory,
    probabilities: Mapping[str, Sequence[float]],
    ranked: Sequence[Ranked],
    progress: Progress,
) -> list[Candidate]:
    """What the supernet ranks first and random ones near the limit, in turn: the time may end with any of them."""
    count = _random_trials(plan)
    found = [one.candidate for one in ranked[: plan.search.trials - count]]
    known = {candidate.architecture for candidate in found}
    pool = (read_pool(files.pool) or _varied(plan, known, count, progress)) if count else []
    others = (plan.projector.candidate(one, probabilities) for one in pool if one not in known)
    # A resumed search may know other latencies than those that the pool was drawn with.
    fitting = islice((candidate for candidate in others if plan.projector.within(candidate.costs)), count)
    return [candidate for pair in zip_longest(found, fitting) for candidate in pair if candidate is not None]


def _candidates(plan: Plan, probabilities: Mapping[str, Sequence[float]], progress: Progress) -> list[Candidate]:
    """The most probable architectures, and those of a ladder up to the limit: undecided gates tell little of size."""
    recipe = plan.search
    best = plan.projector.best(probabilities, recipe.candidates, progress)
    ladder = plan.projector.ladder(probabilities, recipe.rungs, progress)
    return list({candidate.architecture: candidate for candidate in (*best, *ladder)}.values())


def _describe(ranked: Ranked, proposed: bool) -> dict[str, Any]:
    candidate = ranked.candidate
    return {
        "accuracy": ranked.accuracy,
        "cross_entropy": ranked.cross_entropy,
        "steps": ranked.steps,
        "round": ranked.round,
        "proposed": proposed,
        "score": candidate.score,
        **candidate.costs.to_json(),
        "architecture": candidate.architecture.to_json(),
    }
