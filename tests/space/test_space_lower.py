"""Lowering and the site table, against an imperative reference written from DESIGN, section 3."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import ceil, log2, prod
from typing import NamedTuple

import numpy as np
import pytest

from micronas_tf.architecture import Architecture
from micronas_tf.cost.macs import network_macs
from micronas_tf.errors import SpaceError
from micronas_tf.ops import Network, Shape
from micronas_tf.space import (
    SearchSpace,
    Site,
    SpaceConfig,
    build_space,
    canonical,
    check,
    is_valid,
    largest,
    live_groups,
    lower,
    random_architecture,
)
from micronas_tf.space.table import tensor_shape

# UCI-HAR, SkodaR, NATOPS, and a single sensor with an odd window; 50 architectures each are 200.
SHAPES = [(128, 9, 6), (64, 30, 11), (51, 24, 6), (17, 1, 2)]
DRAWS = 50
UNUSUAL = SpaceConfig(
    min_time=3,
    min_sensors=1,
    time_kernels=(3, 9),
    time_filters_max=10,
    time_granularity=5,
    fusion_kernels=(3, 11),
    fusion_filters_max=10,
    fusion_granularity=5,
    extra_cells=1,
)

over_shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def space_of(shape: tuple[int, int, int], config: SpaceConfig | None = None) -> SearchSpace:
    return build_space(*shape, config)


def draws(space: SearchSpace, count: int = DRAWS, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [random_architecture(space, rng) for _ in range(count)]


class Step(NamedTuple):
    """What the reference says of one operator."""

    kind: str
    reads: tuple[int, ...]
    inputs: tuple[Shape, ...]
    output: Shape
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    activation: str = "linear"


class Reference:
    """The network of an architecture, built operator by operator; no table, no literals."""

    def __init__(
        self, shape: tuple[int, int, int], choices: Mapping[str, int], config: SpaceConfig | None = None
    ) -> None:
        self.config = config or SpaceConfig()
        self.choices = choices
        self.steps: list[Step] = []
        self.tensors: list[Shape] = [(shape[0], shape[1], 1)]
        self.macs = 0
        self.build(classes=shape[2])

    def build(self, classes: int) -> None:
        here = 0
        for cell in range(self.depth(self.tensors[0][0], self.config.min_time)):
            taps, filters = self.choices[f"time{cell}.kernel"], self.choices[f"time{cell}.width"]
            here = self.conv(here, filters, (taps, 1), (2, 1))
        for block in range(self.depth(self.tensors[0][1], self.config.min_sensors)):
            for cell in range(self.config.extra_cells + 1):
                here = self.fusion(here, f"fusion{block}.{cell}", first=cell == 0)
        here = self.conv(here, classes, (1, 1), (1, 1), "linear")
        here = self.emit(Step("mean", (here,), (self.tensors[here],), (1, 1, classes)))
        self.emit(Step("softmax", (here,), ((1, 1, classes),), (1, 1, classes)))

    def fusion(self, source: int, name: str, first: bool) -> int:
        if self.choices.get(f"{name}.identity") == 1:
            return source
        sensors = self.tensors[source][1]
        stride = 2 if first and sensors > 1 else 1
        filters = self.choices[f"{name}.width"]
        total: int | None = None
        if self.choices[f"{name}.skip"]:
            total = self.conv(source, filters, (1, stride), (1, stride))
        lengths = [length for length in self.config.fusion_kernels if self.choices[f"{name}.conv{length}"]]
        if lengths:
            bottleneck = self.conv(source, self.choices[f"{name}.bottleneck"], (1, sensors), (1, stride))
            for length in lengths:
                branch = self.conv(bottleneck, filters, (length, 1), (1, 1))
                total = branch if total is None else self.add(total, branch)
        assert total is not None
        return total

    def conv(
        self, source: int, filters: int, kernel: tuple[int, int], strides: tuple[int, int], activation: str = "relu"
    ) -> int:
        time, sensors, before = self.tensors[source]
        output = (ceil(time / strides[0]), ceil(sensors / strides[1]), filters)
        for _ in range(output[0] * output[1]):  # every output position
            self.macs += kernel[0] * kernel[1] * before * filters
        return self.emit(Step("conv2d", (source,), (self.tensors[source],), output, kernel, strides, activation))

    def add(self, one: int, other: int) -> int:
        shapes = (self.tensors[one], self.tensors[other])
        return self.emit(Step("add", (one, other), shapes, shapes[0]))

    def emit(self, step: Step) -> int:
        self.steps.append(step)
        self.tensors.append(step.output)
        return len(self.tensors) - 1

    @staticmethod
    def depth(extent: int, least: int) -> int:
        """The largest n with ceil(extent / 2^n) ≥ least that still halves something; at least 1."""
        useful = [n for n in range(1, ceil(log2(extent)) + 1) if ceil(extent / 2**n) >= least]
        return max(useful, default=1)


def steps(network: Network) -> list[Step]:
    return [
        Step(op.kind, node.inputs, op.inputs, op.output, op.kernel, op.strides, op.activation)
        for node in network.nodes
        for op in [node.op]
    ]


@over_shapes
def test_lowering_is_that_of_the_reference(shape: tuple[int, int, int]) -> None:
    space = space_of(shape)
    for architecture in [largest(space), *draws(space)]:
        network, reference = lower(space, architecture), Reference(shape, architecture)
        assert steps(network) == reference.steps
        assert {node.op.padding for node in network.nodes} == {"same"}
        assert network_macs(network) == reference.macs


@pytest.mark.parametrize("shape", [(24, 1, 3), (7, 3, 2), (2, 1, 2), (20, 6, 4)], ids=str)
def test_lowering_with_other_numbers(shape: tuple[int, int, int]) -> None:
    """Equal width lists: with one sensor even the first cell may be skipped, and the output reads the time cell."""
    space = space_of(shape, UNUSUAL)
    for architecture in [largest(space), *draws(space)]:
        reference = Reference(shape, architecture, UNUSUAL)
        assert steps(lower(space, architecture)) == reference.steps
        assert network_macs(lower(space, architecture)) == reference.macs


def test_a_network_by_hand() -> None:
    """24×3 windows: conv; skip conv and one branch summed; the two optional cells skipped."""
    space = build_space(24, 3, 4)
    names = [group.name for group in space.groups]
    cell = ["bottleneck", "width", "skip", "conv3", "conv5", "conv7"]
    assert names[:8] == ["time0.kernel", "time0.width", *(f"fusion0.0.{part}" for part in cell)]
    choices = dict.fromkeys(names, 0) | {"fusion0.1.identity": 1, "fusion0.2.identity": 1}
    choices |= {name: 8 for name in names if name.endswith(("bottleneck", "width"))}
    choices |= {"time0.kernel": 5, "fusion0.0.skip": 1, "fusion0.0.conv5": 1, "fusion0.0.bottleneck": 16}
    network = lower(space, choices)
    assert [(node.name, str(node.op), node.inputs) for node in network.nodes] == [
        ("time0/conv", "conv2d (24,3,1)->(12,3,8) k(5,1) s(2,1) same relu", (0,)),
        ("fusion0.0/skip", "conv2d (12,3,8)->(12,2,8) k(1,2) s(1,2) same relu", (1,)),
        ("fusion0.0/bottleneck", "conv2d (12,3,8)->(12,2,16) k(1,3) s(1,2) same relu", (1,)),
        ("fusion0.0/conv5", "conv2d (12,2,16)->(12,2,8) k(5,1) s(1,1) same relu", (3,)),
        ("fusion0.0/conv5_add", "add (12,2,8)+(12,2,8)->(12,2,8)", (2, 4)),
        ("output/conv", "conv2d (12,2,8)->(12,2,4) k(1,1) s(1,1) same linear", (5,)),
        ("output/mean", "mean (12,2,4)->(1,1,4)", (6,)),
        ("output/softmax", "softmax (1,1,4)->(1,1,4)", (7,)),
    ]
    # 12·3·8·5 + 12·2·8·2·8 + 12·2·16·3·8 + 12·2·8·5·16 + 12·2·4·8
    assert network_macs(network) == 1_440 + 3_072 + 9_216 + 15_360 + 768


def test_rows_of_the_table() -> None:
    """DESIGN counts 55 and 103 rows without mean and softmax."""
    for shape, rows in [((128, 9, 6), 55), ((64, 30, 6), 103)]:
        sites = space_of(shape).sites
        assert len(sites) == rows + 2
        assert [site.kind for site in sites if site.kind not in ("conv2d", "add")] == ["mean", "softmax"]


def test_distinct_operators_of_uci_har() -> None:
    operators = build_space(128, 9, 6).operators()
    assert len(operators) == 510
    # By hand, (in, out) pairs of widths: time 3·4, 3·4·4 twice; fusion 0.0: skip 4·8, bottleneck 4·8,
    # 3 convs 8·8, add 8; cells 0.1 and 0.2 share skip and bottleneck 8·8 each, while their convs and adds
    # are those of 0.0; output 8, mean and softmax.
    assert 12 + 2 * 48 + (32 + 32 + 3 * 64 + 8) + (64 + 64) + 8 + 2 == 510


@over_shapes
def test_operators_hold_every_operator_of_every_architecture(shape: tuple[int, int, int]) -> None:
    space = space_of(shape)
    operators = space.operators()
    assert list(operators) == sorted(set(operators))
    assert {node.op for a in draws(space) for node in lower(space, a).nodes} <= set(operators)


@over_shapes
@pytest.mark.parametrize("config", [None, UNUSUAL], ids=["paper", "unusual"])
def test_rows_of_one_name_exclude_each_other(shape: tuple[int, int, int], config: SpaceConfig | None) -> None:
    """For any architecture: two rows of a name ask one group for different choices."""
    alternatives: dict[str, list[Site]] = {}
    for site in space_of(shape, config).sites:
        alternatives.setdefault(site.name, []).append(site)
    for sites in alternatives.values():
        for one, other in combinations(sites, 2):
            asked = dict(one.when)
            assert any(asked.get(group, value) != value for group, value in other.when), (one, other)


@over_shapes
def test_rows_speak_of_the_spaces_groups_and_choices(shape: tuple[int, int, int]) -> None:
    space = space_of(shape)
    assert [name for cell in space.cells for name in cell] == [group.name for group in space.groups]
    for site in space.sites:
        assert len(dict(site.when)) == len(site.when)  # no group twice in a conjunction
        literals = [*site.when, *(literal for held in site.holds for literal in held.any_of)]
        assert all(literal.value in space.group(literal.group).choices for literal in literals)
        assert all(space.group(name).kind == "width" for name in site.width_groups)
        assert len(list(space.site_choices(site))) == prod(len(space.group(name)) for name in site.width_groups)
        assert len(site.reads) == len(site.inputs)


def live_tensors(network: Network) -> list[list[Shape]]:
    """Oracle: for each operator, the tensors between their first write and their last read."""
    last_read = {tensor: index for index, node in enumerate(network.nodes) for tensor in node.inputs}
    last_read[len(network.nodes)] = len(network.nodes)  # the result is kept
    assert sorted(last_read) == list(range(len(network.tensors)))  # nothing is written in vain
    return [
        sorted(s for tensor, s in enumerate(network.tensors) if tensor - 1 <= index <= last_read[tensor])
        for index in range(len(network.nodes))
    ]


@over_shapes
@pytest.mark.parametrize("config", [None, UNUSUAL], ids=["paper", "unusual"])
def test_holds_complete_the_live_set_exactly(shape: tuple[int, int, int], config: SpaceConfig | None) -> None:
    space = space_of(shape, config)
    for architecture in [largest(space), *draws(space)]:
        network = lower(space, architecture)
        for node, live in zip(network.nodes, live_tensors(network), strict=True):
            (site,) = (s for s in space.sites if s.name == node.name and s.exists(architecture))
            held = [
                tensor_shape(tensor.extent, tensor.width, architecture)
                for tensor in site.holds
                if any(architecture[literal.group] == literal.value for literal in tensor.any_of)
            ]
            assert sorted([*node.op.inputs, node.op.output, *held]) == live, node.name


def deciding(choices: Mapping[str, int]) -> set[str]:
    """Oracle: the groups that matter. A skipped cell has its identity only; a bottleneck needs a conv behind it."""
    live = set()
    for name in choices:
        cell, part = name.rsplit(".", 1)
        skipped = choices.get(f"{cell}.identity") == 1
        convs = [value for other, value in choices.items() if other.startswith(f"{cell}.conv")]
        if (part == "identity" or not skipped) and (part != "bottleneck" or any(convs)):
            live.add(name)
    return live


def raw_draw(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Any choices at all, valid or not, dead groups anyhow."""
    return Architecture({group.name: int(rng.choice(group.choices)) for group in space.groups})


