"""`micronas-tf datasets`"""

from __future__ import annotations

import json
from typing import Any

import click

from micronas_tf.cli.options import data_options, json_option


@click.command()
@data_options
@json_option
def datasets(source: str | None, as_json: bool, **options: Any) -> None:
    """Read SOURCE as `search` would, and say what is in it: shapes, classes, sensors, split.

    Without SOURCE, the default data set (BasicMotions).
    """
    from micronas_tf.datasets import describe, load_dataset  # noqa: PLC0415 - imports scikit-learn and aeon

    summary = describe(load_dataset(source, **options))
    if as_json:
        click.echo(json.dumps(summary, indent=2))
        return
    for name, value in summary.items():
        click.echo(f"{name:<17} {_text(value)}")


def _text(value: Any, *, nested: bool = False) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        separator = "/" if nested else ", "
        return separator.join(_text(item, nested=True) for item in value) if value else "–"
    return "unknown" if value is None else str(value)
