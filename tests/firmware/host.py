"""The firmware's protocol and kernels as a program of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .kernels import FIRMWARE, WARNINGS, kernel_sources

ARENA_BYTES = 65536
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def build_host(target: Path, *flags: str, arena_bytes: int = ARENA_BYTES) -> Path:
    """Compiles the program; its banner does not depend on the compiler."""
    bench = sorted((FIRMWARE / "src/bench").glob("*.[cS]"))
    sources = [Path(__file__).with_name("host_board.c"), *bench, *kernel_sources()]
    includes = [f"-I{FIRMWARE / folder}" for folder in ("include", "src", "src/kernels/shared")]
    defines = [f"-DMN_HOST_ARENA_BYTES={arena_bytes}", '-DMN_COMPILER="cc"', '-DMN_FLAGS="host"']
    command = ["cc", "-std=c11", "-O2", "-g", "-Wl,-z,noexecstack", *WARNINGS, *includes, *defines, *flags]
    subprocess.run([*command, *map(str, sources), "-o", str(target)], check=True)
    return target


def converse(program: Path, requests: bytes, timeout_s: float = 60.0) -> bytes:
    """Everything the program replies to the bytes of a whole session."""
    done = subprocess.run([program], input=requests, stdout=subprocess.PIPE, check=True, timeout=timeout_s)
    return done.stdout
