"""Whole networks on a board: its operators one after the other, each tensor where a plan puts it."""

from __future__ import annotations

from math import prod
from typing import Final

from micronas_tf.cost import macs, plan_arena, tensor_buffers
from micronas_tf.device.characterise import patience_s
from micronas_tf.device.link import Link, SilenceError
from micronas_tf.device.protocol import GarbledError, parse_counts
from micronas_tf.errors import DeviceError
from micronas_tf.ops import Network

_ATTEMPTS: Final = 3


def network_counts(link: Link, network: Network, repeats: int, clock_hz: int) -> tuple[int, ...]:
    """What the board's counter says of each repeat of a whole network.

    Args:
        link: to a board that has been connected to.
        network: at most as many operators as the board's banner says.
        repeats: from 1.
        clock_hz: of the core, for patience.

    Raises:
        RefusedError: an operator or a tensor does not fit the board.
        DeviceError: the board fails.
    """
    _send(link, network)
    steps = sum(max(macs(node.op), *map(prod, node.op.inputs), prod(node.op.output)) for node in network.nodes)
    found = parse_counts(link.ask(f"RUN n={repeats}", timeout_s=patience_s(steps, repeats, clock_hz)))
    if len(found) != repeats:
        raise GarbledError(f"RUN n={repeats} is answered with {repeats} counts. Received: {len(found)}.")
    return found


def _send(link: Link, network: Network) -> None:
    """A line that is lost starts the network anew: a node must not be appended twice."""
    trouble: DeviceError | None = None
    for _ in range(_ATTEMPTS):
        try:
            if trouble is not None:
                link.connect()
            _send_once(link, network)
            return
        except (GarbledError, SilenceError) as error:
            trouble = error
    assert trouble is not None
    raise trouble


def _send_once(link: Link, network: Network) -> None:
    offsets = plan_arena(tensor_buffers(network)).offsets
    link.ask("NET")
    for number, node in enumerate(network.nodes, 1):
        places = ",".join(str(offsets[tensor]) for tensor in node.inputs)
        reply = link.ask(f"NODE {node.op} in={places} out={offsets[node.output]}", attempts=1)
        if reply.get("nodes") != str(number):
            raise GarbledError(f"NODE {number} is answered with nodes={number}. Received: {dict(reply)}.")
