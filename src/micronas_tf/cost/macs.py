"""Multiply-accumulates: the size of the arithmetic, as the papers count it."""

from __future__ import annotations

from math import prod

from micronas_tf.ops import Network, OpSpec


def macs(op: OpSpec) -> int:
    """Multiply-accumulates of one operator, biases left out.

    Taps that fall on SAME padding count like any other, as in TFLite's own tally and in the measured
    tables. Operators without a multiplication by weights (add, mean, pools, softmax) have none.
    """
    if op.kind == "conv2d":
        return prod(op.output) * prod(op.kernel) * op.inputs[0][2]
    if op.kind == "depthwise_conv2d":
        return prod(op.output) * prod(op.kernel)
    if op.kind == "fully_connected":
        return prod(op.inputs[0]) * op.output[2]
    return 0


def network_macs(network: Network) -> int:
    """Multiply-accumulates of one inference."""
    return sum(macs(node.op) for node in network.nodes)
