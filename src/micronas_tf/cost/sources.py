"""Which latency source a board has: a user's measurements first, then a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from micronas_tf.cost.latency import Chain, LatencySource, LookupTable
from micronas_tf.cost.memory import Runtime
from micronas_tf.cost.operator_model import OperatorModel, load_operator_model, models_directory, read_operator_model
from micronas_tf.cost.table import read_table
from micronas_tf.errors import CostError

Measured = TypeVar("Measured", LookupTable, OperatorModel)


def table_path(directory: Path, board_id: str, runtime: Runtime) -> Path:
    """Where the lookup table of a board and runtime lies in a folder of tables."""
    return directory / f"{board_id}.{runtime}.csv"


def model_path(directory: Path, board_id: str, runtime: Runtime) -> Path:
    """Where a user's fitted model of a board and runtime lies in a folder of tables."""
    return directory / f"{board_id}.{runtime}.json"


def default_source(board_id: str, table_dirs: Sequence[Path] = (), runtime: Runtime = "tflm") -> LatencySource:
    """The first lookup table found in `table_dirs`, then the first fitted model, as one source.

    Models are searched in `table_dirs`, then among those that ship (TFLM only). One of the two is enough.

    Raises:
        CostError: neither is there, a file is malformed, or it is of another board or runtime.
    """
    sources: list[LatencySource] = []
    table = next((path for folder in table_dirs if (path := table_path(folder, board_id, runtime)).is_file()), None)
    if table is not None:
        sources.append(_checked(read_table(table).source(), board_id, runtime, table))
    model = _find_model(board_id, table_dirs, runtime)
    if model is not None:
        sources.append(model)
    if not sources:
        raise CostError(
            f"No latency source for {board_id} with the runtime {runtime}. "
            f"Run `make characterize BOARD={board_id}`, or `micronas-tf fit-latency CSV --board {board_id}`."
        )
    return sources[0] if len(sources) == 1 else Chain(tuple(sources))


def _find_model(board_id: str, table_dirs: Sequence[Path], runtime: Runtime) -> OperatorModel | None:
    for folder in table_dirs:
        path = model_path(folder, board_id, runtime)
        if path.is_file():
            return _checked(read_operator_model(path), board_id, runtime, path)
    if runtime == "tflm" and (models_directory() / f"{board_id}.json").is_file():
        return load_operator_model(board_id)
    return None


def _checked(source: Measured, board_id: str, runtime: Runtime, path: Path) -> Measured:
    if (source.board_id, source.runtime) != (board_id, runtime):
        raise CostError(
            f"{path} must be of {board_id} and {runtime}. Received: {source.board_id} and {source.runtime}. "
            "Rename it, or choose the board it was measured on."
        )
    return source
