"""The differentiable search against random search at equal wall time, and Kendall's τ of its ranking.

    python benchmarks/strategies.py compare natops.npz --latency-ms 15 --latency-ms 50 --latency-ms 150
    python benchmarks/strategies.py ranking natops.npz

`compare` gives random search as many seconds as the differentiable search took to find its architecture; both then
train and quantise theirs alike. Finished pairs append to the results; a rerun goes on where the last one stopped, but
a search that was interrupted begins anew, for its seconds are counted. On a machine with other work, `--clock cpu` and
one thread (TF_NUM_INTRAOP_THREADS=1, TF_NUM_INTEROP_THREADS=1) keep the pairs fair: seconds of the processor are then
those of an idle machine.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import kendalltau, t

from micronas_tf.boards import DEFAULT_BOARD, Budget
from micronas_tf.datasets import Dataset, Standardisation, load_dataset, split
from micronas_tf.pipeline import run
from micronas_tf.plan import ALPHA_FRACTION, Plan, make_plan
from micronas_tf.progress import silent
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import draw, random_search, rank, search, train_and_rank
from micronas_tf.selection import find_architecture
from micronas_tf.settings import Settings

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": time.process_time}


def settings_of(latency_ms: float, memory_kb: float, seed: int) -> Settings:
    return Settings(
        board=DEFAULT_BOARD, budget=Budget(latency_ms=latency_ms, memory_bytes=int(memory_kb * 1024)), seed=seed
    )


def accuracy_of(dataset: Dataset, settings: Settings, directory: Path) -> float:
    """int8 accuracy on the test part of a run whose architecture is found already."""
    result = run(dataset, settings, directory, about={"source": "arrays"})
    return float(result.metrics["int8"]["accuracy"])


def find_by_dnas(dataset: Dataset, settings: Settings, directory: Path, clock: Callable[[], float]) -> float:
    """Find an architecture; seconds that it took."""
    plan, files, standardisation = _prepare(dataset, settings, directory)
    start = clock()
    find_architecture(plan, files, standardisation, silent)
    return clock() - start


def find_at_random(
    dataset: Dataset, settings: Settings, directory: Path, seconds: float, clock: Callable[[], float]
) -> int:
    """Find an architecture within `seconds` and the training that they end in; how many were trained."""
    plan, files, standardisation = _prepare(dataset, settings, directory)
    weights, alphas = split(dataset.train, ALPHA_FRACTION, seed=settings.seed)
    end = clock() + seconds
    ranked = random_search(
        plan.projector,
        weights,
        alphas,
        standardisation,
        settings.training,
        10_000,
        seed=settings.seed,
        stop=lambda: clock() > end,
    )
    write_json(files.network, ranked[0].candidate.network.to_json())
    write_json(files.architecture, ranked[0].candidate.architecture.to_json())
    return len(ranked)


def _prepare(dataset: Dataset, settings: Settings, directory: Path) -> tuple[Plan, RunDirectory, Standardisation]:
    files = RunDirectory(directory)
    shutil.rmtree(directory, ignore_errors=True)
    files.search.mkdir(parents=True)
    return make_plan(dataset, settings), files, Standardisation.fit(dataset.train)


def read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def pooled(differences: Sequence[float]) -> str:
    """Mean of the paired differences in points, with its 95 % interval (Student's t)."""
    values = 100 * np.asarray(differences)
    if len(values) < 2:
        return f"dnas - random: {values.mean():+.2f} points (one pair)"
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    mean = values.mean()
    interval = f"{mean - half:+.2f} to {mean + half:+.2f}"
    return f"dnas - random: {mean:+.2f} points, 95 % interval {interval}, {len(values)} pairs"


@click.group()
def main() -> None:
    """Compare search strategies."""


@main.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--latency-ms", "limits", multiple=True, type=float, default=(50.0,), show_default=True)
@click.option("--memory-kb", default=32.0, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--clock", default="wall", show_default=True, type=click.Choice(sorted(CLOCKS)))
@click.option("--results", default="strategies.jsonl", show_default=True, type=click.Path(path_type=Path))
@click.option("--runs", default="runs/strategies", show_default=True, type=click.Path(path_type=Path))
def compare(data: Path, results: Path, runs: Path, **options: Any) -> None:
    """Run the pairs that are not in the results yet, then print the pooled difference."""
    for seed in range(options["seeds"]):
        for limit in options["limits"]:
            key = {"data": data.stem, "latency_ms": limit, "memory_kb": options["memory_kb"], "seed": seed}
            if any(key.items() <= row.items() for row in read(results)):
                continue
            row = {**key, **_pair(data, settings_of(limit, options["memory_kb"], seed), runs, CLOCKS[options["clock"]])}
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            click.echo(json.dumps(row))
    rows = read(results)
    click.echo(pooled([row["dnas"] - row["random"] for row in rows]))


def _pair(data: Path, settings: Settings, runs: Path, clock: Callable[[], float]) -> dict[str, Any]:
    dataset = load_dataset(str(data), seed=settings.seed)
    name = f"{data.stem}-{settings.budget.latency_ms:g}-{settings.budget.memory_bytes}-{settings.seed}"
    found = runs / f"{name}.json"
    if not found.exists():
        seconds = find_by_dnas(dataset, settings, runs / f"{name}-dnas", clock)
        trials = find_at_random(dataset, settings, runs / f"{name}-random", seconds, clock)
        write_json(found, {"seconds": round(seconds, 1), "trials": trials})
    scores = {way: accuracy_of(dataset, settings, runs / f"{name}-{way}") for way in ("dnas", "random")}
    return {**scores, **read_json(found)}


@main.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--latency-ms", default=50.0, show_default=True)
@click.option("--memory-kb", default=32.0, show_default=True)
@click.option("--count", default=20, show_default=True, help="Architectures.")
@click.option("--seed", default=0, show_default=True)
def ranking(data: Path, latency_ms: float, memory_kb: float, count: int, seed: int) -> None:
    """Kendall's τ between what the supernet says of architectures and their accuracy when trained from scratch.

    Both on the windows of the α steps; the test part is not looked at.
    """
    dataset, settings = load_dataset(str(data), seed=seed), settings_of(latency_ms, memory_kb, seed)
    plan, standardisation = make_plan(dataset, settings), Standardisation.fit(dataset.train)
    weights, alphas = split(dataset.train, ALPHA_FRACTION, seed=seed)
    supernet = search(plan.figures, weights, alphas, standardisation, settings.search, seed=seed)
    candidates = list(islice(draw(plan.projector, seed), count))
    said = rank(supernet, candidates, weights, alphas, standardisation, seed=seed)
    found = {
        one.candidate.architecture: one.accuracy
        for one in train_and_rank(
            candidates, weights, alphas, standardisation, settings.training, seed=seed, total=count
        )
    }
    truth = [found[one.candidate.architecture] for one in said]
    for name, values in {
        "supernet's cross-entropy": [-one.cross_entropy for one in said],
        "supernet's accuracy": [one.accuracy for one in said],
        "latency": [one.candidate.costs.latency.latency_ms for one in said],
    }.items():
        click.echo(f"Kendall's τ, accuracy from scratch against {name}: {kendalltau(values, truth).statistic:+.2f}")


if __name__ == "__main__":
    main()
