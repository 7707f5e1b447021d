"""Does the projection keep every budget of a grid, or refuse it rightly, and how long does a solution take?

    python benchmarks/projection.py

For each board and window shape: the least figures of the space, each reached by an architecture, refused one step
below; then budgets in multiples of them, under undecided, trained-looking and uniform probabilities. Costs are
computed again from the architecture, by lowering it. Times are of the processor: of one answer, with all tables of the
space; of a ladder of latencies, which has a limit from below on five of its six rungs; and of one refusal, with its
least figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import ceil

import click
import numpy as np

from micronas_tf.boards import Board, Budget, MemoryFigure, load_board
from micronas_tf.cost import LatencySource, default_source, network_costs
from micronas_tf.errors import BudgetError
from micronas_tf.search import Candidate, Projector, SearchRecipe, tabulate_figures
from micronas_tf.space import SearchSpace, build_space, lower

BOARDS = ("nucleo_f446re", "nucleo_l552ze_q", "nicla_sense_me")
SHAPES = {"128x9": (128, 9, 6), "64x30": (64, 30, 11), "51x24": (51, 24, 6)}
LATENCIES, MEMORIES, FLASHES = (1.3, 3.0, None), (1.3, 2.5), (1.5, 4.0)
"""In multiples of the least achievable; None is no limit."""

GATES = {"trained": 0.3, "undecided": 1e4, "uniform": np.inf}
"""Concentrations of the Dirichlet distribution that each group's probabilities are drawn from."""


@dataclass(frozen=True)
class Setting:
    """One space on one board."""

    space: SearchSpace
    board: Board
    source: LatencySource

    @classmethod
    def of(cls, shape: str, board: str) -> Setting:
        return cls(build_space(*SHAPES[shape]), load_board(board), default_source(board))

    def projector(self, budget: Budget) -> Projector:
        figures = tabulate_figures(self.space, self.board, budget, self.source)
        return Projector(figures, lambda network: network_costs(network, self.source, self.board))

    def probabilities(self, gates: str, seed: int) -> dict[str, list[float]]:
        rng, concentration = np.random.default_rng(seed), GATES[gates]
        if np.isinf(concentration):
            return {group.name: [1 / len(group)] * len(group) for group in self.space.groups}
        return {g.name: rng.dirichlet(np.full(len(g), concentration)).tolist() for g in self.space.groups}

    def keeps(self, candidate: Candidate, budget: Budget) -> bool:
        """Whether the architecture, lowered and costed anew, is within budget."""
        costs = network_costs(lower(self.space, candidate.architecture), self.source, self.board)
        return not costs.excess(budget)

    def refuses(self, budget: Budget, figure: str) -> bool:
        """Whether the budget is refused and the refusal names this figure."""
        try:
            self.projector(budget).check()
        except BudgetError as error:
            return figure in str(error)
        return False


def least_budgets(setting: Setting, figure: MemoryFigure) -> Budget:
    """The least figures, each reached: checked by lowering the architecture that reaches it."""
    least = setting.projector(Budget(memory_figure=figure)).least()
    reached = [
        network_costs(lower(setting.space, one.architecture), setting.source, setting.board)
        for one in (least.latency, least.memory, least.flash)
    ]
    budget = Budget(least.latency_ms, least.memory_bytes, least.flash_bytes, figure)
    figures = (reached[0].latency.latency_ms, reached[1].memory_bytes(figure), reached[2].flash_bytes)
    if figures != (budget.latency_ms, budget.memory_bytes, budget.flash_bytes):
        raise SystemExit(f"The least figures {budget} are not those of their architectures: {figures}.")
    return budget


