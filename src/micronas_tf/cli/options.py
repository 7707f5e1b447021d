"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output instead of tables.")


def data_options(function: Function) -> Function:
    """SOURCE and how to cut and split it."""
    decorators = (
        click.argument("source", required=False),
        click.option("--window", type=click.IntRange(min=1), help="Samples of a window, for tables of samples."),
        click.option("--hop", type=click.IntRange(min=1), help="Samples between windows.  [default: half a window]"),
        click.option(
            "--test-fraction",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=0.25,
            show_default=True,
            help="Share of the test split, where SOURCE has none.",
        ),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
