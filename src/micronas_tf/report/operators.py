"""The operators of a network with what each one costs: the rows behind several figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from micronas_tf.cost import Buffer, Runtime, align, macs, network_buffers, tensor_buffers
from micronas_tf.ops import Network, Node, Shape

Family: TypeAlias = Literal["first", "conv", "add", "mean", "softmax", "other", "runtime"]
"""What is coloured alike: first convolutions (one input filter) cost far more per MAC than the others."""

FAMILIES: Final[dict[Family, str]] = {
    "first": "first convolution",
    "conv": "other convolutions",
    "add": "additions",
    "mean": "mean",
    "softmax": "softmax",
    "other": "other operators",
    "runtime": "interpreter",
}


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the network.

    Attributes:
        node: name, shapes, kernel.
        family: see `Family`.
        macs: multiply-accumulates.
        cycles, latency_ms: predicted, without the runtime's overhead.
        share: of the whole latency, overhead included.
        rel_error: expected error of the prediction.
        source: where the prediction comes from.
        live_bytes: tensors and scratch alive while it runs, each rounded up to 16.
    """

    node: Node
    family: Family
    macs: int
    cycles: float
    latency_ms: float
    share: float
    rel_error: float
    source: str
    live_bytes: int

    @property
    def label(self) -> str:
        """The operation in a few characters, for example `conv 7×1 /2×1`."""
        op = self.node.op
        kind = {"conv2d": "conv", "depthwise_conv2d": "depthwise conv"}.get(op.kind, op.kind.replace("_", " "))
        kernel = "" if op.kernel == (1, 1) and op.kind != "conv2d" else f" {op.kernel[0]}×{op.kernel[1]}"
        stride = "" if op.strides == (1, 1) else f" /{op.strides[0]}×{op.strides[1]}"
        return kind + kernel + stride

    @property
    def shape(self) -> str:
        return shape_text(self.node.op.output)


def shape_text(shape: Shape) -> str:
    """`64×9×12`: time, sensors, filters."""
    return "×".join(map(str, shape))


def operators_of(network: Network, costs: Sequence[dict[str, Any]], runtime: Runtime) -> tuple[Operator, ...]:
    """The network's nodes with the costs of `details.json`, one for each node in order.

    Raises:
        ValueError: other operators than the network's.
    """
    live = live_bytes(network, runtime)
    return tuple(
        Operator(
            node=node,
            family=_family(node),
            macs=macs(node.op),
            cycles=cost["cycles"],
            latency_ms=cost["latency_ms"],
            share=cost["share"],
            rel_error=cost["rel_error"],
            source=cost["source"],
            live_bytes=alive,
        )
        for node, cost, alive in zip(network.nodes, costs, live, strict=True)
    )


def buffers_of(network: Network, runtime: Runtime) -> tuple[Buffer, ...]:
    """What the arena holds: tensors, by id, and with TFLM the scratch buffers after them; the bundle needs none."""
    return tensor_buffers(network) if runtime == "bundle" else network_buffers(network, scratch=True)


def live_bytes(network: Network, runtime: Runtime) -> tuple[int, ...]:
    """Bytes of all buffers alive during each operator, each rounded up; the plan can need more, for gaps."""
    buffers = buffers_of(network, runtime)
    return tuple(
        sum(align(buffer.size) for buffer in buffers if buffer.first <= step <= buffer.last)
        for step in range(1, len(network.nodes) + 1)
    )


def _family(node: Node) -> Family:
    op = node.op
    if op.kind in ("conv2d", "depthwise_conv2d"):
        return "first" if op.inputs[0][2] == 1 else "conv"
    families: dict[str, Family] = {"add": "add", "mean": "mean", "softmax": "softmax"}
    return families.get(op.kind, "other")
