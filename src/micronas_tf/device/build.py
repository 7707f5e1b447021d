"""Firmware images: built by PlatformIO from the sources in the package.

In a checkout they are built where the sources are; elsewhere in the user's cache folder, for an installed package
is never written to. Emulated boards need the compiler on PATH and no network; real boards take PlatformIO's own
platform, which it downloads on first use, and are uploaded to (untested: no board was at hand).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from micronas_tf.boards import Board
from micronas_tf.cost import Runtime
from micronas_tf.errors import DeviceError

COMPILER: Final = "arm-none-eabi-gcc"
COMPILER_PACKAGES: Final = "gcc-arm-none-eabi libnewlib-arm-none-eabi"
_LAST_LINES: Final = 15


def firmware_directory() -> Path:
    """Folder of the firmware's sources."""
    return Path(str(files("micronas_tf") / "firmware"))


def environment(board: Board, runtime: Runtime) -> str:
    """PlatformIO's environment: our kernels are those of a bundle, CMSIS-NN's those that TFLM runs."""
    return board.id if runtime == "bundle" else f"{board.id}_cmsis_nn"


def bundle_environment(board: Board) -> str:
    """PlatformIO's environment with a bundle in the firmware."""
    return f"{board.id}_bundle"


def workspace(sources: Path) -> Path:
    """Folder of everything a build writes."""
    if sources.is_symlink() and os.access(sources, os.W_OK):
        return sources.resolve() / ".pio"
    # PlatformIO remembers in there where the platform lies: one workspace for each place of the package.
    place = hashlib.sha256(str(sources.resolve()).encode()).hexdigest()[:12]
    return user_cache_path("micronas-tf") / f"firmware-{place}"


def require_compiler() -> None:
    """Raises DeviceError if the compiler is missing."""
    if shutil.which(COMPILER) is None:
        raise DeviceError(
            f"An emulated board's firmware needs {COMPILER} on PATH. "
            f"On Debian and Ubuntu: apt install {COMPILER_PACKAGES}."
        )


def build_image(
    name: str, sources: Path | None = None, *, bundle: Path | None = None, copy: Path | None = None
) -> Path:
    """The linked image of a local environment, built with the compiler on PATH; only what changed is compiled.

    Args:
        name: of the environment.
        sources: the firmware; the package's when None.
        bundle: folder of the bundle that goes into it, for the environments that take one.
        copy: where to copy the image, so that another build leaves it alone; it stays in the workspace when None.

    Raises:
        DeviceError: no compiler, or the build fails; the message ends with what it printed last.
    """
    require_compiler()
    sources = sources or firmware_directory()
    script = sources.resolve() / "scripts" / "offline_pio.py"
    image = workspace(sources) / "build" / name / "firmware.elf"
    with _alone(workspace(sources)):
        _run_platformio((str(script), "run", "--silent", "-e", name), sources, bundle)
        if copy is None:
            return image
        shutil.copyfile(image, copy)
        return copy


def upload(name: str, sources: Path | None = None, *, bundle: Path | None = None) -> None:
    """Build the environment of a real board with PlatformIO's own platform, and write it into the board's flash.

    Raises:
        DeviceError: the build or the upload fails; the message ends with what it printed last.
    """
    command = ("-m", "platformio", "run", "--silent", "-e", name, "-t", "upload")
    sources = sources or firmware_directory()
    with _alone(workspace(sources)):
        _run_platformio(command, sources, bundle)


def _run_platformio(arguments: Sequence[str], sources: Path, bundle: Path | None) -> None:
    place = workspace(sources)
    variables = {
        **os.environ,
        "PLATFORMIO_WORKSPACE_DIR": str(place),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if bundle is not None:
        variables["MICRONAS_BUNDLE"] = str(bundle.resolve())
    if arguments[0] != "-m":
        variables.setdefault("PLATFORMIO_CORE_DIR", str(place / "core"))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=sources.resolve(),
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise DeviceError(f"PlatformIO's `{' '.join(arguments[1:])}` fails. Its last lines:\n{last}")


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Two builds in one workspace would trip over each other."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / "lock").open("w")
    except OSError as error:
        raise DeviceError(f"Cannot build in {place}: {error.strerror}. Make it writable.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