@over_shapes
def test_live_groups_change_the_network_and_dead_ones_do_not(shape: tuple[int, int, int]) -> None:
    space, rng = space_of(shape), np.random.default_rng(1)
    dead_seen = 0
    for architecture in (a for a in (raw_draw(space, rng) for _ in range(DRAWS)) if is_valid(space, a)):
        network, live = lower(space, architecture), live_groups(space, architecture)
        assert live == deciding(architecture)
        for group in space.groups:
            others = [value for value in group.choices if value != architecture[group.name]]
            changed = Architecture({**architecture, group.name: int(rng.choice(others))})
            if not is_valid(space, changed):
                assert group.name in live  # the last branch of a cell went off
                continue
            assert (lower(space, changed) != network) == (group.name in live), group.name
        dead_seen += len(space.groups) - len(live)
    assert dead_seen > DRAWS  # the draws do exercise dead groups


@over_shapes
def test_canonical_keeps_the_network(shape: tuple[int, int, int]) -> None:
    space, rng = space_of(shape), np.random.default_rng(2)
    for architecture in (a for a in (raw_draw(space, rng) for _ in range(DRAWS)) if is_valid(space, a)):
        plain = canonical(space, architecture)
        assert lower(space, plain) == lower(space, architecture)
        assert canonical(space, plain) == plain
        live = deciding(architecture)
        assert dict(plain) == {g.name: architecture[g.name] if g.name in live else g.choices[0] for g in space.groups}


