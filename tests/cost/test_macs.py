"""MACs against a count of the loops."""

from __future__ import annotations

from itertools import product

from micronas_tf.cost.macs import macs, network_macs
from micronas_tf.ops import OpSpec

from .networks import add, branched, conv


def test_conv_equals_a_count_of_its_loops() -> None:
    op = conv((7, 3, 2), 5, (3, 2), (2, 1))
    (time, sensors, filters), (kernel_t, kernel_s) = op.output, op.kernel
    loops = product(range(time), range(sensors), range(filters), range(kernel_t), range(kernel_s), range(2))
    assert macs(op) == sum(1 for _ in loops) == 4 * 3 * 5 * 3 * 2 * 2


def test_depthwise_and_fully_connected() -> None:
    assert macs(OpSpec("depthwise_conv2d", ((8, 1, 6),), (4, 1, 6), (3, 1), (2, 1))) == 4 * 6 * 3
    assert macs(OpSpec("fully_connected", ((2, 1, 8),), (1, 1, 5))) == 16 * 5


def test_a_network_is_the_sum_and_an_add_has_none() -> None:
    assert macs(add((16, 2, 8))) == 0
    expected = 16 * 4 * 4 * 5 + 16 * 2 * 16 * 4 * 4 + 16 * 2 * 8 * 16 * (3 + 5) + 16 * 2 * 8 * 4 * 2 + 16 * 2 * 3 * 8
    assert network_macs(branched()) == expected
