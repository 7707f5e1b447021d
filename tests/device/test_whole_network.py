"""A network sent over a line that fails: each node is appended once, or the board says no."""

from __future__ import annotations

import pytest

from micronas_tf.device import GarbledError, RefusedError, network_counts
from micronas_tf.ops import Network, Node, OpSpec

from .fake_board import RECOVERING, FakeBoard, linked

SHAPE = (16, 5, 8)
NETWORK = Network(
    SHAPE,
    (
        Node("sum", OpSpec("add", (SHAPE, SHAPE), SHAPE), (0, 0), 1),
        Node("again", OpSpec("add", (SHAPE, SHAPE), SHAPE), (1, 0), 2),
        Node("mean", OpSpec("mean", (SHAPE,), (1, 1, 8)), (2,), 3),
    ),
)
RUN = {"RUN": ["OK cycles=700,701"]}


def test_every_tensor_has_its_place() -> None:
    with FakeBoard(answers=RUN) as board, linked(board) as link:
        assert network_counts(link, NETWORK, 2, 180_000_000) == (700, 701)
    sent = [text for text in board.asked if text.startswith("NODE ")]
    assert sent == [
        "NODE add (16,5,8)+(16,5,8)->(16,5,8) in=1280,1280 out=640",
        "NODE add (16,5,8)+(16,5,8)->(16,5,8) in=640,1280 out=0",
        "NODE mean (16,5,8)->(1,1,8) in=0 out=640",
    ]
    assert board.asked[-1] == "RUN n=2"


def test_a_lost_line_starts_the_network_anew() -> None:
    with FakeBoard(faults={2: lambda *_: b"\xff\n"}, answers=RUN) as board, linked(board, RECOVERING) as link:
        assert network_counts(link, NETWORK, 2, 180_000_000) == (700, 701)
    assert board.nodes == len(NETWORK.nodes)
    assert board.asked.count("NET") == 2


def test_a_line_that_never_gets_through() -> None:
    faults = {number: lambda *_: b"\xff\n" for number in range(1, 20)}
    with FakeBoard(faults=faults) as board, linked(board) as link, pytest.raises(GarbledError):
        network_counts(link, NETWORK, 1, 180_000_000)


def test_a_board_that_says_no() -> None:
    with (
        FakeBoard(answers={"RUN": ["ERR empty"]}) as board,
        linked(board) as link,
        pytest.raises(RefusedError, match="empty"),
    ):
        network_counts(link, NETWORK, 1, 180_000_000)
    assert board.asked.count("RUN n=1") == 1