@over_shapes
def test_random_architectures_repeat_and_are_canonical(shape: tuple[int, int, int]) -> None:
    space = space_of(shape)
    drawn = draws(space)
    assert drawn == draws(space)
    assert drawn != draws(space, seed=1)
    assert len(set(drawn)) == DRAWS  # of billions: a repeat would be a broken draw
    for architecture in drawn:
        check(space, architecture)
        assert is_valid(space, architecture)
        assert canonical(space, architecture) == architecture
        assert list(architecture) == [group.name for group in space.groups]


def test_random_architectures_reach_every_choice_evenly() -> None:
    space = build_space(24, 6, 3)
    drawn = draws(space, 600)
    # 600 fair draws of 4 widths: 150 ± 10.6 (binomial); 5 standard deviations, with a fixed seed.
    for width in (4, 8, 12, 16):
        assert sum(a["time0.width"] == width for a in drawn) == pytest.approx(150, abs=53)
    # Of the 31 valid settings of an optional cell's five switches (2 · 16 − 1), 16 skip it.
    skipped = sum(a["fusion0.1.identity"] for a in drawn)
    assert skipped == pytest.approx(600 * 16 / 31, abs=5 * (600 * 0.25) ** 0.5)


def test_largest_takes_every_branch() -> None:
    space = build_space(128, 9, 6)
    network = lower(space, largest(space))
    # 3 time convs; a cell: bottleneck, skip, 3 convs, 3 adds; output conv, mean, softmax.
    assert len(network.nodes) == 3 + 3 * 8 + 3
    assert network_macs(network) >= max(network_macs(lower(space, a)) for a in draws(space))


