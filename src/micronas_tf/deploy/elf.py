"""Flash and RAM of a bundle, from the program that the linker makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from micronas_tf.errors import DeviceError

COMPILER: Final = "arm-none-eabi-gcc"
_SIZE: Final = "arm-none-eabi-size"
_ENTRIES: Final = ("model_init", "model_predict", "model_predict_int8")
_SECTION: Final = re.compile(r"^(\.\S+)\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Linked:
    """
    Attributes:
        flash_bytes: code and constants, with what the C library contributes.
        ram_bytes: variables, which are the arena; the stack is not counted.
        compiler: name and version.
    """

    flash_bytes: int
    ram_bytes: int
    compiler: str


def link(bundle: Path, cpu: str) -> Linked | None:
    """Link the library alone, as far as its functions reach; None where there is no compiler.

    Raises:
        DeviceError: the bundle does not compile for this core.
    """
    if shutil.which(COMPILER) is None or shutil.which(_SIZE) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "bundle.elf"
        _run(*_command(bundle, cpu), "-o", str(image))
        sections = {name: int(size) for name, size in _SECTION.findall(_run(_SIZE, "-A", "-d", str(image)))}
    flash = sum(sections.get(name, 0) for name in (".text", ".rodata", ".ARM.exidx", ".ARM.extab", ".data"))
    return Linked(flash, sections.get(".data", 0) + sections.get(".bss", 0), f"gcc {_run(COMPILER, '-dumpversion')}")


def _command(bundle: Path, cpu: str) -> list[str]:
    machine = [f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=hard", "-mfpu=auto"]
    compile_only = ["-std=gnu11", "-O2", "-ffunction-sections", "-fdata-sections"]
    includes = [f"-I{bundle / folder}" for folder in (".", "include", "kernels")]
    sources = [bundle / "model.c", *sorted((bundle / "kernels").glob("*.c"))]
    # What a program would call is kept; the first of them stands for the program's start.
    keep = [f"-Wl,-u,{name}" for name in _ENTRIES]
    linking = ["-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", f"-Wl,-e,{_ENTRIES[0]}", *keep]
    return [COMPILER, *machine, *compile_only, *includes, *map(str, sources), *linking]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise DeviceError(f"{command[0]} fails on the bundle: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()
