"""Firmware images built by PlatformIO with the system's compiler."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from micronas_tf.device import build
from micronas_tf.device.build import COMPILER
from micronas_tf.errors import DeviceError

from .emulator import QEMU

REQUIRED: Final = "MICRONAS_TF_CI"
"""Set by .ci/run, this variable says that compiler and emulator must be there."""


PACKAGES: Final = {
    COMPILER: "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    QEMU: "qemu-system-arm",
    "cc": "gcc libc6-dev",
    "cmake": "cmake",
}
"""As Debian names what a tool comes with."""


def require_tools(*tools: str) -> None:
    """Skips the test where a tool is missing, compiler or emulator if none is named; fails it where it must not be."""
    missing = [tool for tool in tools or (COMPILER, QEMU) if shutil.which(tool) is None]
    if missing:
        packages = " ".join(PACKAGES[tool] for tool in missing)
        reason = f"{' and '.join(missing)} not on PATH (Debian: apt install {packages})"
        if os.environ.get(REQUIRED):
            pytest.fail(reason)
        pytest.skip(reason)


@functools.cache
def build_image(environment: str) -> Path:
    """Path of the linked image; PlatformIO rebuilds what changed only."""
    try:
        return build.build_image(environment)
    except DeviceError as error:
        pytest.fail(f"{environment} does not build: {error}")


def sizes(image: Path) -> dict[str, int]:
    """Bytes of each section of an image."""
    listing = subprocess.run(
        ["arm-none-eabi-size", "-A", "-d", image], capture_output=True, text=True, check=True
    ).stdout
    return {name: int(size) for name, size in re.findall(r"^(\.\S+)\s+(\d+)", listing, re.MULTILINE)}
