"""Golden conversations with the firmware: tests/golden/protocol/*.txt.

`> ` lines are what the host sends, with Python's escapes for bytes that are no printable ASCII; `< ` lines what the
board replies; `# ` lines are comments. Regenerate with `python -m tests.firmware.transcripts` from the root of the
repository.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from .host import build_host, converse
from .protocol import framed

FOLDER = Path(__file__).resolve().parents[1] / "golden/protocol"

CONV = "conv2d (16,5,8)->(16,5,16) k(5,1) s(1,1) same relu"
FIRST = "conv2d (128,9,1)->(64,9,8) k(3,1) s(2,1) same relu"
ADD = "add (16,5,8)+(16,5,8)->(16,5,8)"

Line = tuple[str, str]
"""A comment, and the request with its line end (as sent)."""


def _ask(number: int, text: str, comment: str = "") -> Line:
    return comment, framed(f"MN1 {number} {text}") + "\n"


CONVERSATIONS: dict[str, list[Line]] = {
    "hello": [_ask(1, "HELLO", "The banner"), _ask(2147483647, "HELLO", "The largest id")],
    "operators": [
        _ask(1, f"OP {CONV} n=3", "Each operator timed"),
        _ask(2, f"OP {FIRST} n=1"),
        _ask(3, f"OP {ADD} n=2"),
        _ask(4, "OP depthwise_conv2d (16,5,8)->(8,3,8) k(3,3) s(2,2) same linear n=1"),
        _ask(5, "OP mean (16,5,6)->(1,1,6) n=1"),
        _ask(6, "OP average_pool2d (16,5,8)->(8,5,8) k(2,1) s(2,1) valid linear n=1"),
        _ask(7, "OP max_pool2d (16,5,8)->(8,5,8) k(2,1) s(2,1) same linear n=1"),
        _ask(8, "OP fully_connected (1,1,64)->(1,1,6) n=1"),
        _ask(9, "OP softmax (1,1,6)->(1,1,6) n=1"),
    ],
    "checks": [
        _ask(1, f"CHECK {CONV} seed=0", "The checksum of an output depends on operator and seed alone"),
        _ask(2, f"CHECK {CONV} seed=1"),
        _ask(3, f"CHECK {FIRST} seed=1"),
        _ask(4, f"CHECK {ADD} seed=1"),
        _ask(5, "CHECK mean (16,5,6)->(1,1,6) seed=1"),
        _ask(6, "CHECK softmax (1,1,6)->(1,1,6) seed=1"),
    ],
    "network": [
        _ask(1, "RUN n=1", "No nodes yet"),
        _ask(2, "NET"),
        _ask(3, f"NODE {FIRST} in=0 out=1152"),
        _ask(4, "NODE add (64,9,8)+(64,9,8)->(64,9,8) in=1152,1152 out=5760"),
        _ask(5, "NODE mean (64,9,8)->(1,1,8) in=5760 out=0"),
        _ask(6, "RUN n=2"),
        _ask(7, f"NODE {FIRST} in=0 out=1153", "Tensors are aligned to 4 bytes"),
        _ask(8, f"NODE {FIRST} in=0 out=2147483644", "and inside the arena"),
        _ask(9, "NET", "Starts again"),
        _ask(10, "RUN n=1"),
    ],
    "errors": [
        ("Wrong checksum", "MN1 1 HELLO*00000000\n"),
        ("No checksum", "MN1 1 HELLO\n"),
        ("Upper-case checksum", framed("MN1 1 HELLO").upper() + "\n"),
        ("An empty line is ignored, so is a carriage return", "\n\r\n"),
        ("Other version", framed("MN2 1 HELLO") + "\n"),
        ("No id", framed("MN1 HELLO") + "\n"),
        ("Negative id", framed("MN1 -1 HELLO") + "\n"),
        ("Id with leading zero", framed("MN1 01 HELLO") + "\n"),
        ("Bytes that are no printable ASCII", "MN1 1 H\x80\x00LO\n"),
        ("Longer than a line may be", "MN1 1 " + "A" * 200 + "\n"),
        _ask(2, "SING", "Unknown verb"),
        _ask(3, "HELLO ", "Trailing space"),
        _ask(4, "OP", "No operator"),
        _ask(5, f"OP {CONV}", "No repeats"),
        _ask(6, f"OP {CONV} n=0", "Repeats out of range"),
        _ask(7, f"OP {CONV} n=33"),
        _ask(8, f"OP {CONV.replace('conv2d', 'conv3d')} n=1", "Unknown operator"),
        _ask(9, f"OP {CONV.replace('(16,5,8)', '(16,5)')} n=1"),
        _ask(10, f"OP {CONV.replace('(5,1)', '(0,1)')} n=1"),
        _ask(11, f"OP {CONV.replace('->(16,', '->(15,')} n=1", "Shapes that contradict the operator"),
        _ask(12, "OP add (4,1,1)+(4,1,2)->(4,1,1) n=1"),
        _ask(13, "OP max_pool2d (4,4,1)->(1,1,1) k(5,1) s(1,1) valid linear n=1"),
        _ask(14, "OP mean (512,64,8)->(1,1,8) n=1", "More RAM than there is"),
        _ask(15, "OP conv2d (4,1,256)->(4,1,256) k(3,1) s(1,1) same relu n=1", "More flash than there is"),
        _ask(16, "OP conv2d (100,100,1)->(100,100,4) k(90,90) s(1,1) same relu n=1", "Longer than the watchdog waits"),
        _ask(17, f"CHECK {CONV} seed=-1"),
        _ask(18, "CHECK fully_connected (1,1,8191)->(1,1,8) seed=1", "Weights of a check are in RAM"),
    ],
}


def escaped(data: str) -> str:
    return data.encode("latin-1").decode("latin-1").encode("unicode_escape").decode("ascii")


def unescaped(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def read(path: Path) -> tuple[bytes, list[str]]:
    """What the host sends, and the board's replies, of a whole conversation."""
    lines = path.read_text().splitlines()
    requests = b"".join(unescaped(line[2:]) for line in lines if line.startswith("> "))
    return requests, [line[2:] for line in lines if line.startswith("< ")]


def regenerate() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        program = build_host(Path(folder) / "host")
        for name, conversation in CONVERSATIONS.items():
            text, sent, answered = "", b"", 0
            for comment, request in conversation:
                sent += request.encode("latin-1")
                replies = converse(program, sent).decode("ascii").splitlines()
                text += f"# {comment}\n" if comment else ""
                text += f"> {escaped(request)}\n" + "".join(f"< {reply}\n" for reply in replies[answered:])
                answered = len(replies)
            (FOLDER / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    regenerate()
