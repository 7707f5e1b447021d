"""Atomic writes: all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from micronas_tf.errors import RunError
from micronas_tf.files import folder_written_whole, write_atomically


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


def test_a_folder_is_replaced_when_the_new_one_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a" / "bundle"
    for content in ("one", "two"):
        with folder_written_whole(target) as folder:
            (folder / content).write_text(content)
            assert not (target / content).exists()
        assert [path.name for path in target.iterdir()] == [content]
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "bundle"
    with folder_written_whole(target) as folder:
        (folder / "old").touch()

    def fail() -> None:
        with folder_written_whole(target) as folder:
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in target.iterdir()] == ["old"]
    rename = Path.replace

    def full(self: Path, to: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match=r"Cannot write .*bundle: No space left"), folder_written_whole(target):
        pass
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]
