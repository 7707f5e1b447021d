"""Serial ports: which one the board is at, and the bytes through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import serial
from serial.tools import list_ports

from micronas_tf.boards import Board
from micronas_tf.device.link import DisconnectedError
from micronas_tf.errors import DeviceError

BAUD: Final = 115_200
EMULATED_BOARD: Final = "qemu_cortex_m4"

ST_LINK: Final = frozenset((0x0483, product) for product in (0x374A, 0x374B, 0x374E, 0x374F, 0x3752, 0x3753, 0x3754))
"""USB ids (vendor, product) of the ST-Links with a serial port that Nucleo boards carry (V2-1 and V3)."""

_POLL_S: Final = 0.1
_WRITE_S: Final = 5.0


class PortInfo(Protocol):
    """What pyserial says about a port."""

    device: str
    description: str
    vid: int | None
    pid: int | None
    serial_number: str | None


def list_port_infos() -> Sequence[PortInfo]:
    """The serial ports of this machine."""
    return sorted(list_ports.comports(), key=lambda port: str(port.device))


def find_port(board: Board, port: str | None = None, ports: Sequence[PortInfo] | None = None) -> str:
    """The port of a board: the one that was named, or the only one with the USB id of a Nucleo.

    Raises:
        DeviceError: there is none, or several; the message lists them.
    """
    known = list_port_infos() if ports is None else ports
    found = [info for info in known if (info.vid, info.pid) in ST_LINK]
    # A probe may have several ports.
    if len({info.serial_number or info.device for info in found}) > 1:
        # The firmware would go to one of them, and the port may be another's.
        raise DeviceError(
            f"One board is measured at a time: the upload takes the first ST-Link. Received: {_described(found)}. "
            "Unplug the others."
        )
    if port is not None:
        return port
    if not found:
        raise DeviceError(
            f"No board {board.id} is attached: no serial port has the USB id of an ST-Link. "
            f"Received ports: {_described(known)}. Connect the board by its ST-Link's USB socket, or name its port by "
            f"--port. Without a board there is the emulated one: --board {EMULATED_BOARD} "
            f"(make characterize BOARD={EMULATED_BOARD})."
        )
    if len(found) > 1:
        raise DeviceError(f"The board has several serial ports. Received: {_described(found)}. Choose one by --port.")
    return found[0].device


def _described(ports: Sequence[PortInfo]) -> str:
    return "; ".join(f"{info.device} ({_usb_id(info)}{info.description})" for info in ports) or "none"


def _usb_id(info: PortInfo) -> str:
    return "" if info.vid is None or info.pid is None else f"{info.vid:04x}:{info.pid:04x}, "


class SerialStream:
    """A `Stream` over an open pyserial port."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port

    def read(self, timeout_s: float) -> bytes:
        try:
            if self._port.timeout != (timeout := min(timeout_s, _POLL_S)):
                self._port.timeout = timeout
            first: bytes = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (OSError, TypeError) as error:  # pyserial's own errors are OSErrors; TypeError: closed meanwhile
            raise self._disconnected(error) from error

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as error:
            raise self._disconnected(error) from error

    def _disconnected(self, error: Exception) -> DisconnectedError:
        return DisconnectedError(f"The port {self._port.port} is gone: {error}. Check the cable and connect it again.")


@contextmanager
def open_stream(port: str) -> Iterator[SerialStream]:
    """The port, open for the length of a block.

    Raises:
        DeviceError: it cannot be opened.
    """
    try:
        opened = serial.Serial(port, BAUD, timeout=_POLL_S, write_timeout=_WRITE_S)
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"Cannot open the port {port}: {error}. Received ports: {_described(list_port_infos())}. "
            "On Linux you must be in the group `dialout`."
        ) from error
    with opened:
        yield SerialStream(opened)
