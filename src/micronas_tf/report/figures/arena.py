"""The arena plan: which bytes are whose at which step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from micronas_tf.cost import Runtime, align, plan_arena, tensor_buffers
from micronas_tf.ops import Network
from micronas_tf.report.drawing import Drawing, canvas
from micronas_tf.report.operators import Operator, buffers_of
from micronas_tf.report.text import KIB, kilobytes
from micronas_tf.report.theme import LIGHT

_FAR = 2.0
"""A limit further away than this, relative to the arena, would leave the plan a strip at the bottom."""


@dataclass(frozen=True, slots=True)
class Block:
    """One buffer in the picture: [first, last + 1) steps by [offset, offset + size) bytes."""

    name: str
    colour: str
    first: int
    last: int
    offset: int
    size: int


def plan_blocks(network: Network, operators: Sequence[Operator], runtime: Runtime) -> tuple[Block, ...]:
    """Every tensor and scratch buffer where the planner puts it; step k + 1 is operator k."""
    buffers = buffers_of(network, runtime)
    names = ["window", *(node.name for node in network.nodes)]
    colours = ["other", *(operator.family for operator in operators)]
    return tuple(
        Block(
            name=names[k] if k < len(names) else "scratch",
            colour=colours[k] if k < len(names) else "muted",
            first=buffer.first,
            last=buffer.last,
            offset=offset,
            size=align(buffer.size),
        )
        for k, (buffer, offset) in enumerate(zip(buffers, plan_arena(buffers).offsets, strict=True))
    )


def float_head_bytes(network: Network) -> int:
    """The plan of the same tensors in float32, without scratch: what int8 is compared with."""
    buffers = tensor_buffers(network)
    sizes = [type(buffer)(4 * prod(shape), buffer.first, buffer.last)
             for buffer, shape in zip(buffers, network.tensors, strict=True)]  # fmt: skip
    return plan_arena(sizes).total_bytes


def arena_drawing(
    network: Network, operators: Sequence[Operator], runtime: Runtime, arena_bytes: int, limit_bytes: int | None
) -> Drawing:
    blocks = plan_blocks(network, operators, runtime)
    head = max(block.offset + block.size for block in blocks)
    step = max(range(len(operators)), key=lambda k: operators[k].live_bytes)
    fullest = operators[step]
    tail = arena_bytes - head
    persistent = f" and {kilobytes(tail)} of the interpreter's own on top" if tail else ""
    limit = "" if limit_bytes is None else f" The limit is {kilobytes(limit_bytes)}."
    gap = head - fullest.live_bytes
    gaps = f"gaps cost {kilobytes(gap)} on top" if gap else "no byte is lost to gaps"
    return Drawing(
        name="arena",
        title="The arena plan",
        alt=f"Arena of {kilobytes(arena_bytes)}: a plan of {kilobytes(head)} for {len(blocks)} buffers{persistent}. "
        f"Fullest at step {step + 1}, {fullest.node.name}.{limit}",
        caption=f"Each block is a tensor or scratch buffer: from left to right the operators during which it is kept, "
        f"from bottom to top its bytes. Fullest at step {step + 1} ({fullest.node.name}, "
        f"{kilobytes(fullest.live_bytes)}); {gaps}.{limit}",
        draw=lambda narrow: _draw(blocks, head, tail, limit_bytes, narrow),
    )


def _draw(blocks: Sequence[Block], head: int, tail: int, limit: int | None, narrow: bool) -> Figure:
    figure = canvas(narrow, 3.0 if narrow else 3.6)
    axes = figure.add_subplot()
    end = max(block.last for block in blocks) + 1
    top = (head + tail) / KIB
    shown = limit is not None and limit <= _FAR * (head + tail)
    axes.set(xlim=(0, end), ylim=(0, 1.06 * max(top, limit / KIB if shown and limit else 0)))
    axes.set(xlabel="step (0 is before the first operator)", ylabel="KB")
    if tail:
        axes.add_patch(Rectangle((0, head / KIB), end, tail / KIB, facecolor=(LIGHT["runtime"], 0.22), linewidth=0))
        axes.text(end / 2, (head + tail / 2) / KIB, "interpreter", ha="center", va="center", fontsize=7.5)
    inches = 2.4 if narrow else 6.3
    for block in blocks:
        _draw_block(axes, block, inches / end)
    axes.axhline(top, color=LIGHT["ink"], linewidth=1)
    if shown and limit:
        axes.axhline(limit / KIB, color=LIGHT["bad"], linewidth=1.2, linestyle="--")
        axes.text(
            end, limit / KIB, f"limit {kilobytes(limit)}", ha="right", va="bottom", fontsize=8, color=LIGHT["bad"]
        )
    return figure


def _draw_block(axes: Axes, block: Block, step_in: float) -> None:
    span, size = block.last + 1 - block.first, block.size / KIB
    axes.add_patch(
        Rectangle(
            (block.first, block.offset / KIB),
            span,
            size,
            facecolor=(LIGHT[block.colour], 0.38),
            edgecolor=LIGHT[block.colour],
            linewidth=0.7,
        )
    )
    characters = int(span * step_in / 0.062)
    text = next((name for name in (block.name, block.name.rpartition("/")[2]) if len(name) <= characters), "")
    if text and size > 0.055 * axes.get_ylim()[1]:
        axes.text(block.first + span / 2, (block.offset / KIB) + size / 2, text, ha="center", va="center", fontsize=6.8)
