"""Emulated boards: QEMU with the firmware, its serial port a pty that the host opens like any other port.

QEMU runs with `-icount`: an instruction takes 2^shift virtual nanoseconds, so that the emulated SysTick counts
instructions, exactly and again the same in every run.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from micronas_tf.device.link import DisconnectedError, Link, Patience, SilenceError
from micronas_tf.device.protocol import Banner
from micronas_tf.device.serial_port import open_stream
from micronas_tf.errors import DeviceError

QEMU: Final = "qemu-system-arm"
QEMU_PACKAGE: Final = "qemu-system-arm"
_START_S: Final = 10.0
_PORT: Final = re.compile(rb"redirected to (\S+)")

EMULATED_PATIENCE: Final = Patience(hello_s=0.5, connect_s=15.0, recover_s=5.0, least_s=30.0)
"""An emulated board has no watchdog: who waits for its recovery starts it anew instead. On a busy machine it may get
no processor for seconds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How QEMU stands for a board.

    Attributes:
        name: of QEMU's machine.
        uarts_before: serial ports of the machine before the one the firmware uses.
        shift: an instruction takes 2^shift ns.
        preload_address: of memory that QEMU can fill before the start (`mn_board_preloaded` of the firmware).
        preload_bytes: how much of it there is.
    """

    name: str
    uarts_before: int
    shift: int
    preload_address: int
    preload_bytes: int

    def arguments(self) -> tuple[str, ...]:
        unused = ("-serial", "null") * self.uarts_before
        return ("-M", self.name, *unused, "-serial", "pty", "-icount", f"shift={self.shift},sleep=off")

    def instructions_per_tick(self, banner: Banner) -> float:
        return 1e9 / banner.counter_hz / (1 << self.shift)


MACHINES: Final[Mapping[str, Machine]] = MappingProxyType(
    {
        "qemu_cortex_m4": Machine("netduinoplus2", 1, 3, preload_address=0x08080000, preload_bytes=512 << 10),
        "qemu_cortex_m33": Machine("mps2-an505", 0, 6, preload_address=0x80000000, preload_bytes=16 << 20),
    }
)


def machine_of(board_id: str) -> Machine:
    """Raises DeviceError if no machine of QEMU stands for this board."""
    if board_id not in MACHINES:
        raise DeviceError(f"Emulated boards are {', '.join(MACHINES)}. Received: {board_id!r}.")
    return MACHINES[board_id]


def require_qemu() -> None:
    """Raises DeviceError if QEMU is missing."""
    if shutil.which(QEMU) is None:
        raise DeviceError(f"An emulated board needs {QEMU} on PATH. On Debian and Ubuntu: apt install {QEMU_PACKAGE}.")


def qemu_version() -> str:
    """For example `7.2.9`."""
    require_qemu()
    text = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\S+)", text)
    return match.group(1) if match else "unknown"


@contextmanager
def emulated_board(board_id: str, image: Path, preload: Path | None = None) -> Iterator[Link]:
    """A started board and the link to it; ends with the block, whatever happens in it.

    Args:
        board_id: of the board.
        image: linked firmware.
        preload: file for the memory that the firmware reads without its serial port.

    Raises:
        DeviceError: QEMU is missing, does not start, or the firmware does not answer.
    """
    machine = machine_of(board_id)
    require_qemu()
    loader = f"loader,file={preload},addr={machine.preload_address:#x},force-raw=on"
    loading = () if preload is None else ("-device", loader)
    command = (QEMU, *machine.arguments(), *loading, "-display", "none", "-monitor", "none", "-kernel", str(image))
    # In a session of its own: Ctrl-C at the terminal is for the host, which ends its boards itself.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        with open_stream(_port_of(process)) as stream:
            yield Link(stream, f"the emulated board {board_id}", EMULATED_PATIENCE)
    except (DisconnectedError, SilenceError) as error:
        if _ended(process):
            raise DisconnectedError(f"QEMU ended with status {process.returncode}. {_printed(process)}") from error
        raise
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _port_of(process: subprocess.Popen[bytes]) -> str:
    """The pty whose name QEMU prints."""
    assert process.stdout is not None
    printed, deadline = b"", time.monotonic() + _START_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (match := _PORT.search(printed)) is None or b"\n" not in printed[match.start() :]:
            chunk = b""
            if selector.select(max(deadline - time.monotonic(), 0)):
                chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise DeviceError(
                    f"QEMU names its serial port when it starts. Received: {printed.decode(errors='replace')!r}."
                )
            printed += chunk
    return match.group(1).decode()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """A port closes a moment before its process is gone."""
    try:
        process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return False
    return True


def _printed(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return f"It printed: {process.stdout.read().decode(errors='replace').strip()!r}."
