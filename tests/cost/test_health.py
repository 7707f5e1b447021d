"""What is found in a lookup table that something is wrong with, and nothing in one that is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from micronas_tf.cost import Measurement, Table, TableHeader, check_table, macs
from micronas_tf.ops import OpSpec

HEADER = TableHeader("nucleo_f446re", 180_000_000, "bundle", "portable/1", "gcc -O2", "2026-01-31", "made up")


def _conv(filters: int, time: int = 16) -> OpSpec:
    return OpSpec("conv2d", ((time, 5, 8),), (time, 5, filters), kernel=(3, 1), activation="relu")


CONVS = [_conv(filters, time) for time in (16, 32, 64, 128) for filters in range(8, 65, 8)]
HEALTHY = tuple(Measurement(op, 500 + 2.0 * macs(op), 3) for op in CONVS)


def test_a_healthy_table() -> None:
    assert check_table(Table(HEADER, HEALTHY), CONVS) == ()


def test_missing_operators() -> None:
    (finding,) = check_table(Table(HEADER, HEALTHY[1:]), CONVS)
    assert (finding.rule, finding.text) == ("missing", str(CONVS[0]))


def test_an_outlier_among_many() -> None:
    dear = replace(HEALTHY[7], cycles=HEALTHY[7].cycles * 3)
    (finding,) = check_table(Table(HEADER, (*HEALTHY[:7], dear, *HEALTHY[8:])))
    assert finding.rule == "outlier"
    assert str(CONVS[7]) in finding.text


def test_a_width_that_is_cheaper_than_a_narrower_one() -> None:
    cheap = replace(HEALTHY[3], cycles=HEALTHY[2].cycles * 0.9)
    rules = {finding.rule for finding in check_table(Table(HEADER, (*HEALTHY[:3], cheap, *HEALTHY[4:])))}
    assert "not monotone" in rules


@pytest.mark.parametrize("kind", ["add", "mean", "softmax"])
def test_widths_of_operators_without_weights(kind: str) -> None:
    def row(filters: int, cycles: float) -> Measurement:
        shape = (1, 1, filters)
        return Measurement(OpSpec(kind, (shape,) * (2 if kind == "add" else 1), shape), cycles)  # type: ignore[arg-type]

    (finding,) = check_table(Table(HEADER, (row(8, 100.0), row(16, 50.0))))
    assert finding.rule == "not monotone"


def test_repeats_that_lie_apart() -> None:
    rows = (replace(HEALTHY[0], spread=0.02), *HEALTHY[1:])
    (finding,) = check_table(Table(HEADER, rows))
    assert (finding.rule, finding.text) == ("spread", f"{CONVS[0]}: repeats lie 2.0% apart")


def test_rows_of_several_runs() -> None:
    (finding,) = check_table(Table(HEADER, (replace(HEALTHY[0], repeats=1), *HEALTHY[1:])))
    assert (finding.rule, finding.text) == ("mixed provenance", "rows measured 1 and 3 times: not of one run")
