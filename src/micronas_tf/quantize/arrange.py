"""Putting a converted flatbuffer into the order of its `Network`.

The converter sorts operators its own way. Order decides how long a tensor lives and how the planner of
TensorFlow Lite Micro breaks ties, so a plan made from the `Network` holds only for a file in that order (two of
the first eight random networks needed up to a third more memory as converted). Here operators and tensors are
matched by structure, permuted and named; weights, scales and results stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from micronas_tf.errors import ModelError
from micronas_tf.models.flatbuffer import network_from_flatbuffer, read_flatbuffer
from micronas_tf.ops import Network

_ALIGNMENT: Final = 16
_CONSTANTS: Final = ("weights", "bias")


def arrange(flatbuffer: bytes, network: Network) -> bytes:
    """The same int8 model with operators and activation tensors in the order of `network`.

    Tensor k of the file is tensor k of the network, called as the node that writes it; constants follow. Signatures
    and metadata, which no microcontroller reads, are left out.

    Raises:
        ModelError: the file does not compute this network, or holds an operator besides its own (QUANTIZE,
            RESHAPE, …).
    """
    model = read_flatbuffer(flatbuffer)
    graph = model.subgraphs[0]
    found = network_from_flatbuffer(flatbuffer)
    if len(found.nodes) != len(graph.operators):
        raise ModelError(f"The flatbuffer holds {len(graph.operators)} operators for {len(found.nodes)} nodes.")
    order = match(network, found)
    operators = [graph.operators[position] for position in order]
    activations = [int(graph.inputs[0]), *(int(operator.outputs[0]) for operator in operators)]
    _name_tensors(graph, activations, operators, network)
    graph.operators = operators
    _permute_tensors(graph, activations)
    _drop_extras(model)
    return _pack(model)


def match(network: Network, found: Network) -> tuple[int, ...]:
    """For each node of `network`, the position of the same node in `found`, a reordering of it.

    Depth first with back-tracking, for two nodes that look alike may differ in who reads them.

    Raises:
        ModelError: `found` is no reordering of `network`.
    """
    if len(network.nodes) != len(found.nodes) or network.input_shape != found.input_shape:
        raise ModelError(
            f"The converted model must have {len(network.nodes)} operators on {network.input_shape}. "
            f"Received: {len(found.nodes)} on {found.input_shape}."
        )
    order: list[int] = []
    untried = [_candidates(network, found, order)]
    while untried:
        position = next(untried[-1], None)
        if position is None:
            untried.pop()
            if order:
                order.pop()
            continue
        order.append(position)
        if len(order) == len(network.nodes):
            return tuple(order)
        untried.append(_candidates(network, found, order))
    raise ModelError("The converted model is not the network: no reordering of its operators matches.")


def _candidates(network: Network, found: Network, order: list[int]) -> Iterator[int]:
    """Positions in `found` that can stand for the next node, given the ones chosen so far."""
    node = network.nodes[len(order)]
    tensors = [0, *(position + 1 for position in order)]
    read = sorted(tensors[tensor] for tensor in node.inputs)  # an Add's operands may have changed places
    taken = frozenset(order)
    return iter(
        [
            position
            for position, other in enumerate(found.nodes)
            if position not in taken and other.op == node.op and sorted(other.inputs) == read
        ]
    )


def _name_tensors(graph: Any, activations: list[int], operators: list[Any], network: Network) -> None:
    """Names from the network; a constant that several operators share is called after the first."""
    for tensor, name in zip(activations, ["window", *(node.name for node in network.nodes)], strict=True):
        graph.tensors[tensor].name = name
    named = set(activations)
    for operator, node in zip(operators, network.nodes, strict=True):
        constants = [int(tensor) for tensor in operator.inputs if tensor >= 0 and tensor not in activations]
        roles = _CONSTANTS if len(constants) > 1 else ("axes",) if node.op.kind == "mean" else _CONSTANTS
        for tensor, role in zip(constants, roles, strict=False):
            if tensor not in named:
                graph.tensors[tensor].name = f"{node.name}/{role}"
                named.add(tensor)


def _permute_tensors(graph: Any, activations: list[int]) -> None:
    """Activations first, in the network's order, then the constants as they are read."""
    constants = dict.fromkeys(
        int(tensor)
        for operator in graph.operators
        for tensor in operator.inputs
        if tensor >= 0 and tensor not in activations
    )
    order = [*activations, *constants]
    new = {old: position for position, old in enumerate(order)}
    for operator in graph.operators:
        operator.inputs = np.array([new.get(int(tensor), -1) for tensor in operator.inputs], np.int32)
        operator.outputs = np.array([new[int(tensor)] for tensor in operator.outputs], np.int32)
    graph.inputs = np.array([new[int(tensor)] for tensor in graph.inputs], np.int32)
    graph.outputs = np.array([new[int(tensor)] for tensor in graph.outputs], np.int32)
    graph.tensors = [graph.tensors[old] for old in order]


def _drop_extras(model: Any) -> None:
    """Only buffers that a tensor uses remain; buffer 0 is the empty one by the format's rule."""
    model.signatureDefs = model.metadata = model.metadataBuffer = None
    model.description = "micronas-tf"
    buffers = [schema.BufferT()]
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            tensor.buffer = len(buffers)
            buffers.append(_AlignedBuffer(np.asarray(data, np.uint8)))
    model.buffers = buffers


class _AlignedBuffer:
    """A `BufferT` whose data start at a multiple of 16 bytes, as the schema's `force_align` demands.

    The generated Python code leaves `force_align` out (flatbuffers' Python back end has none), and a
    Cortex-M faults on some unaligned reads of an int32 bias.
    """

    def __init__(self, data: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        self.data = data

    def Pack(self, builder: Any) -> Any:  # noqa: N802  (the generated code calls it so)
        builder.Prep(_ALIGNMENT, len(self.data))
        vector = builder.CreateByteVector(self.data.tobytes())
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


def _pack(model: Any) -> bytes:
    builder = schema.flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
