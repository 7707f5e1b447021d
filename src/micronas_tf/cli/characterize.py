"""`micronas-tf characterize`: operators measured on a board into a lookup table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from micronas_tf.boards import DEFAULT_BOARD, Budget
from micronas_tf.cli.interruption import interrupted_from_outside
from micronas_tf.cli.options import json_option, runtime_option, shape_options
from micronas_tf.errors import RunError

if TYPE_CHECKING:
    from micronas_tf.characterisation import WindowShape
    from micronas_tf.device import Characterisation

_SHOWN = 5


@click.command()
@click.argument("source", required=False)
@shape_options
@click.option("--hop", type=click.IntRange(min=1), help="Samples between windows, for SOURCE.")
@click.option("--board", default=DEFAULT_BOARD, show_default=True, help="Board id or a board's .toml file.")
@click.option("--port", help="Serial port of the board.  [default: the only ST-Link's]")
@runtime_option("bundle")
@click.option("--repeats", type=click.IntRange(1, 32), default=3, show_default=True, help="Runs of each operator.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the table that is there; else it is kept as ….old, unless that holds more.",
)
@click.option(
    "--calibrate",
    "calibration",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A real board's table: fits the cycles per instruction of the emulated board that stands for it.",
)
@click.option("--out", type=click.Path(path_type=Path), help="CSV file.  [default: your data folder, read by search]")
@json_option
def characterize(  # noqa: PLR0917
    source: str | None,
    window: int | None,
    sensors: int | None,
    classes: int | None,
    extra_cells: int | None,
    hop: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure every operator of a search space on a board, into a lookup table that `search` reads.

    The space follows from the windows of SOURCE (as in `search`), or from --window, --sensors and --classes. The
    firmware is built and uploaded first. Without a board: --board qemu_cortex_m4, which is emulated (QEMU).

    Ctrl-C, or an unplugged cable, leaves a table of what was measured; --resume goes on with it.
    """
    from micronas_tf import characterisation, console  # noqa: PLC0415 - imports SciPy

    board: str = options.pop("board")
    _refuse_ignored(source, {"--sensors": sensors, "--classes": classes}, hop)
    shape = characterisation.WindowShape(window, sensors, classes, extra_cells)
    if source is not None:
        shape = _shape_of(source, window, hop, extra_cells)
    try:
        with interrupted_from_outside(), console.ConsoleProgress(Budget()) as progress:
            path, found = characterisation.characterise_board(board, shape, progress=progress, **options)
    except KeyboardInterrupt:
        raise RunError("Interrupted before anything was measured. Run the command again.") from None
    if as_json:
        click.echo(json.dumps(_to_json(path, found), indent=2))
        return
    _show(path, found)
    click.echo(f"Use it: {_search_command(board, options, extra_cells)}")


def _refuse_ignored(source: str | None, counts: Mapping[str, int | None], hop: int | None) -> None:
    """Raises UsageError for what SOURCE decides, and for what cuts a SOURCE that is not there."""
    given = [name for name, count in counts.items() if count is not None]
    if source is not None and given:
        raise click.UsageError(
            f"SOURCE says how many sensors and classes there are. Received besides it: {' and '.join(given)}. "
            "Leave that out, or SOURCE."
        )
    if source is None and hop is not None:
        raise click.UsageError(
            "--hop cuts the samples of SOURCE. Received: no SOURCE. Leave --hop out, or give SOURCE."
        )


def _shape_of(source: str, window: int | None, hop: int | None, extra_cells: int | None) -> WindowShape:
    from micronas_tf.characterisation import WindowShape  # noqa: PLC0415 - imports SciPy
    from micronas_tf.datasets import load_dataset  # noqa: PLC0415 - imports scikit-learn and aeon

    part = load_dataset(source, window=window, hop=hop).train
    return WindowShape(part.window, part.sensors, part.n_classes, extra_cells)


def _to_json(path: Path, found: Characterisation) -> dict[str, Any]:
    header = found.table.header
    return {
        "table": str(path),
        "board": header.board,
        "runtime": header.runtime,
        "provenance": header.provenance,
        "operators": len(found.table.measurements),
        "measured": found.measured,
        "refused": {str(op): code for op, code in found.refused.items()},
        "flagged": [str(op) for op in found.flagged],
        "seconds": round(found.seconds, 3),
    }


def _show(path: Path, found: Characterisation) -> None:
    header = found.table.header
    total = len(found.table.measurements)
    click.echo(f"{found.measured} operators measured in {found.seconds:.1f} s; the table holds {total}.")
    click.echo(f"{header.board}, {header.kernels}, {header.compiler}; {header.provenance}")
    for title, lines in (
        ("do not fit the board", [f"{op} ({code})" for op, code in found.refused.items()]),
        ("have repeats more than 1 % apart", [str(op) for op in found.flagged]),
    ):
        if lines:
            more = f", and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
            click.echo(f"{len(lines)} {title}: {'; '.join(lines[:_SHOWN])}{more}")
    click.echo(str(path))


def _search_command(board: str, options: Mapping[str, Any], extra_cells: int | None) -> str:
    """The search that reads the table: by itself in the user's data folder, else by name.

    A table that is named answers alone, so that the search must have the same cells.
    """
    words = ["micronas-tf", "search", "--board", board, "--runtime", options["runtime"]]
    if options["out"] is not None:
        words += ["--latency-source", str(options["out"])]
    if extra_cells is not None:
        words += ["--extra-cells", str(extra_cells)]
    return shlex.join(words)
