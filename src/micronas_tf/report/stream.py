"""How the windows come in use, and how a run remembers it: its report is written again after a verification."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from micronas_tf.errors import RunError
from micronas_tf.run_directory import RunDirectory, command, read_json, write_json

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Stream:
    """How the windows come in use; None: as far as the run knows.

    Raises:
        RunError: no such rate or hop.
    """

    rate_hz: float | None = None
    hop: int | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not 0 < self.rate_hz < float("inf"):
            raise RunError(f"A sampling rate is a positive number of Hz. Received: {self.rate_hz}.")
        if self.hop is not None and self.hop < 1:
            raise RunError(f"A hop is at least one sample. Received: {self.hop}.")

    def completed_by(self, other: Stream) -> Stream:
        """This stream, with what it leaves open taken from another one."""
        return Stream(
            other.rate_hz if self.rate_hz is None else self.rate_hz, other.hop if self.hop is None else self.hop
        )


def remembered(directory: Path) -> Stream:
    """What the report was written with last.

    Raises:
        RunError: `stream.json` is damaged or of another version.
    """
    path = RunDirectory(directory).stream
    if not path.exists():
        return Stream()
    content = read_json(path)
    try:
        if content.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        return Stream(**content)
    except (AttributeError, KeyError, TypeError, ValueError, RunError) as error:
        raise RunError(
            f"{path} is damaged or of another version: {error!r}. Delete it, and state rate and hop again: "
            f"`{command('report', directory, '--rate-hz HZ --hop SAMPLES')}`."
        ) from error


def keep(directory: Path, stream: Stream) -> None:
    """For the next report; nothing where nothing was told."""
    if stream != Stream():
        write_json(RunDirectory(directory).stream, {"schema": SCHEMA, **asdict(stream)})
