"""The search against random search at equal time, Kendall's τ of its rankings, the cost of ending it early.

    python benchmarks/strategies.py compare natops.npz --latency-ms 15 --latency-ms 50 --latency-ms 150
    python benchmarks/strategies.py ranking natops.npz
    python benchmarks/strategies.py stopping natops.npz

`compare` gives random search as many seconds as the differentiable search took to find its architecture; both then
train and quantise theirs alike. One network trained with another seed differs by a few windows of a small test part,
which says nothing of the search that found it: `--trainings 3` trains each three times and compares the means. Finished
pairs append to the results; a rerun goes on where the last one stopped, also with more trainings, but a search that
was interrupted begins anew, for its seconds are counted. On a machine with other work, `--clock cpu` and one thread
(TF_NUM_INTRAOP_THREADS=1, TF_NUM_INTEROP_THREADS=1) keep the pairs fair: seconds of the processor are then those of an
idle machine.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import pandas as pd
from scipy.stats import kendalltau, t

from micronas_tf.boards import DEFAULT_BOARD, Budget
from micronas_tf.datasets import Dataset, Standardisation, load_dataset
from micronas_tf.ops import Network
from micronas_tf.pipeline import quantise, run, train_model
from micronas_tf.plan import Plan, make_plan
from micronas_tf.progress import silent
from micronas_tf.quantize import int8_accuracy
from micronas_tf.run_directory import RunDirectory, read_json, write_json
from micronas_tf.search import PoolRanking, Ranked, draw, random_search, rank, search, train_and_rank
from micronas_tf.selection import find_architecture
from micronas_tf.settings import Settings
from micronas_tf.supernet import SuperNet
from micronas_tf.training import network_input

WAYS = ("dnas", "random")

_NEXT_SEED = 1000
"""Seeds of the trainings are those of the searches plus multiples of it."""

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": time.process_time}


def settings_of(latency_ms: float, memory_kb: float, seed: int) -> Settings:
    return Settings(
        board=DEFAULT_BOARD, budget=Budget(latency_ms=latency_ms, memory_bytes=int(memory_kb * 1024)), seed=seed
    )


def accuracy_of(dataset: Dataset, settings: Settings, directory: Path) -> float:
    """int8 accuracy on the test part of a run whose architecture is found already."""
    result = run(dataset, settings, directory, about={"source": "arrays"})
    return float(result.metrics["int8"]["accuracy"])


def accuracies(dataset: Dataset, settings: Settings, directory: Path, trainings: int) -> list[float]:
    """int8 on the test part, of the architecture that was found in `directory`, trained with several seeds."""
    network = Network.from_json(read_json(RunDirectory(directory).network))
    standardisation = Standardisation.fit(dataset.train)
    x, y = network_input(dataset.test, standardisation), dataset.test.y
    found = []
    for number in range(trainings):
        plan = make_plan(dataset, replace(settings, seed=settings.seed + _NEXT_SEED * number))
        files = RunDirectory(directory / f"training-{number}" if number else directory)
        files.path.mkdir(exist_ok=True)
        model = train_model(plan, files, network, standardisation, silent)
        flatbuffer = quantise(plan, files, network, model, standardisation, silent)
        found.append(int8_accuracy(flatbuffer, x, y)["accuracy"])
    return found


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
    end = clock() + seconds
    ranked = random_search(
        plan.projector,
        plan.weight_windows,
        plan.alpha_windows,
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


def matching(results: Path, key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the results that agree with all of `key`."""
    return [row for row in read(results) if key.items() <= row.items()]


