"""What a space's arcs say along a path, against the costs of the whole network."""

from __future__ import annotations

import numpy as np
import pytest

from micronas_tf.boards import Budget, MemoryFigure
from micronas_tf.cost import network_costs
from micronas_tf.search.arcs import Arcs
from micronas_tf.search.odds import log_odds, score
from micronas_tf.search.trellis import Path
from micronas_tf.space import SearchSpace, build_space, canonical, lower

from .toys import BOARD, SOURCE, SPACES, figures_of

LARGE = {"128×9": build_space(128, 9, 6), "64×30": build_space(64, 30, 11), "51×24": build_space(51, 24, 6)}
over_spaces = pytest.mark.parametrize("space", [*SPACES.values(), *LARGE.values()], ids=[*SPACES, *LARGE])


def random_paths(arcs: Arcs, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    return [tuple(int(rng.integers(len(stage.choices))) for stage in arcs.stages) for _ in range(count)]


@over_spaces
@pytest.mark.parametrize("figure", ["arena", "peak"])
def test_costs_along_a_path_are_those_of_the_network(space: SearchSpace, figure: MemoryFigure) -> None:
    arcs = Arcs(figures_of(space, Budget(memory_figure=figure)))
    limited = arcs.within(Budget(1e9, 10**9, 10**9, figure), arcs.nothing)
    assert limited.peaks is not None
    for path in random_paths(arcs, 25):
        architecture = arcs.architecture(path)
        assert architecture == canonical(space, architecture)
        costs = network_costs(lower(space, architecture), SOURCE, BOARD)
        memory, latency, flash = limited.resources
        used = [arcs.trellis.total(resource.amounts, path) for resource in limited.resources]
        peak = peak_along(arcs, path)
        assert latency.limit - used[1] == pytest.approx(1e9 - costs.latency.latency_ms, rel=1e-12)
        assert flash.limit - used[2] == 10**9 - costs.flash_bytes
        left = memory.limit - used[0] - peak
        if figure == "peak":
            assert left == 10**9 - costs.peak_memory_bytes
        else:
            # The plan may leave gaps, which the working sets do not know.
            assert left >= 10**9 - costs.arena_bytes


def peak_along(arcs: Arcs, path: Path) -> float:
    state, peak = 0, 0.0
    for stage, working_set, choice in zip(arcs.stages, arcs.working_set, path, strict=True):
        peak = max(peak, float(working_set[state, choice]))
        state = stage.after[state, choice]
    return peak


@over_spaces
def test_scores_along_a_path_are_those_of_the_architecture(space: SearchSpace) -> None:
    arcs, rng = Arcs(figures_of(space)), np.random.default_rng(1)
    odds = log_odds({group.name: rng.dirichlet(np.ones(len(group))).tolist() for group in space.groups})
    for path in random_paths(arcs, 25):
        expected = score(space, odds, arcs.architecture(path))
        assert arcs.trellis.total(arcs.scores(odds), path) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("space", LARGE.values(), ids=LARGE)
def test_a_state_is_the_width_that_the_next_cell_reads(space: SearchSpace) -> None:
    config = space.config
    widths = (len(config.time_widths), len(config.fusion_widths))
    assert {len(stage.states) for stage in Arcs(figures_of(space)).stages} == {1, *widths}
