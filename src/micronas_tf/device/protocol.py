"""The line protocol between host and board, as values (docs/protocol.md)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final

from micronas_tf.errors import DeviceError

VERSION: Final = "MN1"
LONGEST_LINE: Final = 160
"""Bytes of a request without its line end that every board reads; its banner may allow more, and replies be longer."""

LARGEST_ID: Final = 2**31 - 1

_REPLY: Final = re.compile(r"(0|[1-9][0-9]*|-) (?:OK((?: [^ =]+=[^ ]*)*)|ERR ([a-z]+))")
_OTHER_VERSION: Final = re.compile(r"MN[0-9]+ ")


class GarbledError(DeviceError):
    """A line was damaged on its way, in either direction."""


class WrongFirmwareError(DeviceError):
    """Something answers, but not the firmware that this version of micronas-tf speaks to."""


class RefusedError(DeviceError):
    """The board understood the request and says no; `code` is one of docs/protocol.md."""

    def __init__(self, request: str, code: str) -> None:
        super().__init__(f"The board refuses {request!r}. Received: ERR {code}. See docs/protocol.md, Errors.")
        self.request = request
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """One line from the board.

    Attributes:
        id: of the request, or None where the board could not read it.
        fields: name → value of an OK.
        code: of an ERR; empty for an OK.
    """

    id: int | None
    fields: Mapping[str, str]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Banner:
    """Who is there: the reply to HELLO.

    Attributes:
        board: id.
        cpu: core.
        clock_hz: of the core.
        counter: what counts; `dwt` counts cycles of the core.
        counter_hz: how fast it counts.
        backend: kernels and their version, `portable/1` for example.
        compiler: name and version.
        flags: of the compiler.
        arena_bytes: RAM for tensors.
        line: bytes of the longest request that it reads.
    """

    board: str
    cpu: str
    clock_hz: int
    counter: str
    counter_hz: int
    backend: str
    compiler: str
    flags: str
    arena_bytes: int
    line: int

    @classmethod
    def of(cls, reply: Mapping[str, str]) -> Banner:
        """
        Raises:
            WrongFirmwareError: another version of the protocol, or no banner.
        """
        if reply.get("protocol") != VERSION.removeprefix("MN"):
            raise _wrong_version(f"protocol={reply.get('protocol')}")
        try:
            values: dict[str, Any] = {
                field.name: int(reply[field.name]) if field.type == "int" else reply[field.name]
                for field in fields(cls)
            }
        except (KeyError, ValueError) as error:
            raise WrongFirmwareError(
                f"The board's banner is incomplete: {error}. Upload the firmware again."
            ) from error
        return cls(**values)


def framed(text: str) -> bytes:
    """A line with its checksum and line end."""
    return f"{text}*{zlib.crc32(text.encode('ascii')):08x}\n".encode("ascii")


def request_line(number: int, text: str, longest: int = LONGEST_LINE) -> bytes:
    """The line of a request.

    Raises:
        DeviceError: the line is longer than a board reads, or the id out of range.
    """
    line = framed(f"{VERSION} {number} {text}")
    if len(line) > longest + 1 or not 0 <= number <= LARGEST_ID:
        raise DeviceError(f"A request has at most {longest} bytes and an id of 0 to {LARGEST_ID}. Received: {line!r}.")
    return line


def parse_reply(line: bytes) -> Reply:
    """The reply in a line, with or without its line end.

    Raises:
        GarbledError: wrong checksum, or no reply.
        WrongFirmwareError: an intact line of another version.
    """
    try:
        body, _, checksum = line.decode("ascii").rstrip("\r\n").rpartition("*")
    except UnicodeDecodeError:
        raise _garbled(line) from None
    if checksum != f"{zlib.crc32(body.encode('ascii')):08x}":
        raise _garbled(line)
    version, _, rest = body.partition(" ")
    if version != VERSION and _OTHER_VERSION.match(body):
        raise _wrong_version(version)
    match = _REPLY.fullmatch(rest)
    if version != VERSION or match is None:
        raise _garbled(line)
    number, given, code = match.groups()
    values = dict(pair.split("=", 1) for pair in (given or "").split())
    return Reply(None if number == "-" else int(number), MappingProxyType(values), code or "")


def parse_counts(reply: Mapping[str, str]) -> tuple[int, ...]:
    """The counts in the reply to OP or RUN; raises GarbledError where there are none."""
    try:
        return tuple(int(count) for count in reply["cycles"].split(","))
    except (KeyError, ValueError):
        raise GarbledError(f"A measurement is answered with cycles=…. Received: {dict(reply)}.") from None


def _garbled(line: bytes) -> GarbledError:
    return GarbledError(f"A reply is `{VERSION} id OK …` or `… ERR …` with its checksum. Received: {line[:80]!r}.")


def _wrong_version(received: str) -> WrongFirmwareError:
    return WrongFirmwareError(
        f"The board's firmware must speak {VERSION}. Received: {received}. Upload the firmware of this version."
    )
