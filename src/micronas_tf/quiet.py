"""Catching what C and C++ code writes to the process' own stdout and stderr."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Captured:
    """What was written, once the block has been left."""

    text: str = ""


@contextmanager
def captured_output() -> Iterator[Captured]:
    """Send file descriptors 1 and 2 to a file for the length of a block.

    Python's `redirect_stderr` does not see the TFLite converter, which logs from C++, nor TensorFlow Lite
    Micro, which prints its arena figures from C. The descriptors belong to the whole process: other threads are
    caught, too.
    """
    captured = Captured()
    _flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as sink:
        try:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            yield captured
        finally:
            _flush()
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
            sink.seek(0)
            captured.text = sink.read().decode(errors="replace")


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
