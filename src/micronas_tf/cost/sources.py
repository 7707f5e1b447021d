"""Which latency sources a board has: a user's measurements first, then fitted models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from micronas_tf.cost.latency import Chain, LatencySource, LookupTable, how_to_measure
from micronas_tf.cost.memory import Runtime
from micronas_tf.cost.operator_model import OperatorModel, model_path, models_directory, read_operator_model
from micronas_tf.cost.table import read_table
from micronas_tf.errors import CostError

Measured = TypeVar("Measured", LookupTable, OperatorModel)


def table_path(directory: Path, board_id: str, runtime: Runtime) -> Path:
    """Where the lookup table of a board and runtime lies in a folder of tables."""
    return directory / f"{board_id}.{runtime}.csv"


def default_source(
    board_id: str, table_dirs: Sequence[Path] = (), runtime: Runtime = "tflm", stands_for: str = ""
) -> LatencySource:
    """The first lookup table found in `table_dirs`, then every fitted model, as one source.

    Models are searched in `table_dirs`, then among those that ship: one that was fitted on a few kinds of operators
    leaves the others to the next. One source is enough.

    Args:
        board_id: of the board.
        table_dirs: folders of what a user measured or fitted.
        runtime: whose kernels.
        stands_for: of an emulated board, the real one whose models hold for it where its own do not.

    Raises:
        CostError: neither is there, a file is malformed, or it is of another board or runtime.
    """
    sources: list[LatencySource] = []
    table = next((path for folder in table_dirs if (path := table_path(folder, board_id, runtime)).is_file()), None)
    if table is not None:
        sources.append(_checked(read_table(table).source(), board_id, runtime, table))
    kinds: set[str] = set()
    for model in fitted_models(board_id, table_dirs, runtime, stands_for):
        # One that has nothing to add would only be named.
        if not kinds.issuperset(model.kinds):
            sources.append(model)
            kinds.update(model.kinds)
    if not sources:
        raise CostError(f"No latency source for {board_id} with the runtime {runtime}. {how_to_measure(board_id)}")
    return sources[0] if len(sources) == 1 else Chain(tuple(sources))


def fitted_models(
    board_id: str, model_dirs: Sequence[Path], runtime: Runtime, stands_for: str = ""
) -> Iterator[OperatorModel]:
    """The fitted models of a board and runtime: those in `model_dirs`, then the one that ships.

    Those of the board that an emulated one `stands_for` follow.

    Raises:
        CostError: a file is malformed, or it is of another board or runtime.
    """
    for board in filter(None, (board_id, stands_for)):
        for folder in (*model_dirs, models_directory()):
            path = model_path(folder, board, runtime)
            if path.is_file():
                model = _checked(read_operator_model(path), board, runtime, path)
                yield replace(model, own=folder in model_dirs)


def _checked(source: Measured, board_id: str, runtime: Runtime, path: Path) -> Measured:
    if (source.board_id, source.runtime) != (board_id, runtime):
        raise CostError(
            f"{path} must be of {board_id} and {runtime}. Received: {source.board_id} and {source.runtime}. "
            "Rename it, or choose the board it was measured on."
        )
    return source
