"""From a board's name and a window's shape to its lookup table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from micronas_tf.boards import Board, load_board
from micronas_tf.cost import (
    Finding,
    Measurement,
    Runtime,
    Table,
    check_table,
    is_table,
    read_measurements,
    read_table,
    table_path,
)
from micronas_tf.device import (
    REPEATS,
    Characterisation,
    calibrate,
    characterise,
    check_calibrates,
    check_emulated,
    check_has_firmware,
    prepare_bench,
)
from micronas_tf.errors import DataError, RunError
from micronas_tf.estimation import user_tables
from micronas_tf.files import write_atomically
from micronas_tf.ops import OpSpec
from micronas_tf.progress import Progress, silent
from micronas_tf.space import SearchSpace, SpaceConfig, build_space


@dataclass(frozen=True, slots=True)
class WindowShape:
    """What a search space follows from; as given on a command line, so that any of them may be missing."""

    window: int | None
    sensors: int | None
    classes: int | None
    extra_cells: int | None = None

    def space(self) -> SearchSpace:
        """Raises DataError if a figure is missing, SpaceError if there is no space for them."""
        if self.window is None or self.sensors is None or self.classes is None:
            raise DataError(
                "Operators follow from the window: give a data set, or --window, --sensors and --classes. "
                f"Received: {self.window}, {self.sensors}, {self.classes}."
            )
        config = SpaceConfig() if self.extra_cells is None else SpaceConfig(extra_cells=self.extra_cells)
        return build_space(self.window, self.sensors, self.classes, config)


def characterise_board(
    name: str,
    shape: WindowShape,
    *,
    runtime: Runtime = "bundle",
    port: str | None = None,
    calibration: Path | None = None,
    repeats: int = REPEATS,
    resume: bool = False,
    out: Path | None = None,
    progress: Progress = silent,
) -> tuple[Path, Characterisation]:
    """Build, upload or start, and measure every operator of the window's search space.

    Args:
        name: board id, or a board's .toml file.
        shape: of the windows.
        runtime: whose kernels.
        port: of a real board; the only Nucleo's when None.
        calibration: measured cycles of the board that an emulated one stands for: fits its constant.
        repeats: runs of each operator.
        resume: go on with the table that is there; else it is kept as `….old`, unless that holds more operators.
        out: CSV file; where `search` looks when None.
        progress: hears of the stages `building` and `measuring`.

    Raises:
        MicronasError: anything in the way; the message says what the table holds.
    """
    board = load_board(name)
    check_has_firmware(board)
    # What is wrong is said before anything is built.
    measured = None if calibration is None else _calibrating(board, runtime, calibration)
    operators = shape.space().operators()
    path = out or table_path(user_tables(), board.id, runtime)
    former = read_table(path) if resume and path.exists() else None
    progress("building", 0, 1, {})
    bench = prepare_bench(board, runtime, port=port)
    progress("building", 1, 1, {})
    if measured is not None:
        constant = calibrate(bench, measured).cycles_per_instruction
        bench = prepare_bench(board, runtime, port=port, cycles_per_instruction=constant)
    if not resume:
        _keep_old(path)
    return path, characterise(bench, operators, path, former=former, repeats=repeats, progress=progress)


def _calibrating(board: Board, runtime: Runtime, path: Path) -> tuple[Measurement, ...]:
    """Measured cycles of the board that an emulated one stands for: a lookup table, or records in the columns of the
    MicroNAS authors, which do not say of which board they are but are of TFLM.

    Raises:
        CostError: the board is a real one, or the cycles are of others than it stands for.
    """
    check_emulated(board)
    if is_table(path):
        header = read_table(path).header
        check_calibrates(board, runtime, (header.board, header.runtime))
    else:
        check_calibrates(board, runtime, (board.emulates, "tflm"))
    return read_measurements(path)


def _keep_old(path: Path) -> None:
    """A copy of a table that took an hour, so that it is not lost to a slip, nor to a second one after it."""
    old = path.with_name(f"{path.name}.old")
    try:
        if path.exists() and _lines(path) >= _lines(old):
            write_atomically(old, path.read_bytes())
    except OSError as error:
        raise RunError(f"Cannot keep a copy of {path}: {error.strerror}. Choose another --out.") from error


def _lines(path: Path) -> int:
    """Of a table, one for each operator and those of its header; 0 of none."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def check_lut(path: Path, shape: WindowShape) -> tuple[Table, tuple[Finding, ...]]:
    """A lookup table and what is wrong with it; operators are missed only if the window's shape is given."""
    table = read_table(path)
    operators: tuple[OpSpec, ...] = ()
    if any(value is not None for value in (shape.window, shape.sensors, shape.classes)):
        operators = shape.space().operators()
    return table, check_table(table, operators)
