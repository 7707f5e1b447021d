"""Flash and RAM of a bundle, from the program that the linker makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COMPILER: Final = "arm-none-eabi-gcc"
_SIZE: Final = "arm-none-eabi-size"
_ENTRIES: Final = ("model_init", "model_predict", "model_predict_int8")
_SECTION: Final = re.compile(r"^(\.\S+)\s+(\d+)", re.MULTILINE)
NO_FPU: Final = "cortex-m(0|0plus|1|3|23)([+].*)?"
"""Cores without a floating-point unit, as a regular expression of both Python and CMake."""


@dataclass(frozen=True, slots=True)
class Linked:
    """
    Attributes:
        flash_bytes: code and constants, with what the C library contributes; None: not linked.
        ram_bytes: variables, which are the arena; the stack is not counted. None: not linked.
        compiler: name and version; None where there is none.
        not_linked: why not, for people; None if it was.
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    compiler: str | None = None
    not_linked: str | None = None


def link(bundle: Path, cpu: str) -> Linked:
    """Link the library alone, as far as its functions reach.

    What these tools cannot build is no fault of the model: a core that they do not know, or tools without a C library.
    """
    if not cpu.startswith("cortex-m"):
        return Linked(not_linked=f"{COMPILER} has no core {cpu}")
    if shutil.which(COMPILER) is None or shutil.which(_SIZE) is None:
        return Linked(not_linked=f"{COMPILER} is not on PATH")
    compiler = f"gcc {_run(COMPILER, '-dumpversion')}"
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "bundle.elf"
        try:
            _run(*_command(bundle, cpu), "-o", str(image))
            sections = {name: int(size) for name, size in _SECTION.findall(_run(_SIZE, "-A", "-d", str(image)))}
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or [""])[0]
            return Linked(compiler=compiler, not_linked=f"{compiler} for {cpu} says: {reason}")
    flash = sum(sections.get(name, 0) for name in (".text", ".rodata", ".ARM.exidx", ".ARM.extab", ".data"))
    return Linked(flash, sections.get(".data", 0) + sections.get(".bss", 0), compiler)


def _command(bundle: Path, cpu: str) -> list[str]:
    units = ["-mfloat-abi=soft"] if re.fullmatch(NO_FPU, cpu) else ["-mfloat-abi=hard", "-mfpu=auto"]
    machine = [f"-mcpu={cpu}", "-mthumb", *units]
    compile_only = ["-std=gnu11", "-O2", "-ffunction-sections", "-fdata-sections"]
    includes = [f"-I{bundle / folder}" for folder in (".", "include", "kernels")]
    sources = [bundle / "model.c", *sorted((bundle / "kernels").glob("*.c"))]
    # What a program would call is kept; the first of them stands for the program's start.
    keep = [f"-Wl,-u,{name}" for name in _ENTRIES]
    linking = ["-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", f"-Wl,-e,{_ENTRIES[0]}", *keep]
    return [COMPILER, *machine, *compile_only, *includes, *map(str, sources), *linking]


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout.strip()
