"""Accuracy on UCI HAR's official test split at the MicroNAS paper's budgets and at ours, beside the paper's figures.

    python benchmarks/uci_har.py DATA --results uci_har.jsonl

DATA is the UCI HAR folder or an .npz of it with its official split. Every finished run appends one line to the results;
a rerun goes on where the last one stopped, also in the middle of a run. One run takes minutes on a desktop.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.strategies import find, keep, matching

from micronas_tf import MicroNAS
from micronas_tf.api import resume
from micronas_tf.boards import load_board
from micronas_tf.errors import BudgetError
from micronas_tf.run_directory import RunDirectory

F446RE, L552 = "nucleo_f446re", "nucleo_l552ze_q"


@dataclass(frozen=True, slots=True)
class Case:
    """A budget, and what the paper reaches with it (King et al., arXiv 2310.18384: int8, official test split).

    Attributes:
        name: in the results.
        board: id.
        latency_ms: limit; the L552's is given in cycles, for the paper's clock is not the board's.
        memory_bytes: limit.
        memory_figure: the paper's, or the arena.
        paper: accuracy in percent, None for our own budget.
    """

    name: str
    board: str
    latency_ms: float
    memory_bytes: int
    memory_figure: str
    paper: float | None


def cases() -> list[Case]:
    clock_hz = load_board(L552).clock_hz
    return [
        Case("F446RE 14.45 ms, 11,520 B", F446RE, 14.45, 11_520, "peak", 91.85),
        Case("F446RE 123.84 ms, 15,360 B", F446RE, 123.84, 15_360, "peak", 93.93),
        Case("L552 17.09 M cycles, 15,360 B", L552, 17.09e6 / clock_hz * 1e3, 15_360, "peak", 92.78),
        Case("F446RE 50 ms, 32 KiB of arena", F446RE, 50.0, 32_768, "arena", None),
    ]


PAPER_BASELINES = {"DARTS, softmax (paper)": 92.01, "DARTS, Gumbel (paper)": 92.97}


def run_case(case: Case, data: Path, seed: int, folder: Path, quantize: str) -> dict[str, Any]:
    """One run, or the rest of one that was interrupted."""
    directory = folder / f"{data.stem}-{cases().index(case)}-{quantize}-{seed}"
    if RunDirectory(directory).run.exists():
        metrics = resume(directory).metrics
    else:
        nas = MicroNAS(
            case.board,
            latency_ms=case.latency_ms,
            memory_kb=case.memory_bytes / 1024,
            memory_figure=case.memory_figure,
            seed=seed,
            quantize=quantize,
            out=directory,
        )
        metrics = nas.fit(data).metrics
    return {
        **key_of(case, data, seed, quantize),
        "int8_accuracy": metrics["int8"]["accuracy"],
        "int8_macro_f1": metrics["int8"]["macro_f1"],
        "float_accuracy": metrics["float"]["accuracy"],
        "latency_ms": metrics["latency_ms"]["value"],
        "peak_memory_bytes": metrics["peak_memory_bytes"],
        "arena_bytes": metrics["arena_bytes"],
        "kept": bool(metrics["within_budget"] and metrics["verified"]),
    }


def key_of(case: Case, data: Path, seed: int, quantize: str) -> dict[str, Any]:
    return {"data": data.stem, "case": case.name, "quantize": quantize, "seed": seed}


def table(rows: list[dict[str, Any]]) -> str:
    """Mean ± standard deviation over the seeds, in percent, beside the paper."""
    lines = [
        "| budget | int8 accuracy | int8 macro-F1 | float | seeds | kept | paper |",
        "|---|---|---|---|---|---|---|",
    ]
    frame = pd.DataFrame(rows)
    for case in cases():
        part = frame[frame["case"] == case.name] if len(frame) else frame
        if not len(part):
            continue
        figures = [_spread(100 * part[name]) for name in ("int8_accuracy", "int8_macro_f1", "float_accuracy")]
        kept = f"{int(part['kept'].sum())}/{len(part)}"
        lines.append(f"| {case.name} | {' | '.join(figures)} | {len(part)} | {kept} | {case.paper or '-'} |")
    lines += [f"| {name} | | | | | | {value} |" for name, value in PAPER_BASELINES.items()]
    return "\n".join(lines)


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.2f} ± {np.std(values, ddof=1) if len(values) > 1 else 0.0:.2f}"


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--results", default="uci_har.jsonl", show_default=True, type=click.Path(path_type=Path))
@click.option("--runs", default="runs/uci_har", show_default=True, type=click.Path(path_type=Path))
@click.option("--seeds", default=3, show_default=True)
@click.option("--case", "wanted", multiple=True, type=click.IntRange(0, 3), help="0 to 3; all when not given.")
@click.option("--quantize", default="qat", show_default=True)
def main(data: Path, results: Path, runs: Path, **options: Any) -> None:
    """Run what is not in the results yet, then print the table."""
    for seed in range(options["seeds"]):
        for case in [case for index, case in enumerate(cases()) if not options["wanted"] or index in options["wanted"]]:
            if find(results, key_of(case, data, seed, options["quantize"])) is not None:
                continue
            try:
                keep(results, run_case(case, data, seed, runs, options["quantize"]))
            except BudgetError as error:
                raise click.ClickException(f"{case.name}, seed {seed}: {error}") from error
    click.echo(table(matching(results, {"data": data.stem, "quantize": options["quantize"]})))


if __name__ == "__main__":
    main()
