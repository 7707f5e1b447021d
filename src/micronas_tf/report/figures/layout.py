"""Where the operators of a network stand when it is drawn: rows by depth, branches side by side."""

from __future__ import annotations

from dataclasses import dataclass

from micronas_tf.ops import Network

INPUT_ROW = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Row from the top (the window is row 0) and column from the left (the trunk is column 0)."""

    row: int
    column: int


def place_tensors(network: Network) -> tuple[Place, ...]:
    """A place for each tensor's writer, by tensor id; tensor 0 is the window itself.

    An operator stands below all that it reads. It takes over the column of its first input where it is the first to
    read it, as one does with the branches of a version history; else the lowest column that stays free down to its
    last reader. So no line of a branch runs through another operator.
    """
    rows = [INPUT_ROW]
    for node in network.nodes:
        rows.append(1 + max(rows[tensor] for tensor in node.inputs))
    readers: list[list[int]] = [[] for _ in rows]
    for node in network.nodes:
        for tensor in node.inputs:
            readers[tensor].append(node.output)
    columns, taken = [0], {(INPUT_ROW, 0)}
    for node in network.nodes:
        tensor, first = node.output, node.inputs[0]
        down = range(rows[tensor], max((rows[reader] for reader in readers[tensor]), default=rows[tensor] + 1))
        column = columns[first]
        if readers[first][0] != tensor or any((row, column) in taken for row in down):
            column = next(c for c in range(len(rows)) if not any((row, c) in taken for row in down))
        columns.append(column)
        taken |= {(row, column) for row in down}
    return tuple(Place(row, column) for row, column in zip(rows, columns, strict=True))
