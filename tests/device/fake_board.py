"""A board at the far end of a pty: answers as the firmware would, with faults where it is told."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType

from micronas_tf.boards import load_board
from micronas_tf.device import Bench, Link, Patience, open_stream
from micronas_tf.device.protocol import framed

Fault = Callable[["FakeBoard", bytes], bytes]
"""What goes over the line instead of a reply."""

HURRIED = Patience(hello_s=0.2, connect_s=0.6, recover_s=0.6, reply_s=0.4)
RECOVERING = Patience(hello_s=2.0, connect_s=20.0, recover_s=20.0, reply_s=2.0)
"""For lines that are to recover: on a machine with other work, too."""

BANNER = (
    "protocol=1 board={board} cpu=cortex-m4 clock_hz=180000000 counter=dwt counter_hz=180000000 backend={backend} "
    "compiler=gcc-12 flags=-O2 arena_bytes=98304 nodes=96 line=160"
)


class FakeBoard:
    """A context manager; `port` is what the host opens.

    Args:
        faults: by number of the request other than HELLO, from 0: what happens to its reply.
        answers: by operator: its reply from OK or ERR on; else counts that follow from its name.
    """

    def __init__(
        self,
        faults: Mapping[int, Fault] | None = None,
        answers: Mapping[str, list[str]] | None = None,
        board: str = "nucleo_f446re",
        backend: str = "portable/1",
    ) -> None:
        self.faults, self.answers = faults or {}, {op: list(texts) for op, texts in (answers or {}).items()}
        self.banner = BANNER.format(board=board, backend=backend)
        self.asked: list[str] = []
        self.nodes = 0
        self.deaf = False
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FakeBoard:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.unplug()
        self.thread.join()

    def unplug(self) -> None:
        for end in (self.master, self.slave):
            with suppress(OSError):
                os.close(end)

    def _serve(self) -> None:
        rest = b""
        while not self.ended.is_set():
            try:
                if not select.select([self.master], [], [], 0.02)[0]:
                    continue
                rest += os.read(self.master, 4096)
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    self._send(self._answer(line))
            except (OSError, ValueError):
                return  # unplugged

    def _send(self, data: bytes) -> None:
        while data and not self.ended.is_set():
            if select.select([], [self.master], [], 0.02)[1]:
                data = data[os.write(self.master, data[:1024]) :]

    def _answer(self, line: bytes) -> bytes:
        if not line or self.deaf:
            return b""
        body = line.rpartition(b"*")[0].decode("ascii", "replace")
        if framed(body).strip() != line:
            return framed("MN1 - ERR crc")
        _, number, text = body.split(" ", 2)
        if text == "HELLO":
            return framed(f"MN1 {number} OK {self.banner}")
        self.asked.append(text)
        fault = self.faults.get(len(self.asked) - 1)
        reply = framed(f"MN1 {number} {self._reply(text)}")
        return fault(self, reply) if fault else reply

    def _reply(self, text: str) -> str:
        if text == "NET" or text.startswith("NODE "):
            self.nodes = 0 if text == "NET" else self.nodes + 1
            return f"OK nodes={self.nodes}"
        op, _, repeats = text.removeprefix("OP ").rpartition(" n=")
        if self.answers.get(op):
            return self.answers[op].pop(0)
        return "OK cycles=" + ",".join([str(counted(op))] * int(repeats))


def counted(op: str) -> int:
    """What the fake board says of an operator."""
    return 1000 + zlib.crc32(op.encode()) % 100_000


@contextmanager
def linked(board: FakeBoard, patience: Patience = HURRIED) -> Iterator[Link]:
    with open_stream(board.port) as stream:
        yield Link(stream, "the fake board", patience)


def bench_of(board: FakeBoard) -> Bench:
    return Bench(load_board("nucleo_f446re"), "bundle", lambda: linked(board), "measured on a fake board")
