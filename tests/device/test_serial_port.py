"""Which port is the board's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from micronas_tf.boards import load_board
from micronas_tf.device import find_port, open_stream
from micronas_tf.errors import DeviceError


@dataclass
class Port:
    device: str
    description: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None


BOARD = load_board("nucleo_f446re")
MODEM = Port("/dev/ttyS0", "n/a")
FIRST = Port("/dev/ttyACM0", "STM32 STLink", 0x0483, 0x374B)
SECOND = Port("/dev/ttyACM1", "STLINK-V3", 0x0483, 0x374E)


def test_the_only_nucleo_is_found_by_its_usb_id() -> None:
    assert find_port(BOARD, ports=[MODEM, FIRST]) == "/dev/ttyACM0"


def test_a_port_that_is_named_is_taken() -> None:
    assert find_port(BOARD, "/dev/ttyUSB7", ports=[]) == "/dev/ttyUSB7"


def test_several_boards_are_listed() -> None:
    with pytest.raises(DeviceError, match=r"ttyACM0 \(0483:374b, STM32 STLink\); /dev/ttyACM1 .*Unplug the others"):
        find_port(BOARD, ports=[FIRST, MODEM, SECOND])
    # Whichever port is named, the upload would go to the first one.
    with pytest.raises(DeviceError, match="the upload takes the first ST-Link"):
        find_port(BOARD, "/dev/ttyACM1", ports=[FIRST, MODEM, SECOND])


def test_a_probe_with_two_ports_is_one_board() -> None:
    ports = [Port(f"/dev/ttyACM{number}", "STLINK-V3", 0x0483, 0x3753, "0669FF") for number in (0, 1)]
    assert find_port(BOARD, "/dev/ttyACM1", ports=ports) == "/dev/ttyACM1"
    with pytest.raises(DeviceError, match=r"several serial ports.*Choose one by --port"):
        find_port(BOARD, ports=ports)


@pytest.mark.parametrize(("ports", "listed"), [([], "none"), ([MODEM], r"/dev/ttyS0 \(n/a\)")])
def test_no_board_names_the_ports_and_the_emulated_board(ports: list[Port], listed: str) -> None:
    with pytest.raises(DeviceError, match=rf"No board nucleo_f446re .*Received ports: {listed}\..*qemu_cortex_m4"):
        find_port(BOARD, ports=ports)


def test_a_port_that_cannot_be_opened() -> None:
    with pytest.raises(DeviceError, match="Cannot open the port /dev/absent"), open_stream("/dev/absent"):
        pass
