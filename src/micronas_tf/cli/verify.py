"""`micronas-tf verify`: the bundle on a board, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click

from micronas_tf.boards import Budget
from micronas_tf.cli.interruption import interrupted_from_outside
from micronas_tf.cli.options import json_option
from micronas_tf.errors import RunError
from micronas_tf.quiet import captured_output
from micronas_tf.run_directory import RunDirectory


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--board", help="Board id or a board's .toml file.  [default: the run's]")
@click.option("--port", help="Serial port of the board.  [default: the only ST-Link's]")
@click.option(
    "--windows", type=click.IntRange(min=1), help="How many windows to run.  [default: all golden ones, 200 at least]"
)
@json_option
def verify(run: Path, board: str | None, port: str | None, windows: int | None, as_json: bool) -> None:
    """Run the model of RUN on a board and compare every score, bit for bit.

    RUN is the folder of a finished run, or an int8 .tflite file of known operators from anywhere. The bundle is built
    into the firmware and uploaded; without a board: --board qemu_cortex_m4, which is emulated (QEMU). Cycles of the
    window and of each operator are measured beside the prediction; verify.json in the run's folder keeps them, and
    the run's report shows them. The windows are the bundle's golden ones, up to 256 of the test part; where these are
    fewer than asked for, windows of random samples follow them.

    \b
    Exit codes: 0 all as promised, 1 a score, the arena or the latency is not, 2 wrong input, a board that fails,
    or interrupted.
    """
    with captured_output():  # TensorFlow's libraries announce themselves, whatever the log level
        from micronas_tf import console, delivery  # noqa: PLC0415 - imports TensorFlow
        from micronas_tf.report import write_report  # noqa: PLC0415 - imports Matplotlib

    with interrupted_from_outside(), console.ConsoleProgress(Budget()) as progress:
        found = delivery.verify(run, board, port=port, windows=windows, progress=progress)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _show(found)
    wrong = delivery.disproved(found)
    if RunDirectory(run).report.exists():
        # With what was measured. What is wrong with the model goes before what is wrong with its report.
        with suppress(RunError) if wrong else nullcontext():
            write_report(run)
    if wrong is not None:
        raise wrong


def _show(found: Mapping[str, Any]) -> None:
    latency, arena = found["latency_ms"], found["arena"]
    click.echo(f"{'operator':<28} {'predicted cycles':>16} {'measured':>12} {'':>8}")
    for item in found["operators"]:
        predicted, measured = item["predicted_cycles"], item["measured_cycles"]
        cells = ("–", "") if predicted is None else (f"{predicted:,.0f}", f"{measured / predicted - 1:+.1%}")
        click.echo(f"{item['name']:<28} {cells[0]:>16} {measured:>12,.0f} {cells[1]:>8}")
    exact = "bit-exact" if found["bit_exact"] else "DIFFERENT"
    drawn = f" ({found['drawn_windows']} of them drawn)" if found["drawn_windows"] else ""
    click.echo(
        f"{found['windows']} windows{drawn} {exact}: {found['board']} against {found['reference']}; {found['device']}"
    )
    predicted = latency["predicted"]
    beside = "no prediction" if predicted is None else f"predicted {predicted:.2f} ms"
    click.echo(
        f"latency {latency['measured']:.2f} ms ({beside}, {latency['source']}), "
        f"and {latency['input_measured']:.2f} ms for the input's standardisation"
    )
    click.echo(f"arena {arena['high_water_bytes']:,} B used of {arena['planned_bytes']:,} B planned")
