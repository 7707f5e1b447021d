"""What may be wrong with a lookup table: gaps, outliers, widths that get cheaper, rows of several runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from micronas_tf.cost.fit import LEAST_HELD_OUT_ROWS, fit_operator_model
from micronas_tf.cost.table import Measurement, Table
from micronas_tf.ops import OpSpec

Rule: TypeAlias = Literal["missing", "outlier", "not monotone", "spread", "mixed provenance"]

LARGEST_SPREAD: Final = 0.01
LEAST_OUTLIER: Final = 0.25
"""An operator this far from the fitted model, and three times as far as 95 % of its kind, is an outlier."""

MONOTONE_TOLERANCE: Final = 0.05
"""More filters may cost this much less: kernels like some widths better."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the rule it breaks, and the operator or rows."""

    rule: Rule
    text: str


def check_table(table: Table, operators: Iterable[OpSpec] = ()) -> tuple[Finding, ...]:
    """What is wrong with a table; nothing is a healthy one.

    Args:
        table: the table.
        operators: those that it should hold.
    """
    rows = table.measurements
    return (*_missing(table, operators), *_outliers(table), *_falling(rows), *_spreads(rows), *_mixed(rows))


def _missing(table: Table, operators: Iterable[OpSpec]) -> Iterator[Finding]:
    known = {row.op for row in table.measurements}
    yield from (Finding("missing", str(op)) for op in sorted(set(operators) - known))


def _outliers(table: Table) -> Iterator[Finding]:
    header, rows = table.header, table.measurements
    if sum(row.op.kind == "conv2d" for row in rows) < LEAST_HELD_OUT_ROWS:
        return  # too few for a model
    model = fit_operator_model(rows, header.board, header.provenance, runtime=header.runtime)
    for row in rows:
        if row.op.kind not in model.kinds:
            continue
        predicted = model.cycles(row.op).cycles
        limit = max(LEAST_OUTLIER, 3 * model.kinds[row.op.kind].check.p95_error)
        if abs(predicted / row.cycles - 1) > limit:
            yield Finding("outlier", f"{row.op}: {row.cycles:,.0f} cycles, {predicted:,.0f} by the fitted model")


def _falling(rows: Iterable[Measurement]) -> Iterator[Finding]:
    """Operators that differ in their output's filters alone; more input filters can be faster indeed."""
    families: dict[OpSpec, list[Measurement]] = defaultdict(list)
    for row in rows:
        families[_family(row.op)].append(row)
    for family in families.values():
        for narrow, wide in pairwise(sorted(family, key=lambda row: row.op.output[2])):
            if wide.cycles < narrow.cycles * (1 - MONOTONE_TOLERANCE):
                yield Finding(
                    "not monotone",
                    f"{wide.op}: {wide.cycles:,.0f} cycles, {narrow.cycles:,.0f} with {narrow.op.output[2]} filters",
                )


def _family(op: OpSpec) -> OpSpec:
    """The operator with one output filter, which stands for all of its widths."""
    if op.kind in ("conv2d", "fully_connected"):
        return replace(op, output=(*op.output[:2], 1))
    inputs = tuple((*shape[:2], 1) for shape in op.inputs)
    return replace(op, inputs=inputs, output=(*op.output[:2], 1))


def _spreads(rows: Iterable[Measurement]) -> Iterator[Finding]:
    for row in rows:
        if row.spread > LARGEST_SPREAD:
            yield Finding("spread", f"{row.op}: repeats lie {row.spread:.1%} apart")


def _mixed(rows: Iterable[Measurement]) -> Iterator[Finding]:
    repeats = sorted({row.repeats for row in rows})
    if len(repeats) > 1:
        yield Finding("mixed provenance", f"rows measured {' and '.join(map(str, repeats))} times: not of one run")
