"""An image of the firmware running in QEMU, spoken to over its serial port."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from .protocol import framed, unframed

MACHINES: dict[str, tuple[str, ...]] = {
    "qemu_cortex_m4": ("-M", "netduinoplus2", "-serial", "null", "-serial", "stdio", "-icount", "shift=3,sleep=off"),
    "qemu_cortex_m33": ("-M", "mps2-an505", "-serial", "stdio", "-icount", "shift=6,sleep=off"),
}
INSTRUCTIONS_PER_TICK = {"qemu_cortex_m4": 1000 / 168 / 8, "qemu_cortex_m33": 50 / 64}
"""Virtual nanoseconds per SysTick tick over those per instruction (2^shift)."""

QEMU = "qemu-system-arm"


class Emulator:
    """A context manager; `ask` sends one request and returns its reply from OK or ERR on."""

    def __init__(self, board: str, image: Path, timeout_s: float = 30.0) -> None:
        assert shutil.which(QEMU)
        self.board, self.timeout_s, self.id, self.rest = board, timeout_s, 0, b""
        command = [QEMU, *MACHINES[board], "-display", "none", "-monitor", "none", "-kernel", str(image)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.stdout, selectors.EVENT_READ)

    def __enter__(self) -> Emulator:
        """Waits until the board answers: what is sent before its port is open is lost, in whole or in part."""
        patience, self.timeout_s = self.timeout_s, 1.0
        for _ in range(10):
            with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
                self.hello = self.ask("HELLO")
                break
        else:
            raise ConnectionError(f"{self.board} answers no HELLO.")
        self.timeout_s = patience
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.selector.close()
        self.process.kill()
        self.process.wait()

    def send(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def line(self) -> str:
        """The next line from the board."""
        deadline = time.monotonic() + self.timeout_s
        while b"\n" not in self.rest:
            if not self.selector.select(deadline - time.monotonic()):
                raise TimeoutError(f"{self.board} sent no line within {self.timeout_s:g} s. Received: {self.rest!r}.")
            chunk = os.read(self.stdout.fileno(), 65536)
            if not chunk:
                raise ConnectionError(f"QEMU ended with status {self.process.wait()}.")
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode("ascii", "replace")

    def ask(self, request: str) -> str:
        self.id += 1
        self.send(f"{framed(f'MN1 {self.id} {request}')}\n".encode())
        while True:
            body = unframed(self.line())
            if body.startswith(f"MN1 {self.id} "):
                return body.removeprefix(f"MN1 {self.id} ")
            if body.startswith("MN1 - "):
                raise ConnectionError(f"The board did not understand {request!r}. Received: {body!r}.")

    def instructions(self, spec: str, repeats: int = 1) -> list[float]:
        """Instructions of each repeat of one operator."""
        reply = self.ask(f"OP {spec} n={repeats}")
        if not reply.startswith("OK cycles="):
            raise ValueError(f"{spec}: {reply}")
        ticks = reply.removeprefix("OK cycles=").split(",")
        return [int(tick) * INSTRUCTIONS_PER_TICK[self.board] for tick in ticks]
