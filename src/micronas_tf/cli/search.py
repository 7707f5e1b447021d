"""`micronas-tf search`: windows in, a verified int8 model out."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from micronas_tf.boards import DEFAULT_BOARD
from micronas_tf.cli.options import data_options, extra_cells_option, is_given, json_option, runtime_option
from micronas_tf.errors import RunError
from micronas_tf.quiet import captured_output

WITH_RESUME = frozenset({"resume", "quiet", "as_json", "time_budget", "pareto", "pareto_points"})
"""Options that a run can be given when it is resumed."""

POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@data_options
@click.option("--board", default=DEFAULT_BOARD, show_default=True, help="Board id or a board's .toml file.")
@click.option("--latency-ms", type=POSITIVE, help="Limit of one inference.")
@click.option("--memory-kb", type=POSITIVE, help="Limit of the memory figure; 1 KB = 1,024 bytes.")
@click.option("--flash-kb", type=POSITIVE, help="Limit of the int8 model's size.")
@click.option(
    "--memory-figure",
    type=click.Choice(["arena", "peak"]),
    default="arena",
    show_default=True,
    help="What --memory-kb limits: the arena that the runtime must be given, or the MicroNAS paper's peak memory.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of the search and of the training, each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random; a run repeats with it.")
@click.option(
    "--strategy",
    type=click.Choice(["dnas", "random", "darts-softmax", "darts-gumbel"]),
    default="dnas",
    show_default=True,
    help="How the architecture is found: the search, or a baseline to compare it with (docs/how-it-works.md).",
)
@click.option(
    "--quantize",
    type=click.Choice(["qat", "qat-scratch", "ptq"]),
    default="qat",
    show_default=True,
    help="Quantisation-aware fine-tuning, quantisation-aware training from scratch, or post-training.",
)
@click.option(
    "--latency-source",
    default="auto",
    show_default=True,
    help="auto: your measured table, then the fitted model; ops: operation count; or a lookup table's file.",
)
@runtime_option("tflm")
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    help="Keep the predicted latency below limit / (1 + margin).  [default: the source's mean error]",
)
@extra_cells_option
@click.option("--saved-model", is_flag=True, help="Also write a SavedModel, for serving or tf_keras.")
@click.option(
    "--time-budget",
    metavar="DURATION",
    help="90s, 10m, 1h30m: the whole job ends then, 10 % late at most, with fewer steps if need be.",
)
@click.option(
    "--pareto",
    type=click.Choice(["latency", "memory"]),
    help="Also train models along this cost, from the least to the limit, from the same search.",
)
@click.option(
    "--pareto-points",
    type=click.IntRange(min=2),
    help="Models of --pareto at most, the answer to the budget included.  [default: 5]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: runs/<data>-<board>-<time>]"
)
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@json_option
@click.pass_context
def search(
    context: click.Context, /, source: str | None, resume: Path | None, quiet: bool, as_json: bool, **options: Any
) -> None:
    """Find, train, quantise and verify the most accurate model for SOURCE that fits the budget.

    SOURCE is an .npz, a .csv or .parquet table of samples (--window), a .ts file, the UCI HAR folder, or a name in
    the UEA/UCR archive; without it, BasicMotions (smartwatch motion) is used. Every limit is optional.

    The run's folder gets model.keras, model.tflite, metrics.json and what led to them. Ctrl-C leaves a run that
    --resume goes on with.

    \b
    Exit codes: 0 within budget, 1 the promise does not hold, 2 wrong input, or interrupted.
    """
    started = time.monotonic()
    if is_given(context, "pareto_points") and options["pareto"] is None:
        raise click.UsageError("--pareto-points says how many models --pareto trains. Give --pareto, too, or neither.")
    if resume:
        _refuse_settings(context)
    with captured_output():  # TensorFlow's libraries announce themselves, whatever the log level
        from micronas_tf import api, console, promise  # noqa: PLC0415 - imports TensorFlow

    verbose = not quiet and not as_json
    try:
        if resume:
            later = {name: options[name] for name in ("time_budget", "pareto", "pareto_points")}
            result = api.resume(resume, **later, verbose=verbose, started=started)
        else:
            result = _start(source, options, verbose=verbose, started=started)
    except KeyboardInterrupt as interrupt:
        raise RunError(" ".join(getattr(interrupt, "__notes__", ["Interrupted before the run began."]))) from None
    if as_json:
        front = {"pareto": result.pareto} if result.pareto else {}
        click.echo(json.dumps({"directory": str(result.directory), **result.metrics, **front}, indent=2))
    elif not quiet:
        console.show_summary(result.metrics, result.directory)
        if result.pareto:
            console.show_front(result.pareto)
    broken = promise.promise_broken(result.metrics) or promise.front_broken(result.pareto or {"points": []})
    if broken is not None:
        raise broken
    sys.exit(0)


def _refuse_settings(context: click.Context) -> None:
    """A run goes on with its own settings: whoever gives others means something else.

    Raises:
        RunError: names what was given beside `--resume`.
    """
    given = [
        parameter.opts[0] if isinstance(parameter, click.Option) else "SOURCE"
        for parameter in context.command.get_params(context)
        if parameter.name not in WITH_RESUME and is_given(context, str(parameter.name))
    ]
    if given:
        raise RunError(
            f"--resume goes on with the settings and the data of its run. Received besides it: {', '.join(given)}. "
            "Leave that out, or start a new run."
        )


def _start(source: str | None, options: dict[str, Any], *, verbose: bool, started: float) -> Any:
    from micronas_tf import api  # noqa: PLC0415 - imports TensorFlow

    data = {name: options.pop(name) for name in ("window", "hop", "test_fraction")}
    search = api.MicroNAS(**options, verbose=verbose)
    search.started = started
    return search.fit(source, **data)
