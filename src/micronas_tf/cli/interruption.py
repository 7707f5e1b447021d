"""What ends a command from outside: Ctrl-C, and who asks its process to go."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupted_from_outside() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that closes, raise KeyboardInterrupt in the block.

    An emulated board must end with its host, also then. A signal that is ignored, as SIGHUP under `nohup`, stays so.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    asked = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    heard = [number for number in asked if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
