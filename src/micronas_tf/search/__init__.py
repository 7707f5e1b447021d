"""Finding an architecture: differentiable search, projection onto the budget, checkpoints."""

from micronas_tf.search.dnas import SearchRecipe, Strategy, expected_costs, load_supernet, search
from micronas_tf.search.figures import SpaceFigures, tabulate_figures
from micronas_tf.search.pool import PoolRanking, most_varied, read_pool
from micronas_tf.search.project import Candidate, Least, Projector
from micronas_tf.search.rank import STATISTICS_BATCHES, Ranked, rank
from micronas_tf.search.trials import (
    HalvingRound,
    draw,
    halving_steps,
    random_search,
    successive_halving,
    train_and_rank,
)

__all__ = [
    "STATISTICS_BATCHES",
    "Candidate",
    "HalvingRound",
    "Least",
    "PoolRanking",
    "Projector",
    "Ranked",
    "SearchRecipe",
    "SpaceFigures",
    "Strategy",
    "draw",
    "expected_costs",
    "halving_steps",
    "load_supernet",
    "most_varied",
    "random_search",
    "rank",
    "read_pool",
    "search",
    "successive_halving",
    "tabulate_figures",
    "train_and_rank",
]
