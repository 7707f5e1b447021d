"""The terms of a bundle's operators: the loops of our kernels, `firmware_pio/src/kernels/`.

A convolution takes one of three paths, by its input filters, and each path has terms of its own. `conv2d_paired.c`
computes two positions by two filters per pass where two neighbours see the same taps; `conv2d_single.c` gathers the
taps of two positions for all filters; the plain path has neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from micronas_tf.cost.term_set import (
    TermSet,
    conv2d_sizes,
    elementwise_sizes,
    fully_connected_sizes,
    padding_before,
    valid_window_taps,
    windowed_sizes,
)
from micronas_tf.ops import OpKind, OpSpec

Counts: TypeAlias = Mapping[str, int]

DRAIN_TAPS: Final = 512
"""Beyond this many taps in a pass the sums are drained in between, which takes another function."""

BLOCK: Final = 64
"""Filters whose channels at a border fit on the stack."""

MOST_SINGLE_TAPS: Final = 16
_COLUMNS: Final = (3, 5, 7)
"""Kernels over time alone that have a function of their own."""

_PAIRED: Final = (
    "paired_operator", "paired_positions", "paired_passes", "border_changes", "border_pairs", "border_taps",
    "border_words", "one_pairs", "one_rows", "one_fours", "two_pairs", "two_rows", "two_eights", "two_fours",
    "sixteen_pairs", "sixteen_rows", "sixteen_turns", "long_passes", "long_pairs", "long_parts", "long_outputs",
)  # fmt: skip
_SINGLE: Final = (
    "single_operator", "single_passes", "column_passes", "column_words", "column_outputs", "column_macs",
    "gather_passes", "gather_taps", "gather_outputs", "gather_macs",
)  # fmt: skip
_PLAIN: Final = ("plain_operator", "plain_positions", "plain_outputs", "plain_rows", "plain_macs")
_CONV2D: Final = (*_PAIRED, *_SINGLE, *_PLAIN)


class _Pass(NamedTuple):
    """What one pass of the paired convolution sees: taps inside the input, and one position or two."""

    rows: int
    columns: int
    positions: int


class _Walk(NamedTuple):
    """How often each pass occurs, and how often the taps change to others than all (rows, columns)."""

    passes: Mapping[_Pass, int]
    borders: Mapping[tuple[int, int], int]


def _inside(op: OpSpec, axis: int) -> tuple[tuple[int, int], ...]:
    """(first, end) of the taps inside the input, by output position."""
    extent, kernel, stride = op.inputs[0][axis], op.kernel[axis], op.strides[axis]
    before = padding_before(extent, kernel, stride, op.output[axis], op.padding)
    starts = (position * stride - before for position in range(op.output[axis]))
    return tuple((max(-start, 0), min(extent - start, kernel)) for start in starts)


@lru_cache(maxsize=1024)
def _walk(op: OpSpec) -> _Walk:
    """The passes over all positions of an operator, whose filters do not matter; in the order of `next_position`."""
    times, sensors = _inside(op, 0), _inside(op, 1)
    ordered = [(t, s) for s, t in product(sensors, times)] if op.kernel[0] == 1 else list(product(times, sensors))
    whole = ((0, op.kernel[0]), (0, op.kernel[1]))
    passes: Counter[_Pass] = Counter()
    borders: Counter[tuple[int, int]] = Counter()
    prepared, done = None, 0
    while done < len(ordered):
        taps = ordered[done]
        rows, columns = (end - first for first, end in taps)
        if taps not in (whole, prepared):
            borders[rows, columns] += 1
            prepared = taps
        positions = 2 if done + 1 < len(ordered) and ordered[done + 1] == taps else 1
        passes[_Pass(rows, columns, positions)] += 1
        done += positions
    return _Walk(MappingProxyType(passes), MappingProxyType(borders))


def _geometry(op: OpSpec) -> OpSpec:
    """The operator with one filter, which stands for all widths."""
    return replace(op, inputs=((*op.inputs[0][:2], 1),), output=(*op.output[:2], 1), activation="linear")


def _paired(op: OpSpec) -> Counts:
    channels, filters = op.inputs[0][2], op.output[2]
    pairs, blocks = -(-filters // 2), -(-filters // BLOCK)
    walk = _walk(_geometry(op))
    counts = Counter[str](paired_operator=1, paired_positions=blocks * op.output[0] * op.output[1])
    for (rows, columns), changes in walk.borders.items():
        outside = prod(op.kernel) - rows * columns
        counts["border_changes"] += changes * blocks
        counts["border_pairs"] += changes * pairs
        counts["border_taps"] += changes * pairs * prod(op.kernel)
        counts["border_words"] += changes * pairs * outside * channels // 4
    for where, times in walk.passes.items():
        counts["paired_passes"] += times * blocks
        if where.rows * where.columns * channels > DRAIN_TAPS:
            _long(counts, where, channels, times, blocks, filters)
            continue
        _stretch(counts, where, channels, times * (filters // 2))
        if filters % 2:
            _long(counts, where, channels, times, 1, 1)
    return counts


def _stretch(counts: Counter[str], where: _Pass, channels: int, pairs: int) -> None:
    """`run_pairs` over so many pairs of filters."""
    run = where.columns * channels
    manner = "one" if where.positions == 1 else "two" if run % 16 else "sixteen"
    counts[f"{manner}_pairs"] += pairs
    counts[f"{manner}_rows"] += pairs * where.rows
    _steps(counts, manner, run, pairs * where.rows)


def _steps(counts: Counter[str], manner: str, run: int, times: int) -> None:
    """The turns of the inner loop over one run of taps."""
    if manner == "sixteen":
        counts["sixteen_turns"] += times * (run // 16)
        return
    counts[f"{manner}_fours"] += times * (run // 4)
    if manner == "two":
        counts["two_eights"] += times * -(-run // 8)


def _long(counts: Counter[str], where: _Pass, channels: int, times: int, blocks: int, filters: int) -> None:  # noqa: PLR0917
    """`run_long`: sums in parts of at most DRAIN_TAPS, each with a stretch of its own."""
    pairs, run = times * -(-filters // 2), where.columns * channels
    counts["long_passes"] += times * blocks
    counts["long_pairs"] += pairs
    counts["long_outputs"] += times * where.positions * filters
    for first in range(0, run, DRAIN_TAPS):
        part = min(run - first, DRAIN_TAPS)
        manner = "one" if where.positions == 1 else "two" if part % 16 else "sixteen"
        counts["long_parts"] += pairs * where.rows
        _steps(counts, manner, part, pairs * where.rows)


def _single(op: OpSpec) -> Counts:
    taps, filters = prod(op.kernel), op.output[2]
    words = -(-taps // 2)
    passes = -(-op.output[0] * op.output[1] // 2)
    inside = _passes_inside(_geometry(op)) if op.kernel[1] == 1 and op.kernel[0] in _COLUMNS else 0
    border = passes - inside
    return {
        "single_operator": 1,
        "single_passes": passes,
        "column_passes": inside,
        "column_words": inside * words,
        "column_outputs": inside * filters,
        "column_macs": inside * words * filters,
        "gather_passes": border,
        "gather_taps": border * taps,
        "gather_outputs": border * filters,
        "gather_macs": border * words * filters,
    }


@lru_cache(maxsize=1024)
def _passes_inside(op: OpSpec) -> int:
    """Passes over two positions that both see all taps."""
    whole = (0, op.kernel[0])
    fits = [taps == whole for taps in _inside(op, 0) for _ in range(op.output[1])]
    # The last of an odd number of positions is computed twice.
    return sum(first and second for first, second in zip(fits[::2], [*fits[1::2], fits[-1]], strict=False))


def _plain(op: OpSpec) -> Counts:
    filters, positions = op.output[2], op.output[0] * op.output[1]
    rows = op.output[1] * sum(end - first for first, end in _inside(op, 0))
    return {
        "plain_operator": 1,
        "plain_positions": positions,
        "plain_outputs": positions * filters,
        "plain_rows": rows * filters,
        "plain_macs": valid_window_taps(op) * op.inputs[0][2] * filters,
    }


def _conv2d(op: OpSpec) -> tuple[float, ...]:
    channels = op.inputs[0][2]
    single = channels == 1 and prod(op.kernel) <= MOST_SINGLE_TAPS
    counts = _single(op) if single else _paired(op) if channels % 4 == 0 else _plain(op)
    return tuple(counts.get(name, 0) for name in _CONV2D)


def _fully_connected(op: OpSpec) -> tuple[float, ...]:
    """A convolution of one position."""
    return _conv2d(OpSpec("conv2d", ((1, 1, prod(op.inputs[0])),), (1, 1, op.output[2])))


def _windowed(op: OpSpec) -> tuple[float, ...]:
    outputs, filters = prod(op.output), op.output[2]
    rows = op.output[1] * sum(end - first for first, end in _inside(op, 0))
    return (1.0, op.output[0] * op.output[1], outputs, rows * filters, valid_window_taps(op) * filters)


def _add(op: OpSpec) -> tuple[float, ...]:
    elements = prod(op.inputs[0])
    return (1.0, elements // 4, elements % 4)


def _mean(op: OpSpec) -> tuple[float, ...]:
    positions, filters = prod(op.inputs[0][:2]), op.inputs[0][2]
    if filters < 4:
        return (1.0, 0.0, 0.0, filters, positions * filters)
    lanes = -(-filters // 4)
    return (1.0, lanes, lanes * positions, 0.0, 0.0)


def _softmax(op: OpSpec) -> tuple[float, ...]:
    return (prod(op.inputs[0][:2]), prod(op.inputs[0]))


_WINDOWED: Final = TermSet(
    ("operator", "positions", "outputs", "output_rows", "output_taps"), _windowed, windowed_sizes
)

BUNDLE_TERMS: Final[Mapping[OpKind, TermSet]] = MappingProxyType(
    {
        "conv2d": TermSet(_CONV2D, _conv2d, conv2d_sizes),
        "depthwise_conv2d": _WINDOWED,
        "average_pool2d": _WINDOWED,
        "max_pool2d": _WINDOWED,
        "fully_connected": TermSet(_CONV2D, _fully_connected, fully_connected_sizes),
        "add": TermSet(("operator", "words", "rest"), _add, elementwise_sizes),
        "mean": TermSet(("operator", "lanes", "lane_positions", "filters", "elements"), _mean, elementwise_sizes),
        "softmax": TermSet(("rows", "elements"), _softmax, elementwise_sizes),
    }
)
"""The terms of every kind."""
