"""Flash and the planned arena against real int8 files, and the sums that make flash linear."""

from __future__ import annotations

import json
from pathlib import Path

from micronas_tf.cost.flash import FLATBUFFER_BASE_BYTES, flash_bytes, op_flash_bytes, weight_bytes
from micronas_tf.cost.memory import arena_head_bytes
from micronas_tf.ops import Network, OpSpec

from .networks import add, branched, conv

GOLDEN = Path(__file__).parent / "golden" / "flatbuffers.json"
"""18 random networks over six windows and 3 of mean and softmax only, as converted and as TFLM planned them."""


def _cases() -> list[tuple[Network, int, int]]:
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return [(Network.from_json(case["network"]), case["flatbuffer_bytes"], case["arena_head_bytes"]) for case in cases]


def test_real_files_are_never_larger_than_promised_and_hardly_smaller() -> None:
    """Tolerance: 256 bytes of names, alignment and shared tables (measured: 76 to 172) in up to 126 KB."""
    for network, flatbuffer_bytes, _ in _cases():
        assert 0 <= flash_bytes(network) - flatbuffer_bytes <= 256


def test_the_planned_head_is_tflms_to_the_byte() -> None:
    cases = _cases()
    assert len(cases) == 21
    for network, _, head in cases:
        assert arena_head_bytes(network) == head


def test_weights_by_hand() -> None:
    assert weight_bytes(conv((16, 5, 8), 12, (3, 1))) == 3 * 8 * 12 + 4 * 12
    assert weight_bytes(OpSpec("depthwise_conv2d", ((8, 1, 6),), (4, 1, 6), (3, 1), (2, 1))) == 3 * 6 + 4 * 6
    assert weight_bytes(OpSpec("fully_connected", ((2, 1, 8),), (1, 1, 5))) == 16 * 5 + 4 * 5
    assert weight_bytes(add((16, 5, 8))) == 0


def test_a_network_is_a_base_and_the_sum_of_its_operators() -> None:
    network = branched()
    assert flash_bytes(network) == FLATBUFFER_BASE_BYTES + sum(op_flash_bytes(node.op) for node in network.nodes)
    # One more filter: its weights, bias, and two scales with zero points.
    more = op_flash_bytes(conv((16, 5, 8), 13, (3, 1))) - op_flash_bytes(conv((16, 5, 8), 12, (3, 1)))
    assert more == 3 * 8 + 4 + 24
