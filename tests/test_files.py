"""Atomic writes: all or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from micronas_tf import files
from micronas_tf.errors import RunError
from micronas_tf.files import clear_temporaries, exclusively, replacing, write_atomically


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
        with replacing(target) as folder:
            folder.mkdir()
            (folder / content).write_text(content)
            assert not (target / content).exists()
        assert [path.name for path in target.iterdir()] == [content]
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "bundle"
    with replacing(target) as folder:
        folder.mkdir()
        (folder / "old").touch()

    def fail() -> None:
        with replacing(target) as folder:
            folder.mkdir()
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in target.iterdir()] == ["old"]
    rename = Path.replace

    def full(self: Path, to: Path) -> Path:
        if (self.name, to.name) == (".bundle.tmp", "bundle"):
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match=r"Cannot write .*bundle: No space left"), replacing(target) as folder:
        folder.mkdir()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_block_writes_itself_takes_its_place_at_the_end(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.keras"
    with replacing(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".keras")
        assert not path.exists()
        if kind == "folder":
            (temporary / "deep").mkdir(parents=True)
            (temporary / "deep" / "file").write_text("new")
        else:
            temporary.write_text("new")
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "deep" / "file" if kind == "folder" else path).read_text() == "new"


@pytest.mark.parametrize(
    ("error", "raised"), [(OSError(28, "No space left on device"), RunError), (KeyError(), KeyError)]
)
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: Exception, raised: type[Exception]
) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(raised), replacing(path) as temporary:  # noqa: PT012 - a block is what is tested
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_temporaries_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    for name in (".model.tmp.keras", ".run.json.x1y2.tmp", "search/.checkpoint.npz.abc.tmp"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".saved_model.tmp" / "variables").mkdir(parents=True)
    (tmp_path / ".saved_model.tmp" / "variables" / "variables.index").write_text("half")
    kept = [tmp_path / "search" / "checkpoint.npz", tmp_path / "a.tmp", tmp_path / ".hidden"]
    for path in kept:
        path.write_text("whole")
    clear_temporaries(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a.tmp", "search"]


def test_a_folder_whose_exchange_was_cut_short_comes_back(tmp_path: Path) -> None:
    for folder in (".bundle.old.tmp", ".figures.old.tmp", "figures"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(folder)
    clear_temporaries(tmp_path)
    assert {path.name: (path / "a.txt").read_text() for path in tmp_path.iterdir()} == {
        "bundle": ".bundle.old.tmp",
        "figures": "figures",
    }


def taken(folder: Path) -> None:
    with exclusively(folder):
        pass


def test_a_folder_is_had_by_one_at_a_time(tmp_path: Path) -> None:
    """Another process, too, and until it ends, in whatever way."""
    (tmp_path / "inner").mkdir()
    with (
        exclusively(tmp_path),
        exclusively(tmp_path / "inner"),
        pytest.raises(RunError, match="Another process works in"),
    ):
        taken(tmp_path)
    holding = "import sys; from pathlib import Path; from micronas_tf.files import exclusively"
    holding += "\nwith exclusively(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holding, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RunError, match=r"Another process works in .*Wait for it, or end it"):
            taken(tmp_path)
        other.kill()
        other.wait()
    with exclusively(tmp_path):
        assert list(tmp_path.iterdir()) == [tmp_path / "inner"]


def test_without_locks_nothing_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fcntl", None)
    with exclusively(tmp_path), exclusively(tmp_path):
        pass
