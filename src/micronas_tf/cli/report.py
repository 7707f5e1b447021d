"""`micronas-tf report`"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--rate-hz", type=float, help="Sampling rate in use.  [default: that of the data]")
@click.option("--hop", type=int, help="New samples between two inferences in use.  [default: that of the data]")
def report(run: Path, rate_hz: float | None, hop: int | None) -> None:
    """Write report.html, and its figures as files, into the folder RUN of a finished run.

    Every search does so at its end; do it again after a verification on a board, or to state rate and hop. The page
    is one file and needs no network.
    """
    from micronas_tf.report import Stream, write_report  # noqa: PLC0415 - imports matplotlib

    click.echo(write_report(run, Stream(rate_hz, hop)))
