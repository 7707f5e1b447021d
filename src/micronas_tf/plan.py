"""What follows from a data set and its settings before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from micronas_tf.boards import Board, load_board
from micronas_tf.cost import LatencySource, NetworkCosts, network_costs
from micronas_tf.datasets import Dataset, Windows, split
from micronas_tf.errors import DataError
from micronas_tf.estimation import latency_source, mean_error
from micronas_tf.ops import Network
from micronas_tf.quantize import FINE_TUNING
from micronas_tf.search import STATISTICS_BATCHES, Projector, SpaceFigures, tabulate_figures
from micronas_tf.settings import Settings
from micronas_tf.space import build_space
from micronas_tf.training import TrainingRecipe

ALPHA_FRACTION: Final = 0.3
"""Share of the training windows that train the logits during the search."""


@dataclass(frozen=True)
class Plan:
    """A dataset and its settings, with what follows from them before anything is trained.

    Attributes:
        weight_windows, alpha_windows: the training part once more divided: who trains the weights of a search, and who
            compares its architectures.
    """

    dataset: Dataset
    settings: Settings
    board: Board
    source: LatencySource
    figures: SpaceFigures
    projector: Projector
    weight_windows: Windows
    alpha_windows: Windows

    def costs(self, network: Network) -> NetworkCosts:
        return network_costs(network, self.source, self.board)

    def steps(self, network: Network | None = None) -> dict[str, int]:
        """Batches of the stages in full, of one model where there are several.

        Args:
            network: that is trained; before it is known, one that is not trained longer than usual.
        """
        settings, windows = self.settings, len(self.dataset.train)
        training = settings.training if network is None else settings.training.for_network(network)
        quantising = {"ptq": 0, "qat": FINE_TUNING.steps, "qat-scratch": training.batches(windows)}
        testing = len(self.dataset.test) // training.batch_size_for(windows)
        return {
            "ranking": (settings.search.candidates + settings.search.rungs) * STATISTICS_BATCHES,
            "trials": round(np.mean(self.trial_steps(settings.search.trials) or [0])),
            "training": training.steps(windows),
            "quantising": quantising[settings.quantisation],
            "verifying": testing,
            "reporting": 0 if settings.quantisation == "ptq" else testing,
        }

    def trial_rounds(self) -> list[tuple[int, TrainingRecipe]]:
        """How many models each round of the trials trains, and how."""
        settings = self.settings
        return [(count, settings.training.shortened(share)) for count, share in settings.search.halving()]

    def trial_steps(self, candidates: int) -> list[int]:
        """Batches of each model that is trained to compare so many architectures."""
        rounds = self.trial_rounds()
        return [
            recipe.steps(len(self.weight_windows)) for count, recipe in rounds for _ in range(min(count, candidates))
        ]

    def repeats(self) -> dict[str, int]:
        """How many models go through a stage at most, where this is not one."""
        models = self.settings.pareto.points if self.settings.pareto else 1
        each = dict.fromkeys(("training", "quantising", "verifying", "reporting"), models)
        return {"trials": len(self.trial_steps(self.settings.search.trials)), **each}


def make_plan(dataset: Dataset, settings: Settings) -> Plan:
    """Look up the board and its latency source, build the space, and refuse an impossible budget.

    Raises:
        BoardError, CostError, SpaceError: unknown board, no latency source, no space for these windows.
        DataError: too few windows, or people, to divide the training part for the search.
        BudgetError: no architecture fits.
    """
    board = load_board(settings.board)
    source = latency_source(settings.latency_source, board, settings.runtime)
    train_part = dataset.train
    space = build_space(train_part.window, train_part.sensors, train_part.n_classes, settings.space)
    figures = tabulate_figures(space, board, settings.budget, source)
    margin = mean_error(space, source) if settings.margin is None else settings.margin
    projector = Projector(figures, lambda network: network_costs(network, source, board), margin)
    projector.check()
    return Plan(dataset, settings, board, source, figures, projector, *_divided(train_part, settings.seed))


def _divided(train: Windows, seed: int) -> tuple[Windows, Windows]:
    try:
        return split(train, ALPHA_FRACTION, seed=seed)
    except DataError as error:
        raise DataError(f"The training part is divided once more, for the search: {error}") from error
