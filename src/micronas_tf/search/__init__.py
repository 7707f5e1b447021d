"""Finding an architecture: differentiable search, projection onto the budget, checkpoints."""

from micronas_tf.search.dnas import SearchRecipe, expected_costs, search
from micronas_tf.search.figures import SpaceFigures, tabulate_figures
from micronas_tf.search.project import Candidate, Least, Projector
from micronas_tf.search.rank import Ranked, rank

__all__ = [
    "Candidate",
    "Least",
    "Projector",
    "Ranked",
    "SearchRecipe",
    "SpaceFigures",
    "expected_costs",
    "rank",
    "search",
    "tabulate_figures",
]
