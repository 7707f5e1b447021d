"""A search space of other numbers than the paper's: what it can do, what is refused, and a search in it.

    python -m examples.custom_space                # the figures, and a search
    python -m examples.custom_space --no-search    # the figures only: seconds

A smaller space is searched faster and has a faster network in it, or a network with less memory; a larger one can be
more accurate. `SpaceConfig` has every number, and its documentation says what each means.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from examples import motion
from micronas_tf import MicroNAS
from micronas_tf.boards import Board, Budget, load_board
from micronas_tf.cost import LatencySource, NetworkCosts, network_costs
from micronas_tf.errors import MicronasError
from micronas_tf.estimation import latency_source
from micronas_tf.search import Projector, tabulate_figures
from micronas_tf.space import SearchSpace, SpaceConfig, build_space, canonical, largest, lower, valid_size

WINDOW, SENSORS, CLASSES = 64, len(motion.CHANNELS), len(motion.ACTIVITIES)

SPACES = {
    "the paper's": SpaceConfig(),
    "narrow": SpaceConfig(time_filters_max=8, fusion_filters_max=32),
    "shallow": SpaceConfig(extra_cells=0, fusion_kernels=(3, 5)),
    # With min_time 8 there is one more cell that halves time: what follows has half as much to do.
    "small and fine": SpaceConfig(
        min_time=8,
        time_filters_max=6,
        time_granularity=2,
        fusion_kernels=(3,),
        fusion_filters_max=12,
        fusion_granularity=2,
        extra_cells=1,
    ),
}

REFUSED: tuple[dict[str, int | tuple[int, ...]], ...] = (
    {"fusion_filters_max": 60},  # no multiple of the step between two widths, 8
    {"time_kernels": (3, 4)},  # even: its centre would lie elsewhere than that of 3
    {"fusion_kernels": (5, 3)},  # not ascending
    {"extra_cells": -1},
)


@dataclass(frozen=True)
class Extent:
    """What a space can do on a board.

    Attributes:
        networks: how many different ones.
        least_ms: latency of its fastest network.
        least_bytes: arena of the network that needs least.
        widest: costs of the network with everything that it can have.
    """

    networks: int
    least_ms: float
    least_bytes: int
    widest: NetworkCosts


def space_of(config: SpaceConfig) -> SearchSpace:
    return build_space(WINDOW, SENSORS, CLASSES, config)


def extent(space: SearchSpace, board: Board, source: LatencySource) -> Extent:
    """Nothing is trained for it: costs follow from the operators, and the least ones are found exactly."""
    figures = tabulate_figures(space, board, Budget(), source)
    least = Projector(figures, lambda network: network_costs(network, source, board)).least()
    widest = lower(space, canonical(space, largest(space)))
    return Extent(valid_size(space), least.latency_ms, least.memory_bytes, network_costs(widest, source, board))


def refusals() -> list[str]:
    """What is said to numbers that make no space."""
    said = []
    for numbers in REFUSED:
        try:
            SpaceConfig(**numbers)  # type: ignore[arg-type]
        except MicronasError as error:
            said.append(str(error))
    return said


@click.command()
@click.option("--search/--no-search", default=True, help="Also search in the last space.")
@click.option(
    "--quick", is_flag=True, help="One epoch of everything: a look at the course of things, and a poor model."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/custom_space"), show_default=True)
def main(search: bool, quick: bool, out: Path) -> None:
    """Compare four spaces, then search in one of them."""
    board = load_board("nucleo_f446re")
    source = latency_source("auto", board)
    click.echo(f"{'space':<16}{'networks':>22}{'least':>11}{'widest':>11}{'least arena':>14}{'widest arena':>14}")
    for name, config in SPACES.items():
        found = extent(space_of(config), board, source)
        click.echo(
            f"{name:<16}{found.networks:>22,}{found.least_ms:>8.2f} ms{found.widest.latency.latency_ms:>8.2f} ms"
            f"{found.least_bytes:>12,} B{found.widest.arena_bytes:>12,} B"
        )
    for message in refusals():
        click.echo(f"refused: {message}")
    if not search:
        return

    chosen = SPACES["small and fine"]
    x, labels, person = motion.windows()
    recipe: dict[str, Any] = {"epochs": 1, "quantize": "ptq"} if quick else {}
    result = MicroNAS(board.id, latency_ms=4, memory_kb=4.5, space=chosen, out=out, **recipe).fit(
        x, labels, subject=person, channel_names=motion.CHANNELS, sampling_rate_hz=motion.RATE_HZ
    )
    latency = result.metrics["latency_ms"]["value"]
    click.echo(
        f"{result.metrics['int8']['accuracy']:.1%} in int8, {latency:.2f} ms, {result.metrics['arena_bytes']:,} B"
    )
    click.echo(f"widths: {', '.join(f'{k} {v}' for k, v in result.architecture.items() if k.endswith('width'))}")


if __name__ == "__main__":
    main()
