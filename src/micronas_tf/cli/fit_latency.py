"""`micronas-tf fit-latency`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from micronas_tf.cli.options import json_option


@click.command(name="fit-latency")
@click.argument("csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--board", required=True, help="What was measured: board id, or a board's .toml file.")
@click.option("--provenance", help="Who measured what, with which kernels and compiler.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the held-out rows.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.  [default: your data folder, read by search]")
@json_option
def fit_latency(csv: Path, board: str, as_json: bool, **options: Any) -> None:
    """Fit an operator model on the measured cycles in CSV, so that shapes nobody measured have a latency too.

    CSV is a lookup table, or measurements in the columns of docs/file-formats.md. The held-out errors are printed
    and stored with the coefficients; `search` and `estimate` use the model from then on.
    """
    from micronas_tf import console, estimation  # noqa: PLC0415 - imports SciPy

    path, model = estimation.fit_latency(csv, board, **options)
    if as_json:
        click.echo(json.dumps(model.to_json(), indent=2))
        return
    console.show_fit(model.to_json(), path)
