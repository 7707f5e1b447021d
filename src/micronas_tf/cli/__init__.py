"""The command line: parse, call the pipeline, print."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from micronas_tf import __version__
from micronas_tf.cli.boards import boards
from micronas_tf.cli.characterize import characterize
from micronas_tf.cli.datasets import datasets
from micronas_tf.cli.estimate import estimate
from micronas_tf.cli.export import export
from micronas_tf.cli.fit_latency import fit_latency
from micronas_tf.cli.lut import lut
from micronas_tf.cli.report import report
from micronas_tf.cli.search import search
from micronas_tf.cli.verify import verify
from micronas_tf.errors import MicronasError, RunError


class _Commands(click.Group):
    """Turns the project's errors, and Ctrl-C, into one sentence and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except MicronasError as error:
            _end(error)
        except KeyboardInterrupt:  # click would exit with 1, which says that a promise does not hold
            _end(RunError("Interrupted. Run the command again."))


def _end(error: MicronasError) -> NoReturn:
    click.echo(f"Error: {error}", err=True)
    sys.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="micronas-tf")
def main() -> None:
    """Find, train and deliver the most accurate int8 time-series classifier that fits a microcontroller.

    \b
    Try it:    micronas-tf search --latency-ms 50 --memory-kb 32
    Your data: micronas-tf search windows.npz --board nucleo_f446re --latency-ms 50 --memory-kb 32

    Exit codes: 0 within budget, 1 the promise does not hold, 2 wrong input, or interrupted.
    """
    # TensorFlow writes a page of notices about instruction sets to standard error otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Other programs of the user may run Keras on something else.
    os.environ["KERAS_BACKEND"] = "tensorflow"


for command in (search, report, export, verify, estimate, characterize, boards, datasets, fit_latency, lut):
    main.add_command(command)
