"""`.ci/run` with commands that only write down how they were called, and what it asks of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.firmware.images import REQUIRED, require_tools

SCRIPT = Path(__file__).resolve().parents[1] / ".ci/run"
PACKAGES = "python3-venv gcc libc6-dev cmake gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm chromium"
STAND_IN = """#!/bin/sh
echo "{name} $* [$MICRONAS_TF_CI]" >> "{log}"
exit {status}
"""


def stand_in(folder: Path, name: str, status: int = 0) -> None:
    path = folder / name
    path.write_text(STAND_IN.format(name=name, log=folder.parent / "log", status=status))
    path.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder that is all of PATH: make and Python are there, compilers and emulator are not."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "sh", "dirname"):
        (folder / name).symlink_to(str(shutil.which(name)))
    stand_in(folder, "make")
    stand_in(folder, "python3", status=1)  # a Python without ensurepip
    for name in ("apt-get", "sudo"):
        stand_in(folder, name)
    return folder


def run_script(commands: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    environment = {"PATH": str(commands)}
    done = subprocess.run(
        [commands / "bash", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done, (commands.parent / "log").read_text().splitlines()


def test_missing_tools_are_installed_and_then_required(commands: Path) -> None:
    done, called = run_script(commands)
    assert done.returncode == 0, done.stderr
    root = "" if os.geteuid() == 0 else "sudo --preserve-env=DEBIAN_FRONTEND "
    assert [line for line in called if not line.startswith("python3 ")] == [
        f"{root}apt-get update -qq []",
        f"{root}apt-get install -qq --yes --no-install-recommends {PACKAGES} []",
        "make --no-print-directory check PYTHON=python3 [1]",
        "make --no-print-directory test PYTHON=python3 [1]",
    ]


def test_nothing_is_installed_where_everything_is_there(commands: Path) -> None:
    for name in ("python3", "cc", "cmake", "arm-none-eabi-gcc", "qemu-system-arm", "chromium"):
        stand_in(commands, name)
    done, called = run_script(commands)
    assert done.returncode == 0, done.stderr
    assert not [line for line in called if "apt-get" in line]
    assert sum(line.startswith("make ") for line in called) == 2


def test_a_failing_check_fails_the_script(commands: Path) -> None:
    stand_in(commands, "make", status=3)
    done, called = run_script(commands)
    assert done.returncode == 3
    assert sum(line.startswith("make ") for line in called) == 1


def test_without_apt_the_missing_packages_are_named(commands: Path) -> None:
    (commands / "apt-get").unlink()
    done, _ = run_script(commands)
    assert done.returncode == 2
    assert PACKAGES in done.stderr


@pytest.mark.parametrize(("value", "outcome"), [("1", "Failed"), ("", "Skipped")])
def test_a_missing_tool_fails_where_it_is_required(monkeypatch: pytest.MonkeyPatch, value: str, outcome: str) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv(REQUIRED, value)
    with pytest.raises(BaseException, match="qemu-system-arm not on PATH") as caught:
        require_tools()
    assert type(caught.value).__name__ == outcome
