"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

Function = TypeVar("Function", bound=Callable[..., Any])

extra_cells_option = click.option(
    "--extra-cells", type=click.IntRange(min=0), help="Stride-1 cells per Sensor-Fusion block.  [default: 2]"
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output instead of tables.")


def is_given(context: click.Context, name: str) -> bool:
    """Whether someone gave the parameter, be it with the value of its default."""
    return context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)


def data_options(function: Function) -> Function:
    """SOURCE and how to cut and split it."""
    decorators = (
        click.argument("source", required=False),
        click.option("--window", type=click.IntRange(min=1), help="Samples of a window, for tables of samples."),
        click.option("--hop", type=click.IntRange(min=1), help="Samples between windows.  [default: half a window]"),
        click.option(
            "--test-fraction",
            type=click.FloatRange(0, 0.5, min_open=True),
            default=0.25,
            show_default=True,
            help="Share of the test split, where SOURCE has none; 0.5 at most.",
        ),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def shape_options(function: Function) -> Function:
    """The shape of the windows, where there are no data."""
    decorators = (
        click.option("--window", type=click.IntRange(min=1), help="Samples of a window."),
        click.option("--sensors", type=click.IntRange(min=1), help="Channels of a window."),
        click.option("--classes", type=click.IntRange(min=2), help="Number of classes."),
        extra_cells_option,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def runtime_option(default: str) -> Callable[[Function], Function]:
    """Whose kernels: a table, a latency source and a search name them."""
    return click.option(
        "--runtime",
        type=click.Choice(["tflm", "bundle"]),
        default=default,
        show_default=True,
        help="tflm: TensorFlow Lite Micro with CMSIS-NN; bundle: our portable kernels, without an interpreter.",
    )
