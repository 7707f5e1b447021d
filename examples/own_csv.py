"""From a CSV of samples to a program with the model in it, verified on an emulated board.

    python -m examples.own_csv                                         # made-up motion
    python -m examples.own_csv mine.csv --window 100 --hop 50          # your own table

Every step is one command of micronas-tf, shown before it runs; type them yourself, or keep this file as your script.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from examples import motion

FIRMWARE = Path(__file__).with_name("firmware")


def micronas_tf(*arguments: str | Path | int | float) -> None:
    """Run a command of micronas-tf in this Python's environment. An exit code other than 0 ends the example."""
    words = [str(argument) for argument in arguments]
    click.secho(f"$ micronas-tf {shlex.join(words)}", bold=True)
    done = subprocess.run([sys.executable, "-c", "from micronas_tf.cli import main; main()", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def write_firmware(run: Path, target: Path) -> None:
    """What a firmware project needs: the bundle of the run, and the code that slides a window over the samples."""
    shutil.copytree(FIRMWARE, target, dirs_exist_ok=True)
    micronas_tf("export", run, "--out", target / "bundle")


@click.command()
@click.argument("csv", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--window", default=64, show_default=True, help="Samples of a window.")
@click.option("--hop", default=32, show_default=True, help="Samples between windows.")
@click.option("--latency-ms", default=20.0, show_default=True, help="Limit of one inference.")
@click.option("--memory-kb", default=16.0, show_default=True, help="Limit of the arena.")
@click.option("--board", default="nucleo_f446re", show_default=True, help="What the model is for.")
@click.option("--proof", default="qemu_cortex_m4", show_default=True, help="Where it is verified; none: nowhere.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/own_csv"), show_default=True)
@click.option(
    "--quick", is_flag=True, help="One epoch of everything: a look at the course of things, and a poor model."
)
def main(csv: Path | None, out: Path, quick: bool, **options: Any) -> None:
    """Search a model for the table CSV and put it into a firmware project. Without CSV, motion is made up."""
    if out.exists():
        raise click.ClickException(f"{out} exists. Give another folder with --out.")
    if csv is None:
        csv = out.with_name(f"{out.name}.csv")
        csv.parent.mkdir(parents=True, exist_ok=True)
        motion.samples().to_csv(csv, index=False)

    # What the table holds and how it will be split. Look here first: are all columns that are channels sensors? Is the
    # rate right? Does the split keep people or recordings apart?
    cut = ("--window", options["window"], "--hop", options["hop"])
    micronas_tf("datasets", csv, *cut)

    # The runtime is whose kernels will run the model. The bundle is what the firmware below takes; its latency is
    # another one than that of TensorFlow Lite Micro.
    search = [*cut, "--runtime", "bundle", "--board", options["board"], "--out", out]
    search += ["--latency-ms", options["latency_ms"], "--memory-kb", options["memory_kb"]]
    if quick:
        search += ["--epochs", 1, "--extra-cells", 0, "--quantize", "ptq"]
    micronas_tf("search", csv, *search)

    # Every score of up to 256 test windows (and of random ones, where these are fewer than 200), bit for bit, and
    # the cycles of each operator. With a board on USB:
    # --proof nucleo_f446re.
    if options["proof"] != "none":
        micronas_tf("verify", out, "--board", options["proof"])

    write_firmware(out, out / "firmware")
    click.echo(f"Report: {out / 'report.html'}. Copy into your firmware project: {out / 'firmware'}")


if __name__ == "__main__":
    main()
