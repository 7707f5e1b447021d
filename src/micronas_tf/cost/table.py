"""Lookup tables: measured operators in a self-describing CSV file.

    # micronas-tf lookup table
    # schema: 1
    # board: nucleo_f446re
    # clock_hz: 180000000
    # runtime: tflm
    # kernels: …
    kind,inputs,output,kernel,strides,padding,activation,cycles,repeats,spread
    add,16x5x8+16x5x8,16x5x8,1x1,1x1,same,linear,89640,3,0.0002

The first seven columns are the `OpSpec`, which is the key; `docs/file-formats.md` explains the rest.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, cast, get_args

from micronas_tf.cost.latency import Estimate, LookupTable
from micronas_tf.cost.memory import Runtime
from micronas_tf.errors import CostError, MicronasError
from micronas_tf.files import write_atomically
from micronas_tf.ops import Activation, OpKind, OpSpec, Padding

TABLE_SCHEMA: Final = 1
TITLE: Final = "# micronas-tf lookup table"
COLUMNS: Final = (
    "kind", "inputs", "output", "kernel", "strides", "padding", "activation", "cycles", "repeats", "spread",
)  # fmt: skip

MEASURED_REL_ERROR: Final = 0.01
"""Least error of a measured operator: alone it finds other caches and code alignment than in its network."""

EMULATED: Final = "emulated"
"""How the provenance of a table begins whose cycles are instructions of an emulator × a constant."""

EMULATED_REL_ERROR: Final = 0.03
"""Mean error of such cycles: CMSIS-NN's kernels in QEMU against the same kernels on three boards."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured operator.

    Attributes:
        op: what was measured.
        cycles: median of the repeats, without the runtime's overhead.
        repeats: how often it was measured.
        spread: (largest - least) / median of the repeats.
    """

    op: OpSpec
    cycles: float
    repeats: int = 1
    spread: float = 0.0

    def __post_init__(self) -> None:
        if not self.cycles > 0 or self.repeats < 1 or not self.spread >= 0:
            raise CostError(f"A measurement has cycles > 0, repeats >= 1, spread >= 0. Received: {self}.")


@dataclass(frozen=True, slots=True)
class TableHeader:
    """What was measured: every field is one `# key: value` line of the file.

    Attributes:
        board: board id.
        clock_hz: core clock while measuring.
        runtime: whose kernels: `tflm` (CMSIS-NN) or `bundle` (our portable kernels).
        kernels: library and version.
        compiler: name, version, flags.
        date: ISO 8601.
        provenance: who or what measured, on which device; says "emulated" where it was.
    """

    board: str
    clock_hz: int
    runtime: Runtime
    kernels: str
    compiler: str
    date: str
    provenance: str

    def __post_init__(self) -> None:
        if self.runtime not in get_args(Runtime):
            raise CostError(f"A table's runtime is one of {get_args(Runtime)}. Received: {self.runtime!r}.")
        if self.clock_hz <= 0:
            raise CostError(f"A table's clock_hz must be positive. Received: {self.clock_hz}.")
        for field in fields(self):
            if "\n" in str(getattr(self, field.name)):
                raise CostError(f"A table's {field.name} is one line. Received: {getattr(self, field.name)!r}.")


@dataclass(frozen=True, slots=True)
class Table:
    """A lookup table: what was measured and the measurements, each operator once."""

    header: TableHeader
    measurements: tuple[Measurement, ...]

    def source(self) -> LookupTable:
        """The table as a latency source."""
        origin = f"{self.header.provenance}, {self.header.date}"
        least = EMULATED_REL_ERROR if self.header.provenance.startswith(EMULATED) else MEASURED_REL_ERROR
        return LookupTable(
            board_id=self.header.board,
            runtime=self.header.runtime,
            entries={
                row.op: Estimate(row.cycles, max(row.spread, least), f"measured ({origin})")
                for row in self.measurements
            },
            origin=origin,
        )


def write_table(path: Path, table: Table) -> None:
    """Write a table; a reader sees the old file or the new one, never a part.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    text.write(f"{TITLE}\n# schema: {TABLE_SCHEMA}\n")
    for field in fields(table.header):
        text.write(f"# {field.name}: {getattr(table.header, field.name)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_to_row(measurement) for measurement in table.measurements)
    write_atomically(path, text.getvalue())


def read_table(path: Path) -> Table:
    """The table in a file.

    Raises:
        CostError: unreadable or malformed; names the line.
    """
    lines = read_lines(path)
    header, body = _parse_header(path, lines)
    seen: dict[OpSpec, int] = {}
    rows = []
    for number, cells in rows_of(path, lines, body, COLUMNS):
        try:
            measurement = _from_row(cells)
        except (ValueError, MicronasError) as error:
            raise malformed(path, number, f"{error}") from error
        if measurement.op in seen:
            raise malformed(path, number, f"{measurement.op} stands on line {seen[measurement.op]} already")
        seen[measurement.op] = number
        rows.append(measurement)
    return Table(header, tuple(rows))


def is_table(path: Path) -> bool:
    """Whether a CSV file is a lookup table of this format."""
    return read_lines(path)[:1] == [TITLE]


def read_lines(path: Path) -> list[str]:
    try:
        # Spreadsheets write a mark before the text.
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CostError(f"Cannot read the latency file {path}: {error}.") from error


def _parse_header(path: Path, lines: Sequence[str]) -> tuple[TableHeader, int]:
    """The header and the index of the first line after it."""
    if list(lines[:1]) != [TITLE]:
        raise malformed(path, 1, f"a lookup table begins with {TITLE!r}")
    values: dict[str, str] = {}
    end = 1
    while end < len(lines) and lines[end].startswith("#"):
        key, colon, value = lines[end].removeprefix("#").partition(":")
        if not colon:
            raise malformed(path, end + 1, "a header line is `# key: value`")
        values[key.strip()] = value.strip()
        end += 1
    if values.pop("schema", None) != str(TABLE_SCHEMA):
        raise malformed(path, 2, f"a lookup table has schema {TABLE_SCHEMA}")
    expected = {field.name for field in fields(TableHeader)}
    if values.keys() != expected:
        odd = ", ".join(sorted(expected ^ values.keys()))
        raise malformed(path, end, f"the header has the keys {', '.join(sorted(expected))}; missing or unknown: {odd}")
    try:
        clock_hz = int(values.pop("clock_hz"))
        return TableHeader(clock_hz=clock_hz, runtime=cast(Runtime, values.pop("runtime")), **values), end
    except (ValueError, CostError) as error:
        raise malformed(path, end, f"{error}") from error


def rows_of(
    path: Path, lines: Sequence[str], start: int, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, column → cell) of each row, after checking that the columns are there."""
    reader = csv.reader(lines[start:])
    names = next(reader, [])
    missing = [column for column in columns if column not in names]
    if missing:
        raise malformed(path, start + 1, f"missing columns: {', '.join(missing)}")
    for cells in reader:
        if cells and cells[0].startswith("#"):
            raise malformed(path, start + reader.line_num, "a header among the rows: tables of mixed provenance")
        if len(cells) != len(names):
            raise malformed(path, start + reader.line_num, f"expected {len(names)} cells, found {len(cells)}")
        yield start + reader.line_num, dict(zip(names, cells, strict=True))


def malformed(path: Path, line: int, problem: str) -> CostError:
    return CostError(f"{path}, line {line}: {problem.rstrip('.')}. See docs/file-formats.md.")


def _to_row(measurement: Measurement) -> tuple[str, ...]:
    op = measurement.op
    return (
        op.kind,
        "+".join(map(_join, op.inputs)),
        *map(_join, (op.output, op.kernel, op.strides)),
        op.padding,
        op.activation,
        f"{measurement.cycles:.10g}",
        str(measurement.repeats),
        f"{measurement.spread:.6g}",
    )


def _join(extents: Sequence[int]) -> str:
    return "x".join(map(str, extents))


def _from_row(cells: dict[str, str]) -> Measurement:
    op = OpSpec(
        kind=cast(OpKind, cells["kind"]),
        inputs=tuple(_triple(shape) for shape in cells["inputs"].split("+")),
        output=_triple(cells["output"]),
        kernel=_pair(cells["kernel"]),
        strides=_pair(cells["strides"]),
        padding=cast(Padding, _one_of(cells["padding"], get_args(Padding))),
        activation=cast(Activation, _one_of(cells["activation"], get_args(Activation))),
    )
    return Measurement(op, float(cells["cycles"]), int(cells["repeats"]), float(cells["spread"]))


def _triple(text: str) -> tuple[int, int, int]:
    time, sensors, filters = map(int, text.split("x"))
    return (time, sensors, filters)


def _pair(text: str) -> tuple[int, int]:
    time, sensors = map(int, text.split("x"))
    return (time, sensors)


def _one_of(text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise ValueError(f"expected one of {', '.join(known)}, found {text!r}")
    return text
