"""Boards and budgets: what a network must fit."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeAlias

from micronas_tf.errors import BoardError

MemoryFigure: TypeAlias = Literal["arena", "peak"]
DEFAULT_BOARD = "nucleo_f446re"
_CPU = re.compile(r"[a-z0-9]+([-+.][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Board:
    """A microcontroller board.

    Attributes:
        id: file name in `data/boards/` and PlatformIO environment, for example `nucleo_f446re`.
        name: as printed on the box.
        cpu: core as GCC's -mcpu takes it, for example `cortex-m4`.
        clock_hz: core clock at which milliseconds are stated; cycles are the truth.
        ram_bytes: RAM of the chip.
        flash_bytes: flash of the chip.
        firmware: whether `firmware_pio/` has an environment for it.
        op_overhead_cycles: what the TFLM interpreter spends around one operator.
        notes: one line for people.
        emulates: id of the board that this one, an emulated one, stands for; empty for a real board.
        cycles_per_instruction: of that board; turns the instructions of the emulator into its cycles.
        supply_v, active_ma, sleep_ma: of the chip while it computes and while it waits, for the energy in reports;
            None: unknown.
    """

    id: str
    name: str
    cpu: str
    clock_hz: int
    ram_bytes: int
    flash_bytes: int
    firmware: bool
    op_overhead_cycles: int
    notes: str = ""
    emulates: str = ""
    cycles_per_instruction: float | None = None
    supply_v: float | None = None
    active_ma: float | None = None
    sleep_ma: float | None = None

    def __post_init__(self) -> None:
        for field in ("clock_hz", "ram_bytes", "flash_bytes"):
            if not getattr(self, field) > 0:
                raise BoardError(f"{field} of board {self.id!r} must be positive. Received: {getattr(self, field)}.")
        if not _CPU.fullmatch(self.cpu):
            raise BoardError(
                f"cpu of board {self.id!r} is the core's name as GCC's -mcpu takes it, in small letters, for example "
                f"cortex-m4. Received: {self.cpu!r}."
            )
        if self.op_overhead_cycles < 0:
            raise BoardError(f"op_overhead_cycles must be at least 0. Received: {self.op_overhead_cycles}.")
        if bool(self.emulates) != (self.cycles_per_instruction is not None):
            raise BoardError(f"A board has both emulates and cycles_per_instruction, or neither. Received: {self}.")
        if self.cycles_per_instruction is not None and not self.cycles_per_instruction > 0:
            raise BoardError(f"cycles_per_instruction must be positive. Received: {self.cycles_per_instruction}.")
        for field in ("supply_v", "active_ma", "sleep_ma"):
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise BoardError(f"{field} of board {self.id!r} must be positive, or left out. Received: {value}.")

    @property
    def emulated(self) -> bool:
        return bool(self.emulates)

    def stands_for(self, board_id: str) -> bool:
        """Whether what is measured here counts for that board: it is this one, or the one that this one emulates."""
        return board_id in (self.id, self.emulates)

    def milliseconds(self, cycles: float) -> float:
        return cycles / self.clock_hz * 1e3


@dataclass(frozen=True, slots=True)
class Budget:
    """The declared limits; `None` means no limit (and no loss for it in the search).

    Attributes:
        latency_ms: of one inference, at the board's clock.
        memory_bytes: limit for the figure named by `memory_figure`.
        flash_bytes: weights, biases, multipliers and container.
        memory_figure: `arena` (what the runtime must be given) or `peak` (the paper's figure).
    """

    latency_ms: float | None = None
    memory_bytes: int | None = None
    flash_bytes: int | None = None
    memory_figure: MemoryFigure = "arena"

    def __post_init__(self) -> None:
        for field in ("latency_ms", "memory_bytes", "flash_bytes"):
            value = getattr(self, field)
            if value is not None and not 0 < value < inf:
                raise BoardError(
                    f"The budget's {field} is a positive number; leave it out for no limit. Received: {value}."
                )
        if self.memory_figure not in ("arena", "peak"):
            raise BoardError(f"The memory figure is 'arena' or 'peak'. Received: {self.memory_figure!r}.")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def boards_directory() -> Path:
    """Folder of the board files that ship with the package."""
    return Path(str(files("micronas_tf") / "data" / "boards"))


def load_board(source: str | Path) -> Board:
    """The board with this id, or of this TOML file.

    Raises:
        BoardError: no such board, or its file is malformed.
    """
    path = Path(source)
    if path.suffix != ".toml":
        path = boards_directory() / f"{source}.toml"
    if not path.is_file():
        raise BoardError(
            f"No board {str(source)!r}. Known boards: {', '.join(board_ids())}; or give a board's .toml file."
        )
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        return Board(id=path.stem, **fields)
    except OSError as error:
        raise BoardError(f"Board file {path} cannot be read: {error.strerror}. Make it readable.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise BoardError(f"Board file {path} is malformed: {error}. See docs/file-formats.md.") from error


def board_ids() -> tuple[str, ...]:
    """Ids of the boards that ship with the package, sorted."""
    return tuple(sorted(path.stem for path in boards_directory().glob("*.toml")))
