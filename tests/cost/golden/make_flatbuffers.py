"""Makes `flatbuffers.json`: what real int8 files weigh and what TFLM's planner gives them.

Run `python tests/cost/golden/make_flatbuffers.py` (about a minute) after a change of the space, of `quantize/`, or of
the TensorFlow version; `tests/cost/test_flash.py` compares the cost models with it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tflite_micro import runtime

from micronas_tf.files import write_atomically
from micronas_tf.ops import Network, Node, OpSpec, Shape
from micronas_tf.quantize.convert import to_flatbuffer, twin_of
from micronas_tf.space.build import build_space
from micronas_tf.space.choices import random_architecture
from micronas_tf.space.lower import lower

GOLDEN = Path(__file__).with_name("flatbuffers.json")
WINDOWS = ((128, 9, 6), (64, 30, 10), (51, 24, 20), (30, 6, 4), (100, 6, 4), (140, 1, 2))
PER_WINDOW = 3
POOLED = ((4, 1, 24), (2, 1, 5), (16, 5, 6))


def pooled(shape: Shape) -> Network:
    """Only mean and softmax: here the scratch of mean decides the arena."""
    flat = (1, 1, shape[2])
    nodes = (
        Node("mean", OpSpec("mean", (shape,), flat), (0,), 1),
        Node("softmax", OpSpec("softmax", (flat,), flat), (1,), 2),
    )
    return Network(shape, nodes)


def convert(network: Network, rng: np.random.Generator) -> bytes:
    """The int8 file of a network with random weights (sizes do not depend on their values)."""
    samples = rng.normal(size=(4, *network.input_shape)).astype(np.float32)
    return to_flatbuffer(network, twin_of(network), samples)


def arena_head(flatbuffer: bytes) -> int:
    """Planned bytes of the arena, as TFLM prints them on the C stream of errors."""
    interpreter = runtime.Interpreter.from_bytes(flatbuffer, arena_size=8 << 20)
    with tempfile.TemporaryFile() as sink:
        saved = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        sink.seek(0)
        found = re.search(rb"Arena allocation head (\d+) bytes", sink.read())
    assert found is not None
    return int(found[1])


def networks(rng: np.random.Generator) -> Iterator[Network]:
    for window, sensors, classes in WINDOWS:
        space = build_space(window, sensors, classes)
        for _ in range(PER_WINDOW):
            yield lower(space, random_architecture(space, rng))
    yield from map(pooled, POOLED)


def case(network: Network, rng: np.random.Generator) -> dict[str, Any]:
    flatbuffer = convert(network, rng)
    return {
        "flatbuffer_bytes": len(flatbuffer),
        "arena_head_bytes": arena_head(flatbuffer),
        "network": network.to_json(),
    }


def main() -> None:
    rng = np.random.default_rng(0)
    cases = [json.dumps(case(network, rng)) for network in networks(rng)]
    write_atomically(GOLDEN, "[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
