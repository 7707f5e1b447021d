"""The host's half of the protocol against the conversations that the firmware is tested against."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas_tf.device.protocol import (
    LARGEST_ID,
    Banner,
    GarbledError,
    WrongFirmwareError,
    framed,
    parse_counts,
    parse_reply,
    request_line,
)
from micronas_tf.errors import DeviceError

FOLDER = Path(__file__).resolve().parents[1] / "golden/protocol"
CONVERSATIONS = sorted(FOLDER.glob("*.txt"))


def _lines(path: Path, mark: str) -> list[bytes]:
    lines = [line[2:] for line in path.read_text().splitlines() if line.startswith(mark)]
    return [line.encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


@pytest.mark.parametrize("path", [p for p in CONVERSATIONS if p.stem != "errors"], ids=lambda path: str(path.stem))
def test_requests_are_those_of_the_golden_conversations(path: Path) -> None:
    for line in _lines(path, "> "):
        _, number, text = line.rpartition(b"*")[0].decode().split(" ", 2)
        assert request_line(int(number), text) == line


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: str(path.stem))
def test_replies_of_the_golden_conversations_are_read(path: Path) -> None:
    for line in _lines(path, "< "):
        body = line.rpartition(b"*")[0].decode()
        _, number, verdict, *rest = body.split(" ")
        reply = parse_reply(line + b"\r\n")
        assert reply.id == (None if number == "-" else int(number))
        assert reply.code == (rest[0] if verdict == "ERR" else "")
        assert " ".join(f"{name}={value}" for name, value in reply.fields.items()) == (
            " ".join(rest) if verdict == "OK" else ""
        )


def test_the_banner_of_the_golden_conversation() -> None:
    (line, _) = _lines(FOLDER / "hello.txt", "< ")
    banner = Banner.of(parse_reply(line).fields)
    assert (banner.board, banner.backend, banner.counter_hz) == ("host", "portable/1", 1_000_000)
    assert (banner.compiler, banner.flags, banner.arena_bytes) == ("cc", "host", 65536)


def test_counts() -> None:
    reply = parse_reply(framed("MN1 1 OK cycles=1001,1002,1003"))
    assert parse_counts(reply.fields) == (1001, 1002, 1003)
    for text in ("OK", "OK cycles=", "OK cycles=1,,2", "OK nodes=3"):
        with pytest.raises(GarbledError):
            parse_counts(parse_reply(framed(f"MN1 1 {text}")).fields)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"*",
        b"\xff\xfe",
        b"MN1 1 OK",
        b"MN1 1 OK*00000000",
        framed("MN1 1 OK").upper(),
        framed("MN1 01 OK"),
        framed("MN1 1 YES"),
        framed("MN1 1 ERR"),
        framed("MN1 1 OK cycles"),
        framed("MN1"),
        framed("HELLO"),
    ],
)
def test_what_is_no_reply(line: bytes) -> None:
    with pytest.raises(GarbledError, match="Received"):
        parse_reply(line)


def test_another_version_is_not_taken_for_damage() -> None:
    with pytest.raises(WrongFirmwareError, match=r"MN1.*Received: MN2.*Upload"):
        parse_reply(framed("MN2 1 OK"))
    with pytest.raises(WrongFirmwareError, match="Received: protocol=2"):
        Banner.of({"protocol": "2"})
    with pytest.raises(WrongFirmwareError, match="incomplete"):
        Banner.of({"protocol": "1"})


def test_a_request_that_no_board_reads_is_not_sent() -> None:
    assert len(request_line(1, "A" * 145)) == 161
    with pytest.raises(DeviceError, match="160 bytes"):
        request_line(1, "A" * 146)
    with pytest.raises(DeviceError, match="Received"):
        request_line(LARGEST_ID + 1, "HELLO")
