"""Run directories as a search leaves them, made up in a second: real networks and costs, invented accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from micronas_tf.boards import Budget, load_board
from micronas_tf.cost import NetworkCosts, arena_head_bytes, default_source, network_costs
from micronas_tf.estimation import operator_figures
from micronas_tf.ops import Network
from micronas_tf.run_directory import RUN_SCHEMA, RunDirectory, read_json, write_json
from micronas_tf.space import SearchSpace, build_space, canonical, largest, lower, random_architecture

CLASSES = ("walking", "sitting", "lying")
BOARD = "nucleo_f446re"


def write_run(
    folder: Path,
    *,
    classes: Sequence[str] = CLASSES,
    window: int = 64,
    sensors: int = 6,
    seed: int = 0,
    rate_hz: float | None = 50.0,
    absent: int | None = None,
    budget: dict[str, Any] | None = None,
    board: dict[str, Any] | None = None,
    source: str | None = "windows.npz",
    widest: bool = False,
) -> Network:
    """Write the files of a finished run and return its network.

    Args:
        folder: of the run.
        classes: names.
        window, sensors: of the windows.
        seed: of the network and of the invented figures.
        rate_hz: of the data; None: unknown.
        absent: a class without test windows.
        budget: fields other than 50 ms and 32 KB.
        board: fields other than those of the board's file.
        source: as in run.json.
        widest: the largest network of the space.
    """
    rng = np.random.default_rng(seed)
    space = build_space(window, sensors, len(classes))
    chosen = canonical(space, largest(space)) if widest else random_architecture(space, rng)
    network, files = lower(space, chosen), RunDirectory(folder)
    described = load_board(BOARD)
    costs = network_costs(network, default_source(BOARD), described)
    limits = {
        "latency_ms": 50.0,
        "memory_bytes": 32768,
        "flash_bytes": None,
        "memory_figure": "arena",
        **(budget or {}),
    }
    counts = confusions(len(classes), absent, rng)
    accuracy = float(np.trace(counts) / counts.sum())
    write_json(files.metrics, metrics_of(network, costs, limits, counts, accuracy))
    write_json(
        files.details,
        {
            "schema": 1,
            "board": {**asdict(described), **(board or {})},
            "data": described_data(window, sensors, rate_hz, int(counts.sum())),
            **operator_figures(network, costs.latency, described),
            "float_flatbuffer_bytes": 3 * costs.flash_bytes,
            "ptq": {"accuracy": accuracy - 0.03, "macro_f1": accuracy - 0.04},
        },
    )
    write_json(files.network, network.to_json())
    write_json(files.architecture, chosen.to_json())
    candidate = {"accuracy": 0.6, "cross_entropy": 1.2, "score": -0.1, **costs.to_json()}
    write_json(files.candidates, [{**candidate, "architecture": chosen.to_json()}])
    write_json(files.run, record(classes, limits, space, source))
    files.history.write_text(history(space, rng).to_csv(index=False))
    return network


def metrics_of(
    network: Network, costs: NetworkCosts, limits: dict[str, Any], counts: np.ndarray, accuracy: float
) -> dict[str, Any]:
    """`metrics.json`: the costs are real, the accuracies follow from the made-up confusions."""
    head = arena_head_bytes(network)
    excess = costs.excess(Budget(**limits))
    return {
        "int8": {"accuracy": accuracy, "macro_f1": accuracy - 0.01},
        "float": {"accuracy": accuracy + 0.02, "macro_f1": accuracy},
        **costs.to_json(),
        "flatbuffer_bytes": costs.flash_bytes,
        "board": BOARD,
        "budget": limits,
        "margin": 0.01,
        "within_budget": not excess,
        "excess": {name: list(pair) for name, pair in excess.items()},
        "verified": True,
        "verification": {
            "windows": int(counts.sum()),
            "bit_equal": True,
            "first_difference": None,
            "arena_head_bytes": head,
            "planned_head_bytes": head,
            "operators": ["CONV_2D"],
        },
        "confusions": counts.tolist(),
    }


def described_data(window: int, sensors: int, rate_hz: float | None, tested: int) -> dict[str, Any]:
    """What `micronas_tf.datasets.describe` says of a data set."""
    return {
        "name": "motion",
        "windows": {"train": 900, "test": tested},
        "window": window,
        "sensors": sensors,
        "sampling_rate_hz": rate_hz,
        "classes": {},
        "channels": [],
        "triads": [],
        "subjects": None,
        "split": "official",
        "notes": [],
        "sha256": "ab" * 32,
    }


def record(classes: Sequence[str], budget: dict[str, Any], space: SearchSpace, source: str | None) -> dict[str, Any]:
    """`run.json`, with the settings that a report reads."""
    return {
        "schema": RUN_SCHEMA,
        "source": source,
        "window": None,
        "hop": None,
        "test_fraction": 0.25,
        "settings": {
            "board": BOARD, "budget": budget, "latency_source": "auto", "runtime": "tflm", "margin": None,
            "strategy": "dnas", "quantisation": "qat", "seed": 7,
            "space": asdict(space.config), "search": {"epochs": 12, "least_steps": 0},
            "training": {}, "saved_model": False,
        },
        "data": {"name": "motion", "sha256": "ab" * 32, "classes": list(classes)},
        "versions": {"python": "3.11.7", "micronas-tf": "0.1.0", "tensorflow": "2.21.0"},
        "status": "done",
    }  # fmt: skip


def confusions(classes: int, absent: int | None, rng: np.random.Generator) -> np.ndarray:
    """Mostly right; a class that is absent has an empty row, but may be answered."""
    counts = rng.poisson(0.8, (classes, classes)) + np.diag(rng.integers(20, 60, classes))
    if absent is not None:
        counts[absent] = 0
    return counts


def history(space: SearchSpace, rng: np.random.Generator, epochs: int = 12) -> pd.DataFrame:
    """A search whose choices sharpen; in its first epoch only the weights learn."""
    rows = []
    logits = {group.name: rng.normal(size=len(group)) for group in space.groups}
    for epoch in range(1, epochs + 1):
        row = {"epoch": float(epoch), "accuracy": 0.4 + 0.03 * epoch, "alpha_accuracy": 0.38 + 0.03 * epoch,
               "alpha_loss": 0.0 if epoch == 1 else 1.2, "entropy": 1 - epoch / 20, "flash_bytes": 30000.0,
               "latency_ms": 70 - 1.8 * epoch, "loss": 1.0, "memory_bytes": 20000 + 200.0 * epoch,
               "temperature": 0.85**epoch}  # fmt: skip
        for group in space.groups:
            weights = np.exp(logits[group.name] * epoch / 4)
            row |= {f"p({group.name}={c})": w for c, w in zip(group.choices, weights / weights.sum(), strict=True)}
        rows.append(row)
    return pd.DataFrame(rows)


def verified_on_board(network: Network, **changed: Any) -> dict[str, Any]:
    """`verify.json` of an emulated board; predictions are off by 1 %, and by 4 % for the second operator."""
    operators = [
        {"index": k, "name": node.name, "op": {}, "predicted_cycles": (1040 if k == 1 else 1010) * (k + 1),
         "measured_cycles": 1000 * (k + 1)}
        for k, node in enumerate(network.nodes)
    ]  # fmt: skip
    return {
        "schema": 1,
        "board": "qemu_cortex_m4",
        "runtime": "tflm",
        "device": "emulated, counted instructions",
        "windows": 200,
        "drawn_windows": 160,
        "bit_exact": True,
        "first_difference": None,
        "latency_ms": {"predicted": 40.4, "measured": 40.0, "source": "emulated"},
        "operators": operators,
        "arena": {"planned_bytes": 9000, "high_water_bytes": 9000},
        "bundle": {"flash_bytes": 30100, "ram_bytes": 12345},
        "tflm": {"flash_bytes": 70200, "arena_bytes": 23456},
        **changed,
    }


TRIED = (
    (0.91, 49.0, -21.5, False), (0.9, 31.0, -0.4, True), (0.88, 44.0, -3.0, True), (0.7, 48.5, -30.0, False),
    (0.64, 9.0, 0.0, True),
)  # fmt: skip
"""Accuracy, milliseconds, score of the last round's trials, best first, and whether the search proposed them."""


