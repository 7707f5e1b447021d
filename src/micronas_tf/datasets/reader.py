"""What a reader is: one file format, from a path to windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from micronas_tf.datasets.windows import Windows
from micronas_tf.errors import DataError


@dataclass(frozen=True, slots=True)
class Cut:
    """How a stream of samples is cut: windows of `window` samples, one every `hop` samples.

    Raises:
        DataError: either is less than one sample.
    """

    window: int
    hop: int

    def __post_init__(self) -> None:
        if self.window < 1 or self.hop < 1:
            raise DataError(f"Window and hop are at least one sample. Received: {self.window} and {self.hop}.")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a source holds: a train part with its test part, or one unsplit set (`test` is None)."""

    train: Windows
    test: Windows | None = None
    notes: tuple[str, ...] = ()


class Read(Protocol):
    def __call__(self, source: str, cut: Cut | None) -> Parts:
        """The windows of this source; `cut` is None where the caller asked for none."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One format.

    Attributes:
        name: of the format, for people.
        accepts: whether a source, a path or a name, is of this format; looks at no content.
        read: reads it. Errors say where in the source, not which source.
        cuts: whether it takes samples that are still to be cut into windows.
    """

    name: str
    accepts: Callable[[str], bool]
    read: Read
    cuts: bool = False


@contextmanager
def within(where: str) -> Iterator[None]:
    """Puts the place in front of the message of a `DataError`."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
