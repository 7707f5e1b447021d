"""From an architecture to a flat list of operators."""

from __future__ import annotations

from collections.abc import Mapping

from micronas_tf.ops import Network, Node
from micronas_tf.space.choices import check
from micronas_tf.space.table import INPUT, SearchSpace


def lower(space: SearchSpace, architecture: Mapping[str, int]) -> Network:
    """The network of an architecture: the rows that exist, in the order of the table.

    Raises:
        SpaceError: the architecture is not a valid one of this space.
    """
    check(space, architecture)
    tensor_of = {INPUT: 0}
    nodes: list[Node] = []
    for site in space.sites:
        if not site.exists(architecture):
            continue
        inputs = tuple(next(tensor_of[name] for name in names if name in tensor_of) for names in site.reads)
        tensor_of[site.name] = len(nodes) + 1
        nodes.append(Node(site.name, site.op(architecture), inputs, len(nodes) + 1))
    return Network(space.input_shape, tuple(nodes))