@over_shapes
def test_a_cell_without_a_branch_is_refused_by_name(shape: tuple[int, int, int]) -> None:
    space = space_of(shape)
    fusion = [cell for cell in space.cells if cell[0].startswith("fusion")]
    for cell in fusion:
        switches = {name: 0 for name in cell if space.group(name).kind in ("switch", "identity")}
        wrong = {**largest(space), **switches}
        assert not is_valid(space, wrong)
        with pytest.raises(SpaceError, match="branch") as caught:
            lower(space, wrong)
        mentioned = {name for name in space.group_by_name if name in str(caught.value)}
        assert mentioned == set(switches)
        for name in switches:
            assert is_valid(space, {**wrong, name: 1})


def test_architectures_of_another_space_are_refused() -> None:
    space = build_space(128, 9, 6)
    good = dict(largest(space))
    missing = {name: value for name, value in good.items() if name != "time2.width"}
    with pytest.raises(SpaceError, match=r"Missing: \['time2.width'\]; unknown: \[\]"):
        lower(space, missing)
    with pytest.raises(SpaceError, match=r"unknown: \['time3.width'\]"):
        lower(space, {**good, "time3.width": 4})
    with pytest.raises(SpaceError, match=r"time0.width must be one of \(4, 8, 12, 16\). Received: 20"):
        lower(space, {**good, "time0.width": 20})
    with pytest.raises(SpaceError, match="decides each group"):
        lower(space, largest(build_space(64, 9, 6)))


def test_an_unknown_group_is_answered_with_the_known_ones() -> None:
    space = build_space(32, 1, 2)
    with pytest.raises(SpaceError, match=r"No decision group 'time9.width' in this space. Known: time0.kernel, "):
        space.group("time9.width")
    assert space.widths("time0.width") == (4, 8, 12, 16)
    assert space.widths(7) == (7,)
