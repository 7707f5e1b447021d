"""`micronas-tf report`"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--rate-hz", type=float, help="Sampling rate in use.  [default: that of the last report, else of the data]"
)
@click.option(
    "--hop",
    type=int,
    help="New samples between two inferences in use.  [default: that of the last report, else of the data]",
)
@click.option(
    "--baseline",
    "baselines",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder of another finished run on the same data and board to compare with; repeatable.  "
    "[default: those of the last report]",
)
@click.option("--no-baselines", is_flag=True, help="Compare with none any more.")
def report(run: Path, rate_hz: float | None, hop: int | None, baselines: tuple[Path, ...], no_baselines: bool) -> None:
    """Write report.html, and its figures as files, into the folder RUN of a finished run.

    Every search does so at its end; do it again after a verification on a board, to state rate and hop, or to show
    the run among others (--baseline). The page is one file and needs no network.
    """
    from micronas_tf.report import Stream, write_report  # noqa: PLC0415 - imports matplotlib

    if baselines and no_baselines:
        raise click.UsageError("--baseline names what to compare with, --no-baselines nothing. Give one of them.")
    given = baselines if baselines or no_baselines else None
    click.echo(write_report(run, Stream(rate_hz, hop), given))
