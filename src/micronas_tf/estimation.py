"""Latency sources of a board, and what a finished model costs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_data_path

from micronas_tf.boards import Board, board_ids, load_board
from micronas_tf.cost import (
    EMULATED,
    LatencySource,
    NetworkLatency,
    OperatorModel,
    Runtime,
    default_source,
    fit_operator_model,
    fitted_models,
    is_measured,
    is_table,
    load_operator_model,
    model_path,
    network_costs,
    read_measurements,
    read_table,
    source_counts,
    write_operator_model,
)
from micronas_tf.errors import CostError, ModelError
from micronas_tf.ops import Network
from micronas_tf.space import SearchSpace, characterize_command


def user_tables() -> Path:
    """Folder of what the user measured or fitted."""
    return user_data_path("micronas-tf") / "latency"


def latency_source(name: str, board: Board, runtime: Runtime = "tflm") -> LatencySource:
    """`auto` (measured table, then fitted model), `ops` (operation count), or the path of a lookup table.

    Raises:
        CostError: there is none, or it is of another board or runtime.
    """
    if name == "auto":
        return default_source(board.id, (user_tables(),), runtime, board.emulates)
    if name == "ops":
        fitted = next(fitted_models(board.id, (user_tables(),), runtime, board.emulates), None)
        # Where there is none, the one that does not ship says so.
        return (fitted or load_operator_model(board.id, runtime)).operation_count()
    path = Path(name)
    if not path.is_file():
        raise CostError(f"A latency source is auto, ops or a lookup table's file. Received: {name!r}.")
    table = read_table(path).source()
    if table.board_id != board.id:
        raise CostError(f"{path} is of {table.board_id}. Received: --board {board.id}. Choose one of the two.")
    if table.runtime != runtime:
        raise CostError(
            f"{path} is of the runtime {table.runtime}. Received: --runtime {runtime}. Choose one of the two."
        )
    return table


def mean_error(space: SearchSpace, source: LatencySource) -> float:
    """Mean relative error of the source over the operators of the space."""
    return float(np.mean([source.cycles(op).rel_error for op in space.operators()]))


def latency_notes(name: str, board_name: str, runtime: Runtime, space: SearchSpace) -> tuple[str, ...]:
    """What a search should know of its latencies: where those of its operators come from, and how to measure the rest.

    Args:
        name: of the latency source, as for `latency_source`.
        board_name: id, or a board's .toml file.
        runtime: whose kernels.
        space: whose operators.

    Raises:
        BoardError, CostError: unknown board, or no latency source.
    """
    board = load_board(board_name)
    source, operators = latency_source(name, board, runtime), space.operators()
    counts = {part: count for part, count in source_counts(source, operators).items() if count}
    measured = sum(is_measured(source, op) for op in operators)
    origins = f"Latency of {len(operators)} operators: {'; '.join(f'{n} by the {part}' for part, n in counts.items())}."
    shape = (space.window, space.sensors, space.classes)
    command = characterize_command(space.config, shape, board_name, runtime)
    if name != "auto" or not board.firmware or measured == len(operators) or command is None:
        return (origins,)
    what = f"the other {len(operators) - measured}" if measured else "them"
    # What a table holds already is kept.
    return (origins, f"To measure {what}: {command}{' --resume' if measured else ''}")


def fit_latency(
    csv: Path, board: str, provenance: str | None, *, seed: int, out: Path | None
) -> tuple[Path, OperatorModel]:
    """Fit an operator model on measured cycles and write it where `latency_source` finds it.

    A table of an emulated board is also one of the board that it stands for.

    Args:
        csv: a lookup table, or measurements (docs/file-formats.md).
        board: what was measured: its id, which need not be one that ships, or its .toml file.
        provenance: who measured what; a table's own when None. Of an emulated table it says so in any case.
        seed: of the held-out rows.
        out: JSON file; the user's data folder when None.

    Raises:
        BoardError: there is no such file of a board.
        CostError: the table is malformed, of another board, or too small, or the id is none.
    """
    board_id = load_board(board).id if board.endswith(".toml") else board
    if board_id != Path(board_id).name:
        raise CostError(
            f"A board's id becomes the name of a file. Received: {board!r}. Give the id, or its .toml file."
        )
    runtime: Runtime = "tflm"
    if is_table(csv):
        header = read_table(csv).header
        if board_id not in (header.board, _stands_for(header.board)):
            raise CostError(f"{csv} is of {header.board}. Received: --board {board_id}. Choose one of the two.")
        runtime = header.runtime
        # The model's error depends on it.
        emulated = header.provenance.startswith(EMULATED) and not (provenance or "").startswith(EMULATED)
        provenance = f"{EMULATED}: {provenance}" if provenance and emulated else provenance or header.provenance
    model = fit_operator_model(read_measurements(csv), board_id, provenance or f"measured: {csv.name}", seed, runtime)
    path = out or model_path(user_tables(), board_id, runtime)
    write_operator_model(path, model)
    return path, model


def _stands_for(board_id: str) -> str:
    """The board that an emulated one stands for; empty for others, and for boards that only their owner knows."""
    return load_board(board_id).emulates if board_id in board_ids() else ""


def load_any_network(path: Path) -> Network:
    """The network of an int8 .tflite or a .keras file of known operators.

    Raises:
        ModelError: neither, damaged, or with unknown operators, which it names.
    """
    if path.suffix == ".tflite":
        from micronas_tf.models import load_network  # noqa: PLC0415 - imports TensorFlow

        return load_network(path)
    if path.suffix == ".keras":
        from micronas_tf.models import load_keras_network  # noqa: PLC0415 - imports TensorFlow

        return load_keras_network(path)
    raise ModelError(
        f"A model is an int8 .tflite or a .keras file. Received: {path.name!r}. Save a Keras model as .keras; convert "
        "another one to int8 .tflite."
    )


def estimate(model: Path, board_id: str, source_name: str = "auto", runtime: Runtime = "tflm") -> dict[str, Any]:
    """What a model costs on a board, operator by operator, as a JSON object.

    Raises:
        ModelError: unknown operators, or no such model.
        BoardError, CostError: unknown board, or no latency for an operator.
    """
    board = load_board(board_id)
    source = latency_source(source_name, board, runtime)
    network = load_any_network(model)
    costs = network_costs(network, source, board)
    flash = {"flash_bytes": model.stat().st_size} if model.suffix == ".tflite" else {}
    return {
        "model": str(model),
        "board": board.id,
        **costs.to_json(),
        **flash,
        **operator_figures(network, costs.latency, board),
    }


def operator_figures(network: Network, latency: NetworkLatency, board: Board) -> dict[str, Any]:
    """`overhead_cycles` and `operators` in order, as `estimate` prints them and `details.json` keeps them."""
    estimates = latency.estimates
    return {
        "overhead_cycles": round(latency.total_cycles - sum(item.cycles for item in estimates)),
        "operators": [
            {
                "name": node.name,
                "op": str(node.op),
                "cycles": item.cycles,
                "latency_ms": board.milliseconds(item.cycles),
                "share": item.cycles / latency.total_cycles,
                "rel_error": item.rel_error,
                "source": item.provenance,
            }
            for node, item in zip(network.nodes, estimates, strict=True)
        ],
    }
