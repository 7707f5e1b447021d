"""What goes wrong on a serial line, on a pty: each fault, and the right answer after it."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from micronas_tf.device import DisconnectedError, GarbledError, RefusedError, SilenceError, WrongFirmwareError
from micronas_tf.device.protocol import framed

from .fake_board import RECOVERING, FakeBoard, Fault, counted, linked

OP = "mean (16,5,6)->(1,1,6)"
REQUEST = f"OP {OP} n=2"
EXPECTED = {"cycles": f"{counted(OP)},{counted(OP)}"}
NOISE = random.Random(4).randbytes(1_000_000)


def _reset(board: FakeBoard, reply: bytes) -> bytes:
    """A watchdog fires in the middle of a line."""
    return reply[:7] + b"\x00\x00\xff"


FAULTS: dict[str, Fault] = {
    "dropped byte": lambda board, reply: reply[:9] + reply[10:],
    "dropped line end": lambda board, reply: reply[:-1],
    "duplicated byte": lambda board, reply: reply[:9] + reply[8:],
    "truncated line": lambda board, reply: reply[:12] + b"\n",
    "wrong CRC": lambda board, reply: reply[:-2] + (b"0" if reply[-2:-1] != b"0" else b"1") + b"\n",
    "request damaged": lambda board, reply: framed("MN1 - ERR crc"),
    "old reply": lambda board, reply: framed("MN1 3 OK cycles=1,1") + reply,
    "silence": lambda board, reply: b"",
    "reset in the middle": _reset,
    "noise instead": lambda board, reply: NOISE,
    "noise before": lambda board, reply: NOISE + b"\n" + reply,
    "noise without line ends": lambda board, reply: b"U" * 100_000,
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_right_answer_follows_a_fault(name: str) -> None:
    with FakeBoard({1: FAULTS[name]}) as board, linked(board, RECOVERING) as link:
        assert link.connect().board == "nucleo_f446re"
        for _ in range(3):
            assert link.ask(REQUEST) == EXPECTED
        assert 3 <= len(board.asked) <= 4


def test_a_link_opened_amid_noise() -> None:
    with FakeBoard() as board, linked(board, RECOVERING) as link:
        board._send(NOISE[:4000])
        link.stream.write(b"MN1 7 OP conv")  # what an earlier program left unfinished
        assert link.connect().backend == "portable/1"
        assert link.ask(REQUEST) == EXPECTED


def test_a_board_that_stays_silent() -> None:
    with FakeBoard() as board, linked(board) as link:
        board.deaf = True
        with pytest.raises(SilenceError, match=r"No answer from the fake board within 0.6 s.*Received: nothing"):
            link.connect()


def test_silence_on_every_attempt_names_the_request() -> None:
    with FakeBoard(dict.fromkeys(range(9), FAULTS["silence"])) as board, linked(board) as link:
        link.connect()
        with pytest.raises(SilenceError, match="mean"):
            link.ask(REQUEST, timeout_s=0.1)
        assert len(board.asked) == 4


def _late(board: FakeBoard, reply: bytes) -> bytes:
    time.sleep(0.5)
    return reply


@pytest.mark.parametrize(("least_s", "once"), [(0.0, False), (20.0, True)])
def test_a_starved_board_is_given_the_least_patience(least_s: float, once: bool) -> None:
    patience = replace(RECOVERING, least_s=least_s)
    with FakeBoard({0: _late}) as board, linked(board, patience) as link:
        link.connect()
        assert link.ask(REQUEST, timeout_s=0.2) == EXPECTED
        assert (len(board.asked) == 1) is once


def test_damage_on_every_attempt() -> None:
    with FakeBoard(dict.fromkeys(range(9), FAULTS["wrong CRC"])) as board, linked(board) as link:
        link.connect()
        with pytest.raises(GarbledError):
            link.ask(REQUEST)


def test_what_must_not_be_done_twice_is_sent_once() -> None:
    with FakeBoard({0: FAULTS["dropped byte"]}) as board, linked(board) as link:
        link.connect()
        with pytest.raises(GarbledError):
            link.ask(REQUEST, attempts=1)
        assert len(board.asked) == 1


def test_an_unplugged_cable() -> None:
    def unplugged(board: FakeBoard, reply: bytes) -> bytes:
        board.unplug()
        return b""

    with FakeBoard({1: unplugged}) as board, linked(board) as link:
        link.connect()
        assert link.ask(REQUEST) == EXPECTED
        with pytest.raises(DisconnectedError, match=r"is gone.*cable"):
            link.ask(REQUEST)


def test_a_refusal_is_no_fault() -> None:
    with FakeBoard(answers={OP: ["ERR ram"]}) as board, linked(board) as link:
        link.connect()
        with pytest.raises(RefusedError, match="ERR ram") as caught:
            link.ask(REQUEST)
        assert caught.value.code == "ram"
        assert len(board.asked) == 1


def test_another_version_of_the_firmware() -> None:
    with FakeBoard() as board, linked(board) as link:
        board.banner = board.banner.replace("protocol=1", "protocol=2")
        with pytest.raises(WrongFirmwareError, match="protocol=2"):
            link.connect()
