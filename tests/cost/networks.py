"""Small networks, built by hand, for the tests of the costs."""

from __future__ import annotations

from micronas_tf.ops import Activation, Network, Node, OpSpec, Pair, Shape, output_extent


def conv(source: Shape, filters: int, kernel: Pair, strides: Pair = (1, 1), activation: Activation = "relu") -> OpSpec:
    time, sensors = (output_extent(source[axis], kernel[axis], strides[axis], "same") for axis in (0, 1))
    return OpSpec("conv2d", (source,), (time, sensors, filters), kernel, strides, "same", activation)


def add(shape: Shape) -> OpSpec:
    return OpSpec("add", (shape, shape), shape)


def mean(shape: Shape) -> OpSpec:
    return OpSpec("mean", (shape,), (1, 1, shape[2]))


def softmax(classes: int) -> OpSpec:
    return OpSpec("softmax", ((1, 1, classes),), (1, 1, classes))


def single(op: OpSpec) -> Network:
    """A network of one operator that reads the input (both of an add's inputs)."""
    return Network(op.inputs[0], (Node("op", op, (0,) * len(op.inputs), 1),))


def branched() -> Network:
    """A window of (32, 4), one Time-Reduce conv, one fusion cell with two branches and a skip, 3 classes."""
    first = conv((32, 4, 1), 4, (5, 1), (2, 1))
    bottleneck = conv((16, 4, 4), 16, (1, 4), (1, 2))
    branches = [conv((16, 2, 16), 8, (kernel, 1)) for kernel in (3, 5)]
    skip = conv((16, 4, 4), 8, (1, 2), (1, 2))
    nodes = (
        Node("time", first, (0,), 1),
        Node("bottleneck", bottleneck, (1,), 2),
        Node("k3", branches[0], (2,), 3),
        Node("k5", branches[1], (2,), 4),
        Node("add0", add((16, 2, 8)), (3, 4), 5),
        Node("skip", skip, (1,), 6),
        Node("add1", add((16, 2, 8)), (5, 6), 7),
        Node("output", conv((16, 2, 8), 3, (1, 1), activation="linear"), (7,), 8),
        Node("mean", mean((16, 2, 3)), (8,), 9),
        Node("softmax", softmax(3), (9,), 10),
    )
    return Network((32, 4, 1), nodes)