def write_trials(folder: Path) -> None:
    """`candidates.json` of a search that tried six networks; the sixth went out after the first round."""
    files = RunDirectory(folder)
    (candidate,) = read_json(files.candidates)
    found = [
        {**candidate, "accuracy": accuracy, "score": score, "proposed": proposed, "steps": 450, "round": 2,
         "latency_ms": {**candidate["latency_ms"], "value": latency_ms}}
        for accuracy, latency_ms, score, proposed in (*TRIED, (0.95, 20.0, -1.0, True))
    ]  # fmt: skip
    found[-1] |= {"steps": 150, "round": 1}
    write_json(files.candidates, found)


def write_baseline(folder: Path, strategy: str | None = "random", seed: int = 1, **metrics: Any) -> Path:
    """A finished run on the same data; without a strategy, one of a version that did not name it."""
    write_run(folder, seed=seed)
    files = RunDirectory(folder)
    record = read_json(files.run)
    record["settings"]["seed"] = seed
    if strategy is None:
        del record["settings"]["strategy"]
    else:
        record["settings"]["strategy"] = strategy
    write_json(files.run, record)
    write_json(files.metrics, {**read_json(files.metrics), **metrics})
    return folder


def pareto(axis: str = "latency") -> dict[str, Any]:
    """`pareto.json` with one point that was not trained."""
    points = [
        {"limit": limit, "latency_ms": 0.95 * limit, "arena_bytes": 400 * limit, "peak_memory_bytes": 300 * limit,
         "int8_accuracy": accuracy,
         "supernet_accuracy": 0.5 + limit / 400, "trained": accuracy is not None, "knee": limit == 20,
         "chosen": limit == 40}
        for limit, accuracy in ((5, 0.81), (10, 0.88), (20, 0.93), (40, 0.945), (80, None))
    ]  # fmt: skip
    return {"schema": 1, "axis": axis, "points": points}
