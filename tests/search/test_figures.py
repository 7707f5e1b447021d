"""The tabulated figures of a space, against the costs of whole networks."""

from __future__ import annotations

import numpy as np
import pytest
from tests.oracles import total

from micronas_tf.boards import Budget, MemoryFigure
from micronas_tf.cost import flash_bytes, load_operator_model, network_latency, peak_memory_bytes
from micronas_tf.search import tabulate_figures
from micronas_tf.space import build_space, lower, random_architecture

from .toys import BOARD, SOURCE, figures_of

SPACE = build_space(64, 9, 5)


@pytest.mark.parametrize("figure", ["arena", "peak"])
def test_sums_over_sites_are_those_of_the_network(figure: MemoryFigure) -> None:
    figures, rng = figures_of(SPACE, Budget(memory_figure=figure)), np.random.default_rng(0)
    for _ in range(20):
        architecture = random_architecture(SPACE, rng)
        network = lower(SPACE, architecture)
        latency = network_latency(network, SOURCE, BOARD).latency_ms
        assert total(SPACE, figures.latency_ms, architecture) == pytest.approx(latency, rel=1e-12)
        assert total(SPACE, figures.flash_bytes, architecture) + figures.flash_base == flash_bytes(network)


def test_the_papers_figure_has_neither_alignment_nor_a_persistent_part() -> None:
    figures, rng = figures_of(SPACE, Budget(memory_figure="peak")), np.random.default_rng(1)
    assert figures.persistent_base == 0
    assert not figures.counts_held
    for _ in range(10):
        architecture = random_architecture(SPACE, rng)
        assert total(SPACE, figures.persistent_bytes, architecture) == 0
        largest = max(
            float(table[tuple(SPACE.group(n).choices.index(architecture[n]) for n in site.width_groups)])
            for site, table in zip(SPACE.sites, figures.working_set, strict=True)
            if site.exists(architecture)
        )
        assert largest == peak_memory_bytes(lower(SPACE, architecture))


def test_operation_counts_are_a_source_too() -> None:
    source = load_operator_model("nucleo_f446re").operation_count()
    figures = tabulate_figures(SPACE, BOARD, Budget(), source)
    architecture = random_architecture(SPACE, np.random.default_rng(2))
    expected = network_latency(lower(SPACE, architecture), source, BOARD).latency_ms
    assert total(SPACE, figures.latency_ms, architecture) == pytest.approx(expected, rel=1e-12)
