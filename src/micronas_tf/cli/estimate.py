"""`micronas-tf estimate`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from micronas_tf.boards import DEFAULT_BOARD
from micronas_tf.cli.options import json_option, runtime_option
from micronas_tf.quiet import captured_output

if TYPE_CHECKING:
    from micronas_tf.cost import Runtime


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--board", default=DEFAULT_BOARD, show_default=True, help="Board id or a board's .toml file.")
@click.option("--latency-source", default="auto", show_default=True, help="auto, ops, or a lookup table's file.")
@runtime_option("tflm")
@json_option
def estimate(model: Path, board: str, latency_source: str, runtime: Runtime, as_json: bool) -> None:
    """Say what MODEL costs on a board, operator by operator.

    MODEL is an int8 .tflite or a .keras file of known operators; a Keras model is estimated as the int8 model it
    would become, with BatchNorm and ReLU folded.
    """
    from micronas_tf import console, estimation  # noqa: PLC0415 - imports SciPy and, for the model, TensorFlow

    with captured_output():  # TensorFlow's libraries announce themselves, whatever the log level
        figures = estimation.estimate(model, board, latency_source, runtime)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    console.show_estimate(figures)
