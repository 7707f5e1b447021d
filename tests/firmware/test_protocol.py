"""The line protocol of the firmware, as a program of this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from . import transcripts
from .host import SANITIZERS, build_host, converse
from .protocol import framed, unframed

GOLDEN = sorted(transcripts.FOLDER.glob("*.txt"))


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_host(tmp_path_factory.mktemp("host") / "host")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: str(path.stem))
def test_golden_transcript(host: Path, path: Path) -> None:
    requests, replies = transcripts.read(path)
    assert converse(host, requests).decode("ascii").splitlines() == replies


def test_transcripts_are_complete() -> None:
    assert [path.stem for path in GOLDEN] == sorted(transcripts.CONVERSATIONS)


def test_every_error_code_is_in_the_transcripts_and_the_document() -> None:
    source = (Path(transcripts.__file__).parents[2] / "firmware_pio/src/bench/protocol.c").read_text()
    document = (Path(transcripts.__file__).parents[2] / "docs/protocol.md").read_text()
    seen = {
        unframed(reply).split()[3]
        for path in GOLDEN
        for reply in transcripts.read(path)[1]
        if unframed(reply).split()[2] == "ERR"
    }
    for code in seen:
        assert f'"{code}"' in source
        assert f"`{code}`" in document
    assert seen == {
        *("crc", "garbled", "long", "version", "syntax", "verb"),
        *("shape", "ram", "flash", "slow", "empty"),
    }


def test_program_is_full_at_its_declared_size(host: Path) -> None:
    nodes = [framed(f"MN1 {i} NODE softmax (1,1,6)->(1,1,6) in=0 out=8") for i in range(97)]
    replies = converse(host, ("\n".join(nodes) + "\n").encode()).decode().splitlines()
    assert unframed(replies[95]) == "MN1 95 OK nodes=96"
    assert unframed(replies[96]) == "MN1 96 ERR full"


def _mutated(rng: np.random.Generator, seeds: list[bytes]) -> bytes:
    """A request with random damage; half of them with the checksum mended, so that the damage reaches the parser."""
    line = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(line) + 1))
        match rng.integers(5):
            case 0:
                line[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 20)), dtype=np.uint8))
            case 1:
                del line[at : at + int(rng.integers(1, 20))]
            case 2:
                line[at:at] = line[: int(rng.integers(len(line) + 1))]
            case 3:
                line[at:at] = str(2 ** int(rng.integers(0, 70)) - int(rng.integers(2))).encode()
            case _:
                line[at : at + 1] = bytes([int(rng.choice(list(b"0123456789(),->+=*k s")))])
    damaged = bytes(line).replace(b"\n", b"").replace(b"\r", b"")
    if rng.random() < 0.5:
        text = "".join(chr(byte) for byte in damaged if 32 <= byte < 127)
        return framed(text).encode() + b"\n"
    return damaged + b"\n"


def test_random_lines_neither_crash_nor_silence_it(tmp_path: Path) -> None:
    """10,000 damaged lines under the sanitizers; a good line after each is answered."""
    program = build_host(tmp_path / "sanitized", *SANITIZERS, "-DMN_MOST_STEPS=20000", arena_bytes=4096)
    rng = np.random.default_rng(7)
    requests = [text for conversation in transcripts.CONVERSATIONS.values() for _, text in conversation]
    seeds = [text.rsplit("*", 1)[0].strip().encode("latin-1") for text in requests]
    session = b"".join(
        _mutated(rng, seeds) + framed(f"MN1 {1000000 + i} HELLO").encode() + b"\n" for i in range(10_000)
    )
    replies = [unframed(line) for line in converse(program, session, timeout_s=300).decode("ascii").splitlines()]
    hellos = [reply.split()[1] for reply in replies if " OK protocol=1 " in reply and len(reply.split()[1]) == 7]
    assert hellos == [str(1000000 + i) for i in range(10_000)]
    assert {reply.split()[3] for reply in replies if reply.split()[2] == "ERR"} >= {"crc", "syntax", "shape", "ram"}
