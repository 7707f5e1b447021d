"""From a plan to one architecture: search, projection, ranking, trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from micronas_tf.architecture import Architecture
from micronas_tf.datasets import Standardisation, split
from micronas_tf.plan import ALPHA_FRACTION, Plan
from micronas_tf.progress import Progress
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import Candidate, Ranked, random_search, rank, search, train_and_rank
from micronas_tf.space import lower
from micronas_tf.time_budget import TimeBudget


def find_architecture(
    plan: Plan,
    files: RunDirectory,
    standardisation: Standardisation,
    progress: Progress,
    time: TimeBudget | None = None,
) -> Candidate:
    """Search, project what was found onto the budget, and take the best of the most probable.

    Raises:
        BudgetError: no architecture fits.
    """
    space = plan.figures.space
    if files.architecture.exists():
        architecture = Architecture.from_json(read_json(files.architecture))
        network = lower(space, architecture)
        return Candidate(architecture, network, plan.costs(network), 0.0)
    ranked = _ranked(plan, files, standardisation, progress, time)
    write_json(files.candidates, [_describe(item) for item in ranked])
    candidate = ranked[0].candidate
    write_json(files.network, candidate.network.to_json())
    write_json(files.architecture, candidate.architecture.to_json())
    return candidate


def _ranked(
    plan: Plan, files: RunDirectory, standardisation: Standardisation, progress: Progress, time: TimeBudget | None
) -> list[Ranked]:
    """Architectures within budget, compared on windows that train no weights, best first."""
    settings = plan.settings
    weights, alphas = split(plan.dataset.train, ALPHA_FRACTION, seed=settings.seed)
    if settings.strategy == "random":
        return random_search(
            plan.projector,
            weights,
            alphas,
            standardisation,
            settings.training,
            max(1, settings.search.trials),
            seed=settings.seed,
            directory=files.search,
            progress=progress,
        )
    supernet = search(
        plan.figures,
        weights,
        alphas,
        standardisation,
        settings.search,
        seed=settings.seed,
        strategy=settings.strategy,
        directory=files.search,
        progress=progress,
        pace=time.pace("search") if time else None,
    )
    probabilities = supernet.probabilities()
    write_json(files.probabilities, probabilities)
    candidates = _candidates(plan, probabilities, progress)
    ranked = rank(supernet, candidates, weights, alphas, standardisation, seed=settings.seed, progress=progress)
    rounds = time.rounds("trials") if time else None
    if not settings.search.trials or (rounds is not None and not rounds.begin()):
        return ranked
    tried = _tried(plan, probabilities, ranked)
    return train_and_rank(
        tried,
        weights,
        alphas,
        standardisation,
        plan.trial_recipe,
        seed=settings.seed,
        total=len(tried),
        directory=files.search,
        progress=progress,
        stop=rounds.step if rounds else lambda: False,
    )


def _tried(plan: Plan, probabilities: Mapping[str, Sequence[float]], ranked: Sequence[Ranked]) -> list[Candidate]:
    """What the supernet ranks first and random ones near the limit, in turn: the time may end with any of them."""
    settings = plan.settings
    trials = settings.search.trials
    found = [one.candidate for one in ranked[: trials - trials // 2]]
    others = plan.projector.explore(probabilities, trials // 2, settings.search.explore, settings.seed)
    both = [candidate for pair in zip_longest(found, others) for candidate in pair if candidate is not None]
    return list({candidate.architecture: candidate for candidate in both}.values())


def _candidates(plan: Plan, probabilities: Mapping[str, Sequence[float]], progress: Progress) -> list[Candidate]:
    """The most probable architectures, and those of a ladder up to the limit: undecided gates tell little of size."""
    recipe = plan.settings.search
    best = plan.projector.best(probabilities, recipe.candidates, progress)
    ladder = plan.projector.ladder(probabilities, recipe.rungs, progress)
    return list({candidate.architecture: candidate for candidate in (*best, *ladder)}.values())


def _describe(ranked: Ranked) -> dict[str, Any]:
    candidate = ranked.candidate
    return {
        "accuracy": ranked.accuracy,
        "cross_entropy": ranked.cross_entropy,
        "score": candidate.score,
        **candidate.costs.to_json(),
        "architecture": candidate.architecture.to_json(),
    }
