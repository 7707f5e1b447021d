"""Lines of the protocol (docs/protocol.md)."""

from __future__ import annotations

import zlib


def framed(text: str) -> str:
    """Adds the checksum that ends a line."""
    return f"{text}*{zlib.crc32(text.encode()):08x}"


def unframed(line: str) -> str:
    """The line without its checksum, which must be right."""
    body = line[: -len("*00000000")]
    if framed(body) != line:
        raise ValueError(f"A line ends in the CRC-32 of what precedes it. Received: {line!r}.")
    return body
