"""Memory: the tensor arena that TFLM needs, and the paper's peak memory.

Two figures, kept apart: `arena_bytes` is what a user must allocate (exact plan of the tensors and scratch
buffers + the runtime's persistent part), `peak_memory_bytes` is the figure of the MicroNAS paper
(appendix A), which assumes that memory is never fragmented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import Final, Literal, TypeAlias

from micronas_tf.errors import CostError
from micronas_tf.ops import Network, OpKind, OpSpec

Runtime: TypeAlias = Literal["tflm", "bundle"]

ALIGNMENT_BYTES: Final = 16
"""TFLM's `MicroArenaBufferAlignment()`: every buffer of the arena starts at a multiple of it."""


def align(size: int) -> int:
    """`size` in bytes, rounded up to the arena's alignment."""
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


@dataclass(frozen=True, slots=True)
class Buffer:
    """A stretch of memory and its lifetime.

    Attributes:
        size: in bytes, as requested (the plan rounds up).
        first: first step at which it must exist; step 0 is before the first operator.
        last: last step at which it must exist, inclusive.
    """

    size: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.size < 0 or not 0 <= self.first <= self.last:
            raise CostError(f"A buffer has size >= 0 and 0 <= first <= last. Received: {self}.")


@dataclass(frozen=True, slots=True)
class ArenaPlan:
    """Where each buffer lies: `offsets[i]` in bytes for buffer i; `total_bytes` is the end of the highest one."""

    offsets: tuple[int, ...]
    total_bytes: int


def plan_arena(buffers: Sequence[Buffer]) -> ArenaPlan:
    """Place buffers as TFLM's `GreedyMemoryPlanner` does, to the byte.

    Sizes are rounded up to 16. The largest goes first (ties: the later in the sequence); each goes to the
    lowest gap among the buffers already placed whose lifetimes overlap with its own.
    """
    sizes = [align(buffer.size) for buffer in buffers]
    offsets = [0] * len(sizes)
    placed: list[int] = []  # ids, by ascending offset
    for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i], -i)):
        buffer, offset = buffers[index], 0
        for other in placed:
            if buffers[other].first > buffer.last or buffer.first > buffers[other].last:
                continue
            if offsets[other] - offset >= sizes[index]:
                break
            offset = max(offset, offsets[other] + sizes[other])
        offsets[index] = offset
        placed.append(index)
        placed.sort(key=offsets.__getitem__)
    return ArenaPlan(tuple(offsets), max((o + s for o, s in zip(offsets, sizes, strict=True)), default=0))


def scratch_sizes(op: OpSpec) -> tuple[int, ...]:
    """Scratch buffers of an operator in TFLM with CMSIS-NN on a core with the DSP extension, in bytes each.

    Source: CMSIS-NN's `arm_*_get_buffer_size` functions (`Source/**/arm_*_get_buffer_sizes_s8.c`, 2022 to
    2026), and TFLM's `kernels/reduce_common.cc` for mean:

    - conv2d: two im2col columns of int16, 4·k_t·k_s·C_in; none for kernel and stride (1, 1)
      where C_in is a multiple of 4 (recent versions: any C_in);
    - depthwise_conv2d: one column of int16, 2·k_t·k_s·C; none for kernel (3, 3);
    - average_pool2d: one int32 sum per filter, 4·C;
    - mean: one int32 sum per filter, 4·C, also with the reference kernels; TFLM of 2026 takes 32 bytes more
      (measured: single means and mean + softmax), which fits one buffer for the indices and one for the axes;
    - add, max_pool2d, fully_connected, softmax: none.

    With conv2d's and mean's the measured `arena_used_bytes` are explained exactly (see `persistent_bytes`).
    """
    taps, filters = prod(op.kernel), op.inputs[0][2]
    if op.kind == "conv2d":
        in_place = taps == 1 and op.strides == (1, 1) and filters % 4 == 0
        return () if in_place else (4 * taps * filters,)
    if op.kind == "depthwise_conv2d":
        return () if op.kernel == (3, 3) else (2 * taps * filters,)
    if op.kind == "average_pool2d":
        return (4 * filters,)
    if op.kind == "mean":
        return (4 * filters, 16, 16)
    return ()


def scratch_bytes(op: OpSpec) -> int:
    """All scratch buffers of an operator together, in bytes (see `scratch_sizes`)."""
    return sum(scratch_sizes(op))


def tensor_buffers(network: Network) -> tuple[Buffer, ...]:
    """Every tensor of a network, by id: all that a bundle keeps in memory, for its kernels take no scratch.

    Operator k (from 0) runs at step k + 1. The input lives from step 0, the output to the end.
    """
    return _tensors(network, range(1, len(network.nodes) + 1))


def _tensors(network: Network, steps: Sequence[int]) -> tuple[Buffer, ...]:
    """The tensors, where node k runs at `steps[k]`."""
    first = [0, *steps]
    last = list(first)
    for step, node in zip(steps, network.nodes, strict=True):
        for tensor in node.inputs:
            last[tensor] = step
    return tuple(Buffer(prod(shape), *life) for shape, *life in zip(network.tensors, first, last, strict=True))


