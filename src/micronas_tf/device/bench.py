"""A board ready to be measured: how to reach it, and what its counter means in cycles."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from micronas_tf.boards import Board, board_ids, load_board
from micronas_tf.cost import Runtime, TableHeader
from micronas_tf.device.build import build_image, bundle_environment, environment, upload
from micronas_tf.device.emulator import MACHINES, emulated_board, machine_of, qemu_version, require_qemu
from micronas_tf.device.link import Link
from micronas_tf.device.protocol import Banner, WrongFirmwareError
from micronas_tf.device.serial_port import find_port, open_stream
from micronas_tf.errors import BoardError

_BACKENDS: Final[dict[Runtime, str]] = {"bundle": "portable/", "tflm": "cmsis-nn/"}


@dataclass(frozen=True, slots=True)
class Preload:
    """What an emulated board can be given before it starts; its serial port takes long for as much.

    Attributes:
        room_bytes: how much.
        connect: starts the board with the content of a file in its memory.
    """

    room_bytes: int
    connect: Callable[[Path], AbstractContextManager[Link]]


@dataclass(frozen=True, slots=True)
class Bench:
    """A board with the firmware on it.

    Attributes:
        board: its figures.
        runtime: whose kernels the firmware holds.
        connect: opens the port (an emulated board is started by it) for the length of a block.
        device: what is measured, for provenance.
        cycles_per_instruction: of an emulated board; None on a real one, which counts cycles itself.
        preload: of an emulated board.
    """

    board: Board
    runtime: Runtime
    connect: Callable[[], AbstractContextManager[Link]]
    device: str
    cycles_per_instruction: float | None = None
    preload: Preload | None = None

    def check(self, banner: Banner) -> None:
        """Raises WrongFirmwareError unless the banner is of this board and runtime."""
        if banner.board != self.board.id or not banner.backend.startswith(_BACKENDS[self.runtime]):
            raise WrongFirmwareError(
                f"The firmware must be of {self.board.id} with the kernels {_BACKENDS[self.runtime]}…. "
                f"Received: {banner.board} with {banner.backend}. Upload it again, or choose its --board and --runtime."
            )

    def cycles_per_count(self, banner: Banner) -> float:
        """What one count of the board's counter stands for, in cycles of the core."""
        if self.cycles_per_instruction is not None:
            return machine_of(self.board.id).instructions_per_tick(banner) * self.cycles_per_instruction
        return self.board.clock_hz / banner.counter_hz

    def header(self, banner: Banner) -> TableHeader:
        """What a table of this board says of itself."""
        return TableHeader(
            board=self.board.id,
            clock_hz=self.board.clock_hz,
            runtime=self.runtime,
            kernels=banner.backend,
            compiler=f"{banner.compiler} {banner.flags}",
            date=date.today().isoformat(),
            provenance=self.device,
        )


def check_has_firmware(board: Board) -> None:
    """Raises BoardError for a board without firmware."""
    if not board.firmware or (board.emulated and board.id not in MACHINES):
        able = [name for name in board_ids() if load_board(name).firmware]
        raise BoardError(
            f"{board.id} has no firmware in micronas-tf, so that it cannot be measured. Boards that can: "
            f"{', '.join(able)}. Cycles measured by other means: docs/own-board.md."
        )


def prepare_bench(
    board: Board, runtime: Runtime, *, port: str | None = None, cycles_per_instruction: float | None = None
) -> Bench:
    """Build the firmware, bring it onto the board, and say how to reach it.

    Args:
        board: what to measure.
        runtime: whose kernels.
        port: serial port of a real board; the only Nucleo's when None.
        cycles_per_instruction: of an emulated board, instead of its own.

    Raises:
        BoardError: the board has no firmware, or an emulated one was given a port.
        DeviceError: no board attached, no compiler, no emulator, or the build fails.
    """
    check_has_firmware(board)
    if board.emulated:
        return _prepare_emulated(board, runtime, port, cycles_per_instruction)
    found = find_port(board, port)
    upload(environment(board, runtime))
    return Bench(board, runtime, partial(_real_board, found), f"measured on {board.name}")


@contextmanager
def bundle_bench(board: Board, bundle: Path, port: str | None = None) -> Iterator[Bench]:
    """The board with a bundle in its firmware, for the length of a block.

    Args:
        board: what to build for.
        bundle: folder of the bundle.
        port: serial port of a real board; the only Nucleo's when None.

    Raises:
        BoardError, DeviceError: as `prepare_bench`.
    """
    check_has_firmware(board)
    name = bundle_environment(board)
    if not board.emulated:
        found = find_port(board, port)
        upload(name, bundle=bundle)
        yield Bench(board, "bundle", partial(_real_board, found), f"measured on {board.name}")
        return
    _refuse_port(board, port)
    require_qemu()
    with tempfile.TemporaryDirectory() as folder:
        image = build_image(name, bundle=bundle, copy=Path(folder) / "firmware.elf")
        yield emulated_bench(board, "bundle", image, board.cycles_per_instruction or 1.0)


def _refuse_port(board: Board, port: str | None) -> None:
    if port is not None:
        raise BoardError(f"{board.id} is emulated: its port comes with it. Received: --port {port}. Leave it out.")


def _prepare_emulated(board: Board, runtime: Runtime, port: str | None, constant: float | None) -> Bench:
    _refuse_port(board, port)
    require_qemu()
    image = build_image(environment(board, runtime))
    return emulated_bench(board, runtime, image, constant or board.cycles_per_instruction or 1.0)


def emulated_bench(board: Board, runtime: Runtime, image: Path, cycles_per_instruction: float) -> Bench:
    """The bench of an image that is built already."""
    device = (
        f"emulated: instructions in QEMU {qemu_version()} ({machine_of(board.id).name}) × "
        f"{cycles_per_instruction:.6g} cycles per instruction of {board.emulates}"
    )
    start = partial(emulated_board, board.id, image)
    preload = Preload(machine_of(board.id).preload_bytes, start)
    return Bench(board, runtime, start, device, cycles_per_instruction, preload)


@contextmanager
def _real_board(port: str) -> Iterator[Link]:
    with open_stream(port) as stream:
        yield Link(stream, f"the board at {port}")
