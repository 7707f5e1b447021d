"""`micronas-tf export`: the C library of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from micronas_tf.cli.options import json_option
from micronas_tf.quiet import captured_output


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write: new, empty, or a bundle's.  [default: bundle/ in RUN]",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Samples a second, where the data lack it.")
@json_option
def export(run: Path, out: Path | None, rate: float | None, as_json: bool) -> None:
    """Write the bundle of RUN, the folder of a finished run: a small C library of its model, and its golden vectors.

    A search does this at its end. The folder is replaced when the new one is complete.
    """
    with captured_output():  # TensorFlow's libraries announce themselves, whatever the log level
        from micronas_tf import delivery  # noqa: PLC0415 - imports TensorFlow

        found = delivery.export_run(run, target=out, sampling_hz=rate)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    bundle, tflm = found["bundle"], found["tflm"]
    if bundle["flash_bytes"] is None:
        click.echo(f"flash: not linked, for {bundle['not_linked']}")
    else:
        click.echo(
            f"flash {bundle['flash_bytes']:,} B (code and weights), RAM {bundle['ram_bytes']:,} B, {bundle['compiler']}"
        )
    click.echo(
        f"arena {bundle['arena_bytes']:,} B; with TensorFlow Lite Micro: model {tflm['flash_bytes']:,} B and the "
        f"interpreter, arena {tflm['arena_bytes']:,} B"
    )
    click.echo(found["directory"])
