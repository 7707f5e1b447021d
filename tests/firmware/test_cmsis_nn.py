"""The CMSIS-NN backend, where a copy is named in platformio_override.ini (docs/protocol.md, "Backends")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from .emulator import Emulator
from .host import build_host, converse
from .images import build_image, require_tools
from .kernels import FIRMWARE
from .protocol import framed, unframed
from .specs import KINDS, random_spec


@pytest.fixture(scope="module")
def board() -> Iterator[Emulator]:
    require_tools()
    if not (FIRMWARE / "platformio_override.ini").is_file():
        pytest.skip("firmware_pio/platformio_override.ini names no copy of CMSIS-NN")
    with Emulator("qemu_cortex_m4", build_image("qemu_cortex_m4_cmsis_nn")) as emulator:
        yield emulator


@pytest.mark.parametrize("kernel", KINDS)
def test_bit_exact(board: Emulator, tmp_path: Path, kernel: str) -> None:
    rng = np.random.default_rng((5, KINDS.index(kernel)))
    checks = [f"CHECK {random_spec(rng, kernel)} seed={case}" for case in range(100)]
    session = "".join(framed(f"MN1 1 {check}") + "\n" for check in checks).encode()
    host = build_host(tmp_path / "host", arena_bytes=90_000)
    replies = [unframed(line).removeprefix("MN1 1 ") for line in converse(host, session).decode().splitlines()]
    assert board.hello.split(" backend=")[1].startswith("cmsis-nn/")
    assert [board.ask(check) for check in checks] == replies
