"""Atomic writes: all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from micronas_tf.errors import RunError
from micronas_tf.files import write_atomically


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.txt", "é\r\n")
    write_atomically(tmp_path / "a" / "b.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"\xc3\xa9\r\n"
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"\x00\xff"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"Cannot write .*file: No space left on device\. Free some disk space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_way_of_a_folder_is_an_error(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "x")
    with pytest.raises(RunError, match="Cannot write"):
        write_atomically(tmp_path / "file" / "below", "y")
