"""The firmware on emulated Cortex-M4 and Cortex-M33: the instructions of the DSP extension are real ones there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from . import transcripts
from .emulator import INSTRUCTIONS_PER_TICK, MACHINES, Emulator
from .host import build_host, converse
from .images import build_image, require_tools, sizes
from .protocol import framed, unframed
from .specs import KINDS, random_spec

FLASH_LIMIT, RAM_LIMIT = 192 * 1024, 8 * 1024
"""Of which 134 KiB of flash are the constants that stand for weights; the arena is not counted as RAM."""


@pytest.fixture(scope="module", params=MACHINES)
def board(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    require_tools()
    with Emulator(request.param, build_image(request.param)) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_host(tmp_path_factory.mktemp("host") / "host", arena_bytes=90_000)


def _compare(board: Emulator, host: Path, kernel: str, count: int, seed: int) -> None:
    """Checksums of outputs on the board against those of the same C code on this machine, which equals LiteRT."""
    rng = np.random.default_rng((seed, KINDS.index(kernel)))
    checks = [f"CHECK {random_spec(rng, kernel)} seed={case}" for case in range(count + count // 10)]
    session = "".join(framed(f"MN1 1 {check}") + "\n" for check in checks)
    lines = converse(host, session.encode()).decode().splitlines()
    answers = [unframed(line).removeprefix("MN1 1 ") for line in lines]
    fitting = [pair for pair in zip(checks, answers, strict=True) if pair[1] != "ERR ram"]
    assert len(fitting) >= count
    for check, answer in fitting:
        assert answer.startswith("OK crc=")
        assert board.ask(check) == answer, check


@pytest.mark.parametrize("kernel", KINDS)
def test_bit_exact(board: Emulator, host: Path, kernel: str) -> None:
    _compare(board, host, kernel, count=60, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KINDS)
def test_bit_exact_many(board: Emulator, host: Path, kernel: str) -> None:
    _compare(board, host, kernel, count=2000, seed=2)


def test_golden_checks(board: Emulator) -> None:
    requests, replies = transcripts.read(transcripts.FOLDER / "checks.txt")
    board.send(requests)
    assert [board.line() for _ in replies] == replies


def test_banner_names_board_and_backend(board: Emulator) -> None:
    fields = dict(field.split("=", 1) for field in board.hello.removeprefix("OK ").split(" "))
    assert fields["board"] == board.board
    assert fields["backend"] == "portable/1"
    assert fields["counter"] == "systick"
    assert fields["flags"] == "-O2"


def test_counts_repeat(board: Emulator) -> None:
    counts = board.instructions("conv2d (16,5,16)->(16,5,16) k(5,1) s(1,1) same relu", repeats=3)
    assert max(counts) - min(counts) <= 1


def test_counter_overflow_is_counted(board: Emulator) -> None:
    """The longer ones take more ticks than the 24 bits of SysTick hold."""
    one, three, six = (
        board.instructions(f"conv2d ({time},8,64)->({time},8,64) k(1,8) s(1,1) same relu")[0] for time in (16, 48, 96)
    )
    assert six / INSTRUCTIONS_PER_TICK[board.board] > 2**24
    assert three / one == pytest.approx(3, rel=0.05)
    assert six / three == pytest.approx(2, rel=0.05)


def test_network_takes_the_sum_of_its_operators(board: Emulator) -> None:
    first = "conv2d (64,9,1)->(32,9,8) k(5,1) s(2,1) same relu"
    second = "conv2d (32,9,8)->(16,9,16) k(5,1) s(2,1) same relu"
    assert board.ask("NET") == "OK nodes=0"
    assert board.ask(f"NODE {first} in=0 out=1024") == "OK nodes=1"
    assert board.ask(f"NODE {second} in=1024 out=4096") == "OK nodes=2"
    ticks = int(board.ask("RUN n=1").removeprefix("OK cycles="))
    alone = [int(board.ask(f"OP {spec} n=1").removeprefix("OK cycles=")) for spec in (first, second)]
    assert ticks == pytest.approx(sum(alone), rel=0.005)


@pytest.mark.parametrize("noise", [b"\x00\xff" * 2000, b"MN1 9 OP conv2d", b"\n" * 500, bytes(range(256)) * 8])
def test_answers_after_noise(board: Emulator, noise: bytes) -> None:
    board.send(noise + b"\n")
    board.send(framed("MN1 77 NET").encode() + b"\n")
    for _ in range(1000):
        if board.line() == framed("MN1 77 OK nodes=0"):
            return
    pytest.fail("no answer")


def test_refuses_what_does_not_fit(board: Emulator) -> None:
    assert board.ask("OP conv2d (512,64,8)->(512,64,8) k(3,1) s(1,1) same relu n=1") == "ERR ram"
    assert board.ask("OP conv2d (4,60,64)->(4,60,64) k(1,60) s(1,1) same relu n=1") == "ERR flash"
    assert board.ask("HELLO").startswith("OK ")


SPEED = [
    ("conv2d (16,5,64)->(16,5,64) k(5,1) s(1,1) same linear", 16 * 5 * 64 * 64 * 5, 1.3),
    ("conv2d (16,5,64)->(16,5,64) k(1,1) s(1,1) same linear", 16 * 5 * 64 * 64, 1.5),
    ("conv2d (64,9,16)->(32,9,16) k(5,1) s(2,1) same relu", 32 * 9 * 16 * 16 * 5, 1.8),
    ("conv2d (128,9,1)->(64,9,16) k(5,1) s(2,1) same relu", 64 * 9 * 16 * 5, 5.0),
    ("conv2d (128,9,1)->(64,9,8) k(3,1) s(2,1) same relu", 64 * 9 * 8 * 3, 8.0),
    ("add (16,5,64)+(16,5,64)->(16,5,64)", 16 * 5 * 64, 10.0),
    ("mean (16,5,64)->(1,1,64)", 16 * 5 * 64, 4.0),
    ("mean (16,5,6)->(1,1,6)", 16 * 5 * 6, 4.0),
]


@pytest.mark.parametrize(("spec", "steps", "most"), SPEED)
def test_instructions_per_step(board: Emulator, spec: str, steps: int, most: float) -> None:
    assert board.instructions(spec)[0] / steps <= most


@pytest.mark.parametrize(
    "environment", ["qemu_cortex_m4", "qemu_cortex_m33", "nucleo_f446re_local", "nucleo_l552ze_q_local"]
)
def test_image_sizes(environment: str) -> None:
    require_tools()
    found = sizes(build_image(environment))
    assert found[".text"] + found[".data"] <= FLASH_LIMIT
    assert found[".data"] + found[".bss"] <= RAM_LIMIT


def test_image_for_the_real_f446_starts() -> None:
    """The emulated STM32F405 has the F446's memories and serial port; it ignores clocks, pins and the watchdog."""
    require_tools()
    with Emulator("qemu_cortex_m4", build_image("nucleo_f446re_local")) as emulator:
        assert "board=nucleo_f446re " in emulator.hello
