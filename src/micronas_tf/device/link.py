"""Request and response over a stream of bytes that loses, doubles and invents some.

A board answers in order, one line a request. Whatever goes wrong, the remedy is the same: let the line fall
silent, say HELLO until its reply comes (then everything before it has been answered or lost), and ask again
under a new id. Replies to older ids are ignored.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from micronas_tf.device.protocol import LONGEST_LINE, Banner, GarbledError, RefusedError, parse_reply, request_line
from micronas_tf.errors import DeviceError

LONGEST_REPLY: Final = 4096
"""Bytes without a line end beyond which they are noise."""

QUIET_S: Final = 0.05
LONGEST_NOISE_S: Final = 10.0


class SilenceError(DeviceError):
    """No reply in time."""


class DisconnectedError(DeviceError):
    """The port is gone: an unplugged cable, or an emulator that ended."""


class Stream(Protocol):
    """A port, whatever is behind it."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, as soon as something has; empty after `timeout_s`. Raises DisconnectedError."""

    def write(self, data: bytes) -> None:
        """Raises DisconnectedError."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        hello_s: for the reply to one HELLO.
        connect_s: for the first reply of a board, over as many HELLOs as fit.
        recover_s: likewise, for a board that has answered before.
        reply_s: for a reply to a request that names no time of its own.
        least_s: for the reply to any request, whatever time it names.
    """

    hello_s: float = 1.0
    connect_s: float = 5.0
    recover_s: float = 40.0  # longer than the watchdog of the firmware, which ends a hang after 33 s
    reply_s: float = 10.0
    least_s: float = 0.0


class Link:
    """A conversation with one board.

    Args:
        stream: open port.
        name: of the port, for messages.
        patience: how long to wait.
    """

    def __init__(self, stream: Stream, name: str, patience: Patience | None = None) -> None:
        self.stream = stream
        self.name = name
        self.patience = patience or Patience()
        # Replies to a session that was broken off a moment ago must not fit.
        self._id = secrets.randbelow(10**9)
        self._rest = b""
        self._longest = LONGEST_LINE

    def connect(self) -> Banner:
        """The board's banner.

        Raises:
            SilenceError: nothing there speaks the protocol.
            WrongFirmwareError: another version does.
        """
        banner = self._resynchronise(self.patience.connect_s)
        self._longest = banner.line
        return banner

    def ask(self, text: str, *, timeout_s: float | None = None, attempts: int = 4) -> Mapping[str, str]:
        """The fields of the board's OK.

        Args:
            text: verb and arguments.
            timeout_s: how long the board may work on it.
            attempts: how often to send it; 1 for a request that must not be done twice (NODE).

        Raises:
            RefusedError: the board answers ERR.
            SilenceError, GarbledError: no attempt brought an intact reply.
            DisconnectedError: the port is gone.
        """
        patience_s = max(self.patience.reply_s if timeout_s is None else timeout_s, self.patience.least_s)
        trouble: DeviceError | None = None
        for _ in range(attempts):
            if trouble is not None:
                self._resynchronise(self.patience.recover_s)
            try:
                return self._once(text, patience_s)
            except (GarbledError, SilenceError) as error:
                trouble = error
        raise trouble or ValueError(f"attempts must be at least 1. Received: {attempts}.")

    def _resynchronise(self, patience_s: float) -> Banner:
        """Say HELLO until it is answered; then nothing older is under way in either direction."""
        deadline = time.monotonic() + patience_s
        while True:
            self._drain()
            self.stream.write(b"\n")  # ends whatever part of a line the board still holds
            try:
                return Banner.of(self._once("HELLO", self.patience.hello_s, amid_noise=True))
            except SilenceError as error:
                if time.monotonic() >= deadline:
                    raise SilenceError(
                        f"No answer from {self.name} within {patience_s:g} s. {error} "
                        "Is the firmware on the board, and no other program at the port?"
                    ) from None

    def _drain(self) -> None:
        """Throw away what arrives until nothing does."""
        self._rest = b""
        deadline = time.monotonic() + LONGEST_NOISE_S
        while self.stream.read(QUIET_S) and time.monotonic() < deadline:
            pass

    def _once(self, text: str, timeout_s: float, *, amid_noise: bool = False) -> Mapping[str, str]:
        """Send a request and wait for its reply; damaged lines end the wait unless they are expected."""
        self._id += 1
        self.stream.write(request_line(self._id, text, self._longest))
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._line(text, timeout_s, deadline)
            try:
                reply = parse_reply(line)
                if reply.id is None:
                    raise GarbledError(f"The board could not read {text!r}. Received: {line!r}.")
            except GarbledError:
                if amid_noise:
                    continue
                raise
            if reply.id != self._id:
                continue
            if reply.code:
                raise RefusedError(text, reply.code)
            return reply.fields

    def _line(self, text: str, timeout_s: float, deadline: float) -> bytes:
        """The next line that is not empty."""
        while True:
            line, end, rest = self._rest.partition(b"\n")
            if end:
                self._rest = rest
                if line.strip():
                    return line
                continue
            if len(self._rest) > LONGEST_REPLY:
                self._rest, noise = b"", self._rest
                return noise
            left = deadline - time.monotonic()
            if left <= 0:
                heard = f"Received: {self._rest[:80]!r}." if self._rest else "Received: nothing."
                raise SilenceError(f"{text!r} is answered within {timeout_s:g} s. {heard}")
            self._rest += self.stream.read(left)
