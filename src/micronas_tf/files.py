"""Files that are either the old ones or the new ones, never half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from micronas_tf.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_OLD: Final = ".old.tmp"
"""Ends the name of a folder while another one takes its place."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8, newlines as they are) so that a reader never sees a part of it.

    The content goes to a temporary name in the same folder, is flushed to the disk and renamed. Missing
    parent folders are made. What stood under `path` survives any failure.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(path, data)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` for code that writes a file or a whole folder itself; renamed when the block ends well.

    Missing parent folders are made. What stood under `path` survives any failure; where a folder stood, there is
    nothing for the instant between two renames.

    Raises:
        RunError: the folder cannot be written, or the disk is full; nothing is left of the attempt.
    """
    path = path.resolve()  # "." has no name
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        for file in [temporary] if temporary.is_file() else temporary.rglob("*"):
            _flush(file)
        _exchange(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            _remove(temporary)


@contextmanager
def exclusively(folder: Path) -> Iterator[None]:
    """Nobody else has the folder in this way meanwhile; a process that dies gives it back.

    It is made if it is missing. Where the system or its file system has no such locks, nothing is kept apart.

    Raises:
        RunError: somebody else has it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY) if fcntl else None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        if handle is not None:
            _lock(folder, handle)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(folder: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(
            f"Another process works in {folder}. Wait for it, or end it: two would overwrite each other's files."
        ) from None
    except OSError:  # a network's file system may know no locks
        return


def unwritable(path: Path, error: Exception) -> RunError:
    """What to tell about a file that could not be written."""
    reason = getattr(error, "strerror", None) or error
    return RunError(f"Cannot write {path}: {reason}. Free some disk space, or choose a writable folder.")


def clear_temporaries(folder: Path) -> None:
    """Remove what a killed process has left half-written below `folder`; a folder half replaced comes back."""
    for path in list(folder.rglob(".*.tmp*")):
        target = path.with_name(path.name.removeprefix(".").removesuffix(_OLD))
        with suppress(OSError):
            if path.name.endswith(_OLD) and not target.exists():
                path.replace(target)
            else:
                _remove(path)


def discard(path: Path) -> None:
    """Delete a file or a folder, if it is there.

    Raises:
        RunError: it cannot be deleted.
    """
    try:
        _remove(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _write_and_rename(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as any other.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _exchange(new: Path, target: Path) -> None:
    if not target.is_dir():
        new.replace(target)
        return
    old = target.with_name(f".{target.name}{_OLD}")
    _remove(old)
    target.replace(old)
    try:
        new.replace(target)
    except BaseException:
        if not target.exists():
            old.replace(target)
        raise
    _remove(old)