def is_flattened(op: OpSpec) -> bool:
    """Whether a RESHAPE stands in front of the operator in a .tflite file: TFLM copies the whole tensor then.

    One that changes nothing but the rank is not known any more: it copies a few values, and takes 128 bytes besides.
    """
    return op.kind == "fully_connected" and op.inputs[0][:2] != (1, 1)


def network_buffers(network: Network, scratch: bool) -> tuple[Buffer, ...]:
    """The tensors of a network (see `tensor_buffers`), then the other buffers of its operators in TFLM, in order.

    These are the scratch buffers, and the copy that a RESHAPE makes, which is a step of its own.

    Args:
        scratch: whether to add the scratch buffers of CMSIS-NN's kernels; without, only those of mean,
            which TFLM's reference kernels ask for too.
    """
    steps = tuple(accumulate(1 + is_flattened(node.op) for node in network.nodes))
    tensors = list(_tensors(network, steps))
    others: list[Buffer] = []
    for step, node in zip(steps, network.nodes, strict=True):
        if is_flattened(node.op):
            source = tensors[node.inputs[0]]
            if source.last == step:
                tensors[node.inputs[0]] = replace(source, last=step - 1)
            others.append(Buffer(source.size, step - 1, step))
        if scratch or node.op.kind == "mean":
            others += [Buffer(size, step, step) for size in scratch_sizes(node.op)]
    return (*tensors, *others)


def arena_head_bytes(network: Network) -> int:
    """Planned part of the arena with TFLM's reference kernels, as TFLM on a host reports it ("head")."""
    return plan_arena(network_buffers(network, scratch=False)).total_bytes


PERSISTENT_BASE_BYTES: Final = 464
"""Allocator, planner, graph, and the input and output that the interpreter keeps, of TFLM on 32 bits."""

_OPERATOR_BYTES: Final[dict[OpKind, int]] = {
    "conv2d": 176,
    "depthwise_conv2d": 176,
    "fully_connected": 176,
    "add": 128,
    "mean": 128,
    "average_pool2d": 128,
    "max_pool2d": 128,
    "softmax": 128,
}
_RESHAPE_BYTES: Final = 128
_PER_CHANNEL: Final = frozenset({"conv2d", "depthwise_conv2d", "fully_connected"})


def operator_persistent_bytes(op: OpSpec) -> int:
    """What TFLM keeps for one operator as long as the interpreter lives, in bytes (see `persistent_bytes`)."""
    channels = op.output[2] if op.kind in _PER_CHANNEL else 0
    return _OPERATOR_BYTES[op.kind] + 2 * align(4 * channels)


def persistent_bytes(network: Network) -> int:
    """Persistent part of TFLM's arena ("tail") on a 32-bit board, in bytes: a model, on the safe side.

    Per operator: 12 for each `TfLiteEvalTensor` it adds (weights, bias, output), 32 for its
    `NodeAndRegistration`, its parsed parameters and kernel data (convolutions 32 + 64, others at most 16 + 64),
    4 for the handle of its scratch buffer; convolutions keep an int32 multiplier and shift for each output
    filter, each array aligned to 16. The slopes of this form were checked against TFLM on a 64-bit host
    (24 networks of 7 to 35 operators, all within 17 bytes of a linear form with 8.0 bytes a filter); the sizes
    are those of 32 bits. The base is what is left of `arena_used_bytes` of single-operator models that the
    MicroNAS authors measured on three 32-bit boards: of all 5,773 with conv2d, mean or softmax the arena is
    12 to 60 bytes above the measured one (conv2d: 28), never below. Whole networks on a board have not been compared.
    """
    reshapes = sum(is_flattened(node.op) for node in network.nodes)
    operators = sum(operator_persistent_bytes(node.op) for node in network.nodes)
    return PERSISTENT_BASE_BYTES + operators + reshapes * _RESHAPE_BYTES


def arena_bytes(network: Network, runtime: Runtime = "tflm") -> int:
    """Tensor arena that a user must allocate on a board, in bytes.

    For `tflm` the plan with scratch buffers and the interpreter's persistent part (`persistent_bytes`); for `bundle`
    the plan of the tensors, nothing else.
    """
    if runtime == "bundle":
        return plan_arena(tensor_buffers(network)).total_bytes
    return plan_arena(network_buffers(network, scratch=True)).total_bytes + persistent_bytes(network)


def working_set_bytes(op: OpSpec) -> int:
    """Inputs + output + scratch of one operator, in bytes, nothing rounded up."""
    return sum(map(prod, op.inputs)) + prod(op.output) + scratch_bytes(op)


def peak_memory_bytes(network: Network) -> int:
    """The MicroNAS paper's memory figure (appendix A): the largest working set of any operator.

    Not what a runtime needs: tensors that wait for a later operator, alignment and gaps are left out.
    """
    return max(working_set_bytes(node.op) for node in network.nodes)
