"""Where firmware is built, and what is said where it cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.firmware.images import require_tools

from micronas_tf.boards import load_board
from micronas_tf.device import check_has_firmware, environment, prepare_bench
from micronas_tf.device.build import build_image, firmware_directory, workspace
from micronas_tf.errors import BoardError, DeviceError


def test_a_checkout_builds_beside_its_sources() -> None:
    assert workspace(firmware_directory()) == firmware_directory().resolve() / ".pio"


@pytest.mark.slow  # a whole build
def test_an_installed_package_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_tools()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    installed = tmp_path / "site-packages/micronas_tf/firmware"
    ignored = shutil.ignore_patterns(".pio", "__pycache__")
    shutil.copytree(firmware_directory(), installed, ignore=ignored)
    before = sorted(installed.rglob("*"))
    image = build_image("qemu_cortex_m4", installed)
    assert image.is_relative_to(tmp_path / "cache/micronas-tf")
    assert image.stat().st_size > 100_000
    assert sorted(installed.rglob("*")) == before


def test_the_environment_names_board_and_kernels() -> None:
    board = load_board("nucleo_f446re")
    assert environment(board, "bundle") == "nucleo_f446re"
    assert environment(board, "tflm") == "nucleo_f446re_cmsis_nn"


def test_a_build_that_fails_says_why() -> None:
    require_tools()
    with pytest.raises(DeviceError, match=r"(?s)-e absent` fails.*absent"):
        build_image("absent")


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeviceError, match=r"arm-none-eabi-gcc.*apt install gcc-arm-none-eabi"):
        build_image("qemu_cortex_m4")
    with pytest.raises(DeviceError, match="apt install qemu-system-arm"):
        prepare_bench(load_board("qemu_cortex_m4"), "bundle")


def test_a_board_without_firmware_is_refused_by_name() -> None:
    with pytest.raises(BoardError, match=r"nicla_sense_me has no firmware.*nucleo_f446re.*qemu_cortex_m4"):
        check_has_firmware(load_board("nicla_sense_me"))


def test_an_emulated_board_has_a_port_of_its_own() -> None:
    with pytest.raises(BoardError, match="Received: --port /dev/ttyACM0"):
        prepare_bench(load_board("qemu_cortex_m4"), "bundle", port="/dev/ttyACM0")