def find(results: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first of them, if any."""
    return next(iter(matching(results, key)), None)


def keep(results: Path, row: Mapping[str, Any]) -> None:
    """Append it to the results, and print it."""
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    click.echo(json.dumps(row))


def spread(rows: Sequence[Mapping[str, Any]]) -> str:
    """What another seed of the training alone changes: standard deviation over the trainings of a network, pooled."""
    each = [np.asarray(row["each"][way]) for row in rows for way in WAYS if len(row["each"][way]) > 1]
    if not each:
        return "one training of each network"
    variance = np.mean([values.var(ddof=1) for values in each])
    return f"one network, another seed of the training: ± {100 * np.sqrt(variance):.2f} points ({len(each)} networks)"


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
@click.option("--trainings", default=1, show_default=True, help="Of each architecture that is found.")
@click.option("--clock", default="wall", show_default=True, type=click.Choice(sorted(CLOCKS)))
@click.option("--results", default="strategies.jsonl", show_default=True, type=click.Path(path_type=Path))
@click.option("--runs", default="runs/strategies", show_default=True, type=click.Path(path_type=Path))
def compare(data: Path, results: Path, runs: Path, **options: Any) -> None:
    """Run the pairs that are not in the results yet, then print the difference.

    It is pooled over all pairs of the results with this clock and so many trainings.
    """
    for seed in range(options["seeds"]):
        for limit in options["limits"]:
            key = {
                "data": data.stem,
                "latency_ms": limit,
                "memory_kb": options["memory_kb"],
                "seed": seed,
                "trainings": options["trainings"],
                "clock": options["clock"],
            }
            if find(results, key) is None:
                settings = settings_of(limit, options["memory_kb"], seed)
                pair = _pair(data, settings, runs, options["clock"], options["trainings"])
                keep(results, {**key, **pair})
    rows = matching(results, {name: options[name] for name in ("trainings", "clock")})
    click.echo(pooled([row["dnas"] - row["random"] for row in rows]))
    click.echo(spread(rows))


def _pair(data: Path, settings: Settings, runs: Path, clock: str, trainings: int) -> dict[str, Any]:
    dataset = load_dataset(str(data), seed=settings.seed)
    name = f"{data.stem}-{settings.budget.latency_ms:g}-{settings.budget.memory_bytes}-{clock}-{settings.seed}"
    found = runs / f"{name}.json"
    if not found.exists():
        seconds = find_by_dnas(dataset, settings, runs / f"{name}-dnas", CLOCKS[clock])
        trials = find_at_random(dataset, settings, runs / f"{name}-random", seconds, CLOCKS[clock])
        write_json(found, {"seconds": round(seconds, 1), "trials": trials})
    each = {way: accuracies(dataset, settings, runs / f"{name}-{way}", trainings) for way in WAYS}
    means = {way: float(np.mean(values)) for way, values in each.items()}
    return {**means, "each": each, **read_json(found)}


@main.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--decided", default=0.3, show_default=True, help="Relative entropy of the gates that ends the search.")
@click.option("--latency-ms", default=50.0, show_default=True)
@click.option("--memory-kb", default=32.0, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--results", default="stopping.jsonl", show_default=True, type=click.Path(path_type=Path))
@click.option("--runs", default="runs/stopping", show_default=True, type=click.Path(path_type=Path))
def stopping(data: Path, results: Path, runs: Path, decided: float, **options: Any) -> None:
    """What it costs to end the search early: whole runs with a threshold, beside those of the default recipe."""
    rows = []
    for seed in range(options["seeds"]):
        usual = settings_of(options["latency_ms"], options["memory_kb"], seed)
        dataset = load_dataset(str(data), seed=seed)
        for threshold in (usual.search.decided, decided):
            budget = {name: options[name] for name in ("latency_ms", "memory_kb")}
            key = {"data": data.stem, **budget, "seed": seed, "decided": threshold}
            known = find(results, key)
            if known is None:
                limits = "-".join(f"{limit:g}" for limit in budget.values())
                directory = runs / f"{data.stem}-{limits}-{threshold:g}-{seed}"
                settings = replace(usual, search=replace(usual.search, decided=threshold))
                accuracy = accuracy_of(dataset, settings, directory)
                epochs = len(pd.read_csv(RunDirectory(directory).history))
                known = {**key, "accuracy": accuracy, "epochs": epochs}
                keep(results, known)
            rows.append(known)
    pairs = [late["accuracy"] - early["accuracy"] for late, early in zip(rows[::2], rows[1::2], strict=True)]
    click.echo(f"cost of ending early: {100 * np.mean(pairs):+.2f} points, {len(pairs)} seeds")


@main.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--latency-ms", default=50.0, show_default=True)
@click.option("--memory-kb", default=32.0, show_default=True)
@click.option("--count", default=20, show_default=True, help="Architectures.")
@click.option("--seed", default=0, show_default=True)
@click.option("--near-limit", is_flag=True, help="Architectures as the trials get them, instead of uniform draws.")
def ranking(data: Path, seed: int, **options: Any) -> None:
    """Kendall's τ between what is known of architectures early and their accuracy after a whole training.

    Early is what the supernet says of them, at the end of its warm-up and at the end of the search, and what shorter
    trainings from scratch say, as long as those of the trials' rounds. All on the windows of the α steps; the test
    part is not looked at.
    """
    dataset = load_dataset(str(data), seed=seed)
    settings = settings_of(options["latency_ms"], options["memory_kb"], seed)
    plan, standardisation = make_plan(dataset, settings), Standardisation.fit(dataset.train)
    parts = (plan.weight_windows, plan.alpha_windows, standardisation)
    recipe, count = plan.search, options["count"]
    candidates = (
        plan.projector.explore(count, recipe.explore, seed)
        if options["near_limit"]
        else list(islice(draw(plan.projector, seed), count))
    )
    said: dict[str, Sequence[Ranked]] = {}

    def after_warm_up(supernet: SuperNet) -> Sequence[Ranked]:
        said["supernet after its warm-up"] = rank(supernet, candidates, *parts, seed=seed)
        return []

    with TemporaryDirectory() as folder:
        pool = PoolRanking(recipe.warm_epochs, after_warm_up, Path(folder, "pool.json"))
        supernet = search(plan.figures, *parts, recipe, seed=seed, callbacks=[pool])
    said["supernet after the search"] = rank(supernet, candidates, *parts, seed=seed)
    trainings = {f"{share:.0%} of a training": settings.training.shortened(share) for _, share in recipe.halving()}
    for name, training in {**trainings, "whole training": settings.training}.items():
        said[name] = train_and_rank(candidates, *parts, training, seed=seed, total=len(candidates))
    click.echo(correlations(said, list(said)[-1]))


def correlations(said: Mapping[str, Sequence[Ranked]], whole: str) -> str:
    """A table of Kendall's τ with the accuracy of `whole`, by accuracy and by cross-entropy; latency for comparison."""
    truth = {one.candidate.architecture: one.accuracy for one in said[whole]}
    lines = ["| by | cross-entropy | accuracy |", "|---|---|---|"]

    def agreement(ranked: Sequence[Ranked], figure: Callable[[Ranked], float]) -> str:
        of_truth = [truth[one.candidate.architecture] for one in ranked]
        return f"{kendalltau([figure(one) for one in ranked], of_truth).statistic:+.2f}"

    for name, ranked in said.items():
        by_accuracy = "" if name == whole else agreement(ranked, lambda one: one.accuracy)
        lines.append(f"| {name} | {agreement(ranked, lambda one: -one.cross_entropy)} | {by_accuracy} |")
    latency = agreement(said[whole], lambda one: one.candidate.costs.latency.latency_ms)
    accuracies = sorted(truth.values())
    return "\n".join(
        [
            *lines,
            f"Latency: {latency}. {len(truth)} architectures, {accuracies[0]:.1%} to {accuracies[-1]:.1%}.",
        ]
    )


if __name__ == "__main__":
    main()
