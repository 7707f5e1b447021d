"""The firmware with a bundle in it as a program of this machine, at the far end of a pty."""

from __future__ import annotations

import os
import pty
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.firmware.host import SANITIZERS, build_host
from tests.firmware.kernels import FIRMWARE

from micronas_tf.boards import load_board
from micronas_tf.device import Bench, Link, open_stream


def build_board(bundle: Path, target: Path) -> Path:
    """As `scripts/bundle.py` of the firmware builds it, for this machine and under the sanitizers."""
    defines = (
        "-DMN_BUNDLE",
        "-DMN_LONGEST_LINE=1200",
        "-DMODEL_GUARD_BYTES=256",
        '-DMODEL_STEP_HEADER="bundle_step.h"',
    )
    includes = (f"-I{bundle}", f"-I{FIRMWARE / 'src/bench'}")
    return build_host(target, *defines, *includes, *SANITIZERS, str(bundle / "model.c"))


@contextmanager
def started(program: Path) -> Iterator[Link]:
    """A link to the program, as long as the block."""
    board, host = pty.openpty()
    tty.setraw(host)
    process = subprocess.Popen([program], stdin=board, stdout=board)
    os.close(board)
    try:
        with open_stream(os.ttyname(host)) as stream:
            yield Link(stream, "the program")
    finally:
        process.kill()
        process.wait()
        os.close(host)


def bench_of(program: Path) -> Bench:
    board = replace(load_board("nucleo_f446re"), id="host")
    return Bench(board, "bundle", lambda: started(program), "measured on this machine")
