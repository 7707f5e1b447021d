"""Measured operators from a CSV file, for fitting: a lookup table, or records as the MicroNAS authors made them.

The authors' records, parsed to one row per operator, have the columns `op` (conv2d, add, gap2d, softmax),
`input_t input_s input_c`, `output_t output_s output_c`, `kernel_*`, `stride_*`, `padding`, `activation`,
`cycles`, `n` and `spread_pct`. Where a shape is implied it is left out there: gap2d gives its input and the
filters of its output; softmax only the number of classes, which is taken as (1, 1, classes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

from micronas_tf.cost.table import Measurement, is_table, malformed, read_lines, read_table, rows_of
from micronas_tf.errors import MicronasError
from micronas_tf.ops import Activation, OpSpec, Padding

_COLUMNS: Final = (
    "op", "input_t", "input_s", "input_c", "output_t", "output_s", "output_c", "kernel_t", "kernel_s",
    "stride_t", "stride_s", "padding", "activation", "cycles", "n", "spread_pct",
)  # fmt: skip
_QUANTISED: Final = "quantised"


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """The measured int8 operators in a file of either format; float ones are left out.

    Raises:
        CostError: unreadable, malformed (names the line), or an operator that is not known here.
    """
    if is_table(path):
        return read_table(path).measurements
    measurements = []
    for number, cells in rows_of(path, read_lines(path), 0, _COLUMNS):
        if cells.get(_QUANTISED, "True") != "True":
            continue
        try:
            measurements.append(_measurement(cells))
        except (ValueError, MicronasError) as error:
            raise malformed(path, number, str(error)) from error
    return tuple(measurements)


def _measurement(cells: dict[str, str]) -> Measurement:
    return Measurement(
        op=_op(cells),
        cycles=float(cells["cycles"]),
        repeats=int(cells["n"]),
        spread=float(cells["spread_pct"]) / 100,
    )


def _op(cells: dict[str, str]) -> OpSpec:
    def shape(side: str) -> tuple[int, int, int]:
        time, sensors, filters = (int(float(cells[f"{side}_{axis}"])) for axis in "tsc")
        return (time, sensors, filters)

    kind, filters = cells["op"], int(float(cells["output_c"]))
    if kind == "conv2d":
        return OpSpec(
            kind="conv2d",
            inputs=(shape("input"),),
            output=shape("output"),
            kernel=(int(float(cells["kernel_t"])), int(float(cells["kernel_s"]))),
            strides=(int(float(cells["stride_t"])), int(float(cells["stride_s"]))),
            padding=cast(Padding, cells["padding"]),
            activation=cast(Activation, cells["activation"]),
        )
    if kind == "add":
        return OpSpec("add", (shape("input"), shape("input")), shape("output"))
    if kind == "gap2d":
        return OpSpec("mean", (shape("input"),), (1, 1, filters))
    if kind == "softmax":
        return OpSpec("softmax", ((1, 1, filters),), (1, 1, filters))
    raise ValueError(f"expected conv2d, add, gap2d or softmax, found {kind!r}")