def refusals(setting: Setting, least: Budget) -> tuple[list[bool], float]:
    """Each limit alone, just below the least, must be refused with the least; at the least it must not be.

    Returns:
        Whether each was right, and seconds of the processor that a refusal took.
    """
    latency, memory, flash = least.latency_ms or 0.0, least.memory_bytes or 0, least.flash_bytes or 0
    nothing = Budget(memory_figure=least.memory_figure)
    below = [
        (replace(nothing, latency_ms=latency * (1 - 1e-6)), f"(least achievable: {ceil(100 * latency) / 100:.2f} ms)"),
        (replace(nothing, memory_bytes=memory - 1), f"(least achievable: {memory:,} B)"),
        (replace(nothing, flash_bytes=flash - 1), f"(least achievable: {flash:,} B)"),
    ]
    at = (
        replace(nothing, latency_ms=latency),
        replace(nothing, memory_bytes=memory),
        replace(nothing, flash_bytes=flash),
    )
    began = time.process_time()
    refused = [setting.refuses(budget, figure) for budget, figure in below]
    seconds = (time.process_time() - began) / len(below)
    return refused + [not setting.refuses(budget, "") for budget in at], seconds


def budgets(least: Budget) -> Iterator[Budget]:
    """The grid of one space on one board."""
    latency, memory, flash = least.latency_ms or 0.0, least.memory_bytes or 0, least.flash_bytes or 0
    for times, more, larger in product(LATENCIES, MEMORIES, FLASHES):
        limit = None if times is None else latency * times
        yield Budget(limit, int(memory * more), int(flash * larger), least.memory_figure)


def answer(setting: Setting, budget: Budget, gates: str, seed: int) -> tuple[str, float]:
    """`kept`, `refused` or `broken`, and seconds of the processor."""
    probabilities = setting.probabilities(gates, seed)
    began = time.process_time()
    try:
        (candidate,) = setting.projector(budget).best(probabilities)
    except BudgetError as error:
        # The limits are all above their least: they can only exclude each other.
        return ("refused" if "the limits together" in str(error) else "broken"), time.process_time() - began
    seconds = time.process_time() - began
    return ("kept" if setting.keeps(candidate, budget) else "broken"), seconds


def climb(setting: Setting, budget: Budget, gates: str, seed: int) -> tuple[str, float]:
    """The same of the ladder of latencies that a search ends with."""
    probabilities = setting.probabilities(gates, seed)
    began = time.process_time()
    found = setting.projector(budget).ladder(probabilities, SearchRecipe().rungs)
    seconds = time.process_time() - began
    return ("kept" if all(setting.keeps(candidate, budget) for candidate in found) else "broken"), seconds


@click.command()
@click.option("--shape", "shapes", multiple=True, type=click.Choice([*SHAPES]), help="Default: all three.")
@click.option("--board", "boards", multiple=True, type=click.Choice(BOARDS), help="Default: all three.")
def main(shapes: tuple[str, ...], boards: tuple[str, ...]) -> None:
    """Print one line of JSON for each space; fail if a promise is broken."""
    broken = False
    for shape in shapes or SHAPES:
        outcomes, seconds, climbs, climb_seconds, refused, refusal_seconds = [], [], [], [], [], []
        for number, board in enumerate(boards or BOARDS):
            setting = Setting.of(shape, board)
            least = least_budgets(setting, "peak" if number == 1 else "arena")
            right, taken = refusals(setting, least)
            refused += right
            refusal_seconds.append(taken)
            for seed, (budget, gates) in enumerate(zip(budgets(least), [*GATES] * 4, strict=True)):
                outcome, taken = answer(setting, budget, gates, seed)
                outcomes.append(outcome)
                seconds.append(taken)
                if outcome == "kept":
                    outcome, taken = climb(setting, budget, gates, seed)
                    climbs.append(outcome)
                    climb_seconds.append(taken)
        broken |= "broken" in (*outcomes, *climbs) or not all(refused)
        result = {
            "space": shape,
            "budgets": len(outcomes),
            **{name: outcomes.count(name) for name in ("kept", "refused", "broken")},
            "least_figures_confirmed": f"{sum(refused)} of {len(refused)}",
            "median_s": round(float(np.median(seconds)), 3),
            "slowest_s": round(max(seconds), 3),
            "ladder_median_s": round(float(np.median(climb_seconds)), 3),
            "ladder_slowest_s": round(max(climb_seconds), 3),
            "refusal_s": round(float(np.mean(refusal_seconds)), 3),
        }
        click.echo(json.dumps(result))
    raise SystemExit(int(broken))


if __name__ == "__main__":
    main()
