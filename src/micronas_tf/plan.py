"""What follows from a data set and its settings before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from micronas_tf.boards import Board, load_board
from micronas_tf.cost import LatencySource, NetworkCosts, network_costs
from micronas_tf.datasets import Dataset, Partition, Windows, partition
from micronas_tf.errors import DataError
from micronas_tf.estimation import latency_source, mean_error
from micronas_tf.ops import Network
from micronas_tf.quantize import FINE_TUNING
from micronas_tf.search import (
    STATISTICS_BATCHES,
    HalvingRound,
    Projector,
    SearchRecipe,
    SpaceFigures,
    halving_steps,
    tabulate_figures,
)
from micronas_tf.settings import Settings
from micronas_tf.space import build_space

ALPHA_FRACTION: Final = 0.3
"""Share of the training windows that train the logits during the search."""


@dataclass(frozen=True)
class Plan:
    """A dataset and its settings, with what follows from them before anything is trained.

    Attributes:
        weight_windows, alpha_windows: the training part once more divided: who trains the weights of a search, and who
            compares its architectures.
        search: the settings' recipe, as these windows take it.
        notes: sentences for people, on that division.
    """

    dataset: Dataset
    settings: Settings
    board: Board
    source: LatencySource
    figures: SpaceFigures
    projector: Projector
    weight_windows: Windows
    alpha_windows: Windows
    search: SearchRecipe
    notes: tuple[str, ...]

    def costs(self, network: Network) -> NetworkCosts:
        return network_costs(network, self.source, self.board)

    def steps(self, network: Network | None = None) -> dict[str, int]:
        """Batches of the stages in full, of one model where there are several.

        Args:
            network: that is trained; before it is known, one that is not trained longer than usual.
        """
        settings, search, windows = self.settings, self.search, len(self.dataset.train)
        training = settings.training if network is None else settings.training.for_network(network)
        quantising = {"ptq": 0, "qat": FINE_TUNING.steps, "qat-scratch": training.batches(windows)}
        testing = len(self.dataset.test) // training.batch_size_for(windows)
        return {
            "ranking": (search.candidates + search.rungs) * STATISTICS_BATCHES,
            "trials": round(np.mean(self.trial_steps(search.trials) or [0])),
            "training": training.steps(windows),
            "quantising": quantising[settings.quantisation],
            "verifying": testing,
            "reporting": 0 if settings.quantisation == "ptq" else testing,
        }

    def trial_rounds(self) -> list[HalvingRound]:
        """How many models each round of the trials trains, and how."""
        return [HalvingRound(count, self.settings.training.shortened(share)) for count, share in self.search.halving()]

    def trial_steps(self, candidates: int) -> list[int]:
        """Batches of each model that is trained to compare so many architectures."""
        return halving_steps(self.trial_rounds(), candidates, len(self.weight_windows))

    def repeats(self) -> dict[str, int]:
        """How many models go through a stage at most, where this is not one."""
        models = self.settings.pareto.points if self.settings.pareto else 1
        each = dict.fromkeys(("training", "quantising", "verifying", "reporting"), models)
        return {"trials": len(self.trial_steps(self.search.trials)), **each}


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
    parts = _divided(train_part, settings.seed)
    weight_windows, alpha_windows = (train_part.subset(rows) for rows in (parts.larger, parts.smaller))
    timed = settings.time_budget_s is not None
    search = settings.search.comparing_on(len(alpha_windows), time_is_limited=timed)
    notes = _notes(parts)
    return Plan(dataset, settings, board, source, figures, projector, weight_windows, alpha_windows, search, notes)


def division_notes(train: Windows, seed: int) -> tuple[str, ...]:
    """What a search should know of how its training part is divided once more: a sentence, or nothing.

    Raises:
        DataError: it cannot be divided.
    """
    return _notes(_divided(train, seed))


def _notes(parts: Partition) -> tuple[str, ...]:
    return (f"The training part, divided once more for the search: {parts.note}",) if parts.note else ()


def _divided(train: Windows, seed: int) -> Partition:
    try:
        return partition(train, ALPHA_FRACTION, seed=seed)
    except DataError as error:
        raise DataError(f"The training part is divided once more, for the search: {error}") from error
