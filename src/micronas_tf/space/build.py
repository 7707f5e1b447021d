"""Building the site table of MicroNAS (King et al., arXiv 2310.18384, section 5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from micronas_tf.architecture import DecisionGroup
from micronas_tf.errors import SpaceError
from micronas_tf.ops import MOST_EXTENT, Pair, output_extent
from micronas_tf.space.config import SpaceConfig, halvings
from micronas_tf.space.table import INPUT, Held, Literal, SearchSpace, Site, Width


@dataclass(frozen=True, slots=True)
class _Upstream:
    """What the next cell may read: one entry of `widths` per producer, told apart by its literals."""

    extent: Pair
    widths: tuple[tuple[Width, tuple[Literal, ...]], ...]
    names: tuple[str, ...]


@dataclass(slots=True)
class _Rows:
    """The table while it grows."""

    groups: list[DecisionGroup] = field(default_factory=list)
    cells: list[tuple[str, ...]] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    forbidden: list[tuple[Literal, ...]] = field(default_factory=list)

    def add_cell(self, *groups: DecisionGroup) -> None:
        self.groups += groups
        self.cells.append(tuple(group.name for group in groups))


def build_space(window: int, sensors: int, classes: int, config: SpaceConfig | None = None) -> SearchSpace:
    """The search space for windows of `window` samples by `sensors` channels.

    Raises:
        SpaceError: a window shorter than 2 samples, no sensor, fewer than 2 classes, or more of one of them than the
            firmware's kernels can count.
    """
    if window < 2 or sensors < 1 or classes < 2:
        raise SpaceError(
            "A search space needs a window of at least 2 samples, 1 sensor and 2 classes. "
            f"Received: {window} samples, {sensors} sensors, {classes} classes."
        )
    if max(window, sensors, classes) > MOST_EXTENT:
        raise SpaceError(
            f"A search space has at most {MOST_EXTENT:,} samples, sensors and classes. Received: {window:,} samples, "
            f"{sensors:,} sensors, {classes:,} classes. Use shorter windows, or a lower sampling rate."
        )
    config = config or SpaceConfig()
    rows = _Rows()
    upstream = _Upstream((window, sensors), ((1, ()),), (INPUT,))
    for index in range(halvings(window, config.min_time)):
        upstream = _time_reduce(rows, f"time{index}", upstream, config)
    for block in range(halvings(sensors, config.min_sensors)):
        for cell in range(1 + config.extra_cells):
            stride = 2 if cell == 0 and upstream.extent[1] > 1 else 1
            upstream = _sensor_fusion(rows, f"fusion{block}.{cell}", upstream, stride, config)
    _output(rows, upstream, classes)
    return SearchSpace(
        window=window,
        sensors=sensors,
        classes=classes,
        config=config,
        groups=tuple(rows.groups),
        cells=tuple(rows.cells),
        sites=tuple(rows.sites),
        forbidden=tuple(rows.forbidden),
    )


def _time_reduce(rows: _Rows, cell: str, upstream: _Upstream, config: SpaceConfig) -> _Upstream:
    """One conv that halves the time extent: its kernel length and its width are searched."""
    kernel = DecisionGroup(f"{cell}.kernel", "kernel", config.time_kernels)
    width = DecisionGroup(f"{cell}.width", "width", config.time_widths)
    rows.add_cell(kernel, width)
    time, sensors = upstream.extent
    extent = (output_extent(time, 1, 2, "same"), sensors)
    name = f"{cell}/conv"
    rows.sites += [
        Site(
            name=name,
            kind="conv2d",
            input_extent=upstream.extent,
            output_extent=extent,
            inputs=(source,),
            output=width.name,
            when=(*literals, Literal(kernel.name, length)),
            reads=(upstream.names,),
            kernel=(length, 1),
            strides=(2, 1),
            activation="relu",
        )
        for length in kernel.choices
        for source, literals in upstream.widths
    ]
    return _Upstream(extent, ((width.name, ()),), (name,))


def _sensor_fusion(rows: _Rows, cell: str, upstream: _Upstream, stride: int, config: SpaceConfig) -> _Upstream:
    """Skip conv and parallel convs behind a bottleneck, summed pairwise; or, where it fits, nothing at all."""
    bottleneck = DecisionGroup(f"{cell}.bottleneck", "width", config.fusion_widths)
    width = DecisionGroup(f"{cell}.width", "width", config.fusion_widths)
    skip = DecisionGroup(f"{cell}.skip", "switch", (0, 1))
    convs = [DecisionGroup(f"{cell}.conv{length}", "switch", (0, 1)) for length in config.fusion_kernels]
    identity = DecisionGroup(f"{cell}.identity", "identity", (0, 1))
    same_widths = all(
        isinstance(source, str) and _choices(rows, source) == config.fusion_widths for source, _ in upstream.widths
    )
    optional = stride == 1 and same_widths
    present = (Literal(identity.name, 0),) if optional else ()
    rows.add_cell(bottleneck, width, skip, *convs, *([identity] if optional else []))
    rows.forbidden.append((*present, *(Literal(switch.name, 0) for switch in (skip, *convs))))

    time, sensors = upstream.extent
    extent = (time, output_extent(sensors, 1, stride, "same"))
    # The skip conv runs first: the cell's input can then be freed as soon as the bottleneck has read it.
    rows.sites += [
        Site(
            name=f"{cell}/skip",
            kind="conv2d",
            input_extent=upstream.extent,
            output_extent=extent,
            inputs=(source,),
            output=width.name,
            when=(*present, *literals, Literal(skip.name, 1)),
            reads=(upstream.names,),
            kernel=(1, stride),
            strides=(1, stride),
            activation="relu",
        )
        for source, literals in upstream.widths
    ]
    rows.sites += [
        Site(
            name=f"{cell}/bottleneck",
            kind="conv2d",
            input_extent=upstream.extent,
            output_extent=extent,
            inputs=(source,),
            output=bottleneck.name,
            when=(*present, *literals, *_first_on(convs, index)),
            reads=(upstream.names,),
            kernel=(1, sensors),
            strides=(1, stride),
            activation="relu",
            holds=(Held(extent, width.name, (Literal(skip.name, 1),)),),
        )
        for index in range(len(convs))
        for source, literals in upstream.widths
    ]
    branches = [skip, *convs]
    for index, length in enumerate(config.fusion_kernels, 1):
        before, after = branches[:index], branches[index + 1 :]
        rows.sites.append(
            Site(
                name=_branch(branches[index]),
                kind="conv2d",
                input_extent=extent,
                output_extent=extent,
                inputs=(bottleneck.name,),
                output=width.name,
                when=(*present, Literal(branches[index].name, 1)),
                reads=((f"{cell}/bottleneck",),),
                kernel=(length, 1),
                activation="relu",
                holds=(Held(extent, width.name, _any_on(before)),),
            )
        )
        rows.sites += [
            Site(
                name=_sum(branches[index]),
                kind="add",
                input_extent=extent,
                output_extent=extent,
                inputs=(width.name, width.name),
                output=width.name,
                when=(*present, *_last_on_before(branches, other, index), Literal(branches[index].name, 1)),
                reads=((_sum(branches[other]), _branch(branches[other])), (_branch(branches[index]),)),
                holds=(Held(extent, bottleneck.name, _any_on(after)),) if after else (),
            )
            for other in range(index)
        ]
    names = (*map(_sum, reversed(convs)), *map(_branch, reversed(branches)))
    if not optional:
        return _Upstream(extent, ((width.name, ()),), names)
    passed = tuple((source, (*literals, Literal(identity.name, 1))) for source, literals in upstream.widths)
    return _Upstream(extent, ((width.name, present), *passed), (*names, *upstream.names))


def _output(rows: _Rows, upstream: _Upstream, classes: int) -> None:
    """1×1 conv to the classes, mean over time and sensors, softmax."""
    rows.sites += [
        Site(
            name="output/conv",
            kind="conv2d",
            input_extent=upstream.extent,
            output_extent=upstream.extent,
            inputs=(source,),
            output=classes,
            when=literals,
            reads=(upstream.names,),
        )
        for source, literals in upstream.widths
    ]
    rows.sites += [
        Site("output/mean", "mean", upstream.extent, (1, 1), (classes,), classes, (), (("output/conv",),)),
        Site("output/softmax", "softmax", (1, 1), (1, 1), (classes,), classes, (), (("output/mean",),)),
    ]


def _choices(rows: _Rows, name: str) -> tuple[int, ...]:
    return next(group.choices for group in rows.groups if group.name == name)


def _branch(switch: DecisionGroup) -> str:
    """`fusion0.1.conv5` decides about the layer `fusion0.1/conv5`."""
    return switch.name[::-1].replace(".", "/", 1)[::-1]


def _sum(switch: DecisionGroup) -> str:
    """The Add that joins this branch to the ones before it; for the first branch there is none."""
    return f"{_branch(switch)}_add"


def _any_on(switches: list[DecisionGroup]) -> tuple[Literal, ...]:
    return tuple(Literal(switch.name, 1) for switch in switches)


def _first_on(switches: list[DecisionGroup], index: int) -> tuple[Literal, ...]:
    """`switches[index]` is on and none before it."""
    return (*(Literal(switch.name, 0) for switch in switches[:index]), Literal(switches[index].name, 1))


def _last_on_before(switches: list[DecisionGroup], other: int, index: int) -> tuple[Literal, ...]:
    """`switches[other]` is on and none between it and `switches[index]`."""
    between = (Literal(switch.name, 0) for switch in switches[other + 1 : index])
    return (Literal(switches[other].name, 1), *between)
