"""`micronas-tf lut`: lookup tables."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from micronas_tf.cli.options import json_option, shape_options

_SHOWN = 10


@click.group()
def lut() -> None:
    """Look after lookup tables."""


@lut.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@shape_options
@json_option
def check(  # noqa: PLR0917
    file: Path,
    window: int | None,
    sensors: int | None,
    classes: int | None,
    extra_cells: int | None,
    as_json: bool,
) -> None:
    """Say what is wrong with the lookup table FILE.

    Outliers against a model fitted on the table itself, widths that get cheaper, repeats that disagree, rows of
    several runs; and with --window, --sensors and --classes the operators of that space that are missing.

    Exit codes: 0 nothing found, 1 something found, 2 no lookup table.
    """
    from micronas_tf import characterisation  # noqa: PLC0415 - imports SciPy

    shape = characterisation.WindowShape(window, sensors, classes, extra_cells)
    table, findings = characterisation.check_lut(file, shape)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        header = table.header
        click.echo(f"{header.board} · {header.runtime} · {len(table.measurements)} operators · {header.provenance}")
        for rule, count in Counter(finding.rule for finding in findings).items():
            click.echo(f"{rule}: {count}")
            for finding in [item for item in findings if item.rule == rule][:_SHOWN]:
                click.echo(f"  {finding.text}")
        if not findings:
            click.echo("Nothing found.")
    sys.exit(1 if findings else 0)
