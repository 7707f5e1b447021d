"""Operators and networks, against extents counted position by position."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from micronas_tf.errors import ModelError
from micronas_tf.ops import KINDS, Activation, Network, Node, OpKind, OpSpec, Padding, Pair, Shape, output_extent


def counted_extent(extent: int, kernel: int, stride: int, padding: Padding) -> int:
    """Oracle: count the windows. SAME puts one at every stride-th sample; VALID wants all taps inside."""
    starts = range(0, extent, stride)
    return sum(1 for start in starts if padding == "same" or start + kernel <= extent)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_output_extent_counts_the_windows(padding: Padding) -> None:
    for extent in range(1, 30):
        for kernel in range(1, extent + 1):
            for stride in range(1, 6):
                expected = counted_extent(extent, kernel, stride, padding)
                assert output_extent(extent, kernel, stride, padding) == expected, (extent, kernel, stride)


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "padding", "expected"),
    [
        # TensorFlow's guide on padding: ceil(in / stride) and ceil((in - kernel + 1) / stride).
        (128, 7, 2, "same", 64),
        (9, 9, 2, "same", 5),
        (51, 3, 2, "same", 26),
        (1, 7, 1, "same", 1),
        (1, 1, 2, "same", 1),
        (28, 5, 1, "valid", 24),
        (13, 3, 2, "valid", 6),
        (7, 7, 3, "valid", 1),
    ],
)
def test_output_extent_worked_examples(extent: int, kernel: int, stride: int, padding: Padding, expected: int) -> None:
    assert output_extent(extent, kernel, stride, padding) == expected


VALID_OPS: list[tuple[OpSpec, str]] = [
    (
        OpSpec("conv2d", ((128, 9, 1),), (64, 9, 16), (7, 1), (2, 1), "same", "relu"),
        "conv2d (128,9,1)->(64,9,16) k(7,1) s(2,1) same relu",
    ),
    (
        OpSpec("conv2d", ((49, 10, 1),), (20, 6, 8), (10, 5), (2, 1), "valid"),
        "conv2d (49,10,1)->(20,6,8) k(10,5) s(2,1) valid linear",
    ),
    (
        OpSpec("depthwise_conv2d", ((25, 5, 64),), (25, 5, 64), (3, 3), (1, 1), "same", "relu"),
        "depthwise_conv2d (25,5,64)->(25,5,64) k(3,3) s(1,1) same relu",
    ),
    (
        OpSpec("average_pool2d", ((25, 5, 64),), (1, 1, 64), (25, 5), (25, 5), "valid"),
        "average_pool2d (25,5,64)->(1,1,64) k(25,5) s(25,5) valid linear",
    ),
    (
        OpSpec("max_pool2d", ((9, 4, 8),), (5, 4, 8), (2, 1), (2, 1)),
        "max_pool2d (9,4,8)->(5,4,8) k(2,1) s(2,1) same linear",
    ),
    (OpSpec("add", ((16, 5, 8), (16, 5, 8)), (16, 5, 8)), "add (16,5,8)+(16,5,8)->(16,5,8)"),
    (OpSpec("mean", ((16, 5, 6),), (1, 1, 6)), "mean (16,5,6)->(1,1,6)"),
    (OpSpec("fully_connected", ((4, 2, 8),), (1, 1, 12)), "fully_connected (4,2,8)->(1,1,12)"),
    (OpSpec("softmax", ((1, 1, 6),), (1, 1, 6)), "softmax (1,1,6)->(1,1,6)"),
]


def test_every_kind_has_an_example() -> None:
    assert {op.kind for op, _ in VALID_OPS} == set(KINDS)


@pytest.mark.parametrize(("op", "text"), VALID_OPS)
def test_str_is_readable(op: OpSpec, text: str) -> None:
    assert str(op) == text


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "message"),
    [
        ("conv3d", ((8, 4, 1),), (8, 4, 8), "Unknown operator kind 'conv3d'. Known: conv2d, "),
        ("add", ((8, 4, 1),), (8, 4, 1), "add takes 2 input"),
        ("add", ((8, 4, 1),) * 3, (8, 4, 1), "add takes 2 input"),
        ("conv2d", (), (8, 4, 1), "conv2d takes 1 input"),
        ("mean", ((8, 4, 1), (8, 4, 1)), (1, 1, 1), "mean takes 1 input"),
        ("conv2d", ((8, 4),), (8, 4, 1), r"each at least 1\. Received: \(8, 4\)"),
        ("conv2d", ((0, 4, 1),), (0, 4, 1), "each at least 1"),
        ("conv2d", ((8, 4, 1),), (8, 4, 0), r"each at least 1\. Received: \(8, 4, 0\)"),
        ("conv2d", ((8, 4, 1),), (7, 4, 8), r"must be \(8, 4, 8\)\. Received: \(7, 4, 8\)"),
        ("conv2d", ((8, 4, 1),), (8, 5, 8), r"must be \(8, 4, 8\)"),
        ("depthwise_conv2d", ((8, 4, 2),), (8, 4, 3), r"must be \(8, 4, 2\)"),
        ("average_pool2d", ((8, 4, 2),), (8, 4, 3), r"must be \(8, 4, 2\)"),
        ("max_pool2d", ((8, 4, 2),), (8, 4, 1), r"must be \(8, 4, 2\)"),
        ("add", ((8, 4, 2), (8, 4, 3)), (8, 4, 2), "both inputs of an add have one shape"),
        ("add", ((8, 4, 2), (8, 4, 2)), (8, 4, 3), r"must be \(8, 4, 2\)"),
        ("mean", ((8, 4, 2),), (1, 1, 3), r"must be \(1, 1, 2\)"),
        ("mean", ((8, 4, 2),), (8, 1, 2), r"must be \(1, 1, 2\)"),
        ("fully_connected", ((8, 4, 2),), (8, 1, 3), r"must be \(1, 1, 3\)"),
        ("softmax", ((1, 1, 6),), (1, 1, 5), r"must be \(1, 1, 6\)"),
    ],
)
def test_contradicting_shapes_are_refused(kind: Any, inputs: Any, output: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        OpSpec(kind, inputs, output)


def test_a_valid_window_longer_than_the_input_is_refused() -> None:
    with pytest.raises(ModelError, match="must be"):
        OpSpec("conv2d", ((8, 4, 1),), (1, 4, 8), (9, 1), (1, 1), "valid")


@pytest.mark.parametrize(
    ("kernel", "strides"), [((3, 1), (2, 1)), ((1, 5), (1, 2)), ((7, 3), (3, 2)), ((1, 1), (1, 1))]
)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d", "average_pool2d", "max_pool2d"])
def test_windowed_operators_accept_exactly_the_counted_output(
    kind: OpKind, padding: Padding, kernel: Pair, strides: Pair
) -> None:
    time, sensors = (counted_extent(e, k, s, padding) for e, k, s in zip((11, 6), kernel, strides, strict=True))
    assert OpSpec(kind, ((11, 6, 4),), (time, sensors, 4), kernel, strides, padding).output == (time, sensors, 4)
    for wrong in ((time + 1, sensors, 4), (time, sensors + 1, 4)):
        with pytest.raises(ModelError):
            OpSpec(kind, ((11, 6, 4),), wrong, kernel, strides, padding)


@pytest.mark.parametrize(
    "wrong",
    [{"strides": (0, 1)}, {"kernel": (0, 1)}, {"kernel": (-3, 1)}, {"padding": "SAME"}, {"activation": "tanh"}],
    ids=str,
)
def test_kernel_strides_padding_and_activation_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        OpSpec("conv2d", ((8, 4, 1),), (8, 4, 8), **wrong)


def conv(source: Shape, filters: int, kernel: Pair = (3, 1), activation: Activation = "relu") -> OpSpec:
    return OpSpec("conv2d", (source,), (source[0], source[1], filters), kernel, activation=activation)


def test_equal_operators_are_one_key() -> None:
    measured = {conv((8, 4, 1), 8): 1234}
    assert measured[conv((8, 4, 1), 8)] == 1234
    different = [
        conv((8, 4, 1), 9),
        conv((8, 4, 2), 8),
        conv((8, 4, 1), 8, (5, 1)),
        conv((8, 4, 1), 8, activation="linear"),
        OpSpec("conv2d", ((9, 4, 1),), (8, 4, 8), (2, 1), padding="valid", activation="relu"),
    ]
    assert len({conv((8, 4, 1), 8), *different}) == 6
    assert not set(measured) & set(different)


def test_operators_sort_in_one_way() -> None:
    ordered = [
        OpSpec("add", ((8, 4, 8), (8, 4, 8)), (8, 4, 8)),
        conv((8, 4, 1), 8),
        conv((8, 4, 1), 8, (5, 1)),
        conv((8, 4, 1), 16),
        conv((16, 4, 1), 8),
    ]
    assert all(sorted(shuffled) == ordered for shuffled in permutations(ordered))


def network() -> Network:
    """Two branches that are added, then the usual end."""
    start, wide = (8, 4, 1), (8, 4, 6)
    return Network(
        start,
        (
            Node("left", conv(start, 6), (0,), 1),
            Node("right", conv(start, 6, (1, 1), "linear"), (0,), 2),
            Node("sum", OpSpec("add", (wide, wide), wide), (1, 2), 3),
            Node("mean", OpSpec("mean", (wide,), (1, 1, 6)), (3,), 4),
            Node("softmax", OpSpec("softmax", ((1, 1, 6),), (1, 1, 6)), (4,), 5),
        ),
    )


def test_network_tensors() -> None:
    assert network().tensors == ((8, 4, 1), (8, 4, 6), (8, 4, 6), (8, 4, 6), (1, 1, 6), (1, 1, 6))
    assert network().output_shape == (1, 1, 6)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "at least one node"),
        ((Node("a", conv((8, 4, 1), 6), (0,), 2),), r"'a' must write tensor 1\. Received: 2"),
        ((Node("a", conv((8, 4, 1), 6), (1,), 1),), "'a' reads a tensor not yet written"),
        ((Node("a", conv((8, 4, 1), 6), (-1,), 1),), "'a' reads a tensor not yet written"),
        ((Node("a", conv((8, 4, 2), 6), (0,), 1),), "'a' expects inputs"),
        ((Node("a", conv((8, 4, 1), 6), (0, 0), 1),), "'a' expects inputs"),
        ((Node("a", conv((8, 4, 1), 6), (), 1),), "'a' expects inputs"),
        (
            (Node("a", conv((8, 4, 1), 6), (0,), 1), Node("b", conv((8, 4, 1), 6), (0,), 1)),
            r"'b' must write tensor 2\. Received: 1",
        ),
        ((Node("a", conv((8, 4, 1), 6), (0,), 1), Node("b", conv((8, 4, 1), 6), (2,), 2)), "'b' reads a tensor"),
    ],
)
def test_broken_networks_are_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Network((8, 4, 1), nodes)


def test_network_survives_json() -> None:
    text = json.dumps(network().to_json())
    back = Network.from_json(json.loads(text))
    assert back == network()
    assert hash(back) == hash(network())
    assert json.loads(text)["schema"] == 1


@pytest.mark.parametrize("op", [op for op, _ in VALID_OPS])
def test_every_kind_survives_json(op: OpSpec) -> None:
    # An add reads the same tensor twice here; that is allowed.
    alone = Network(op.inputs[0], (Node("only", op, (0,) * len(op.inputs), 1),))
    assert Network.from_json(json.loads(json.dumps(alone.to_json()))) == alone


@pytest.mark.parametrize("schema", [None, 0, 2, "1"])
def test_network_of_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(ModelError, match=r"schema 1\. Received"):
        Network.from_json({**network().to_json(), "schema": schema})


def test_network_json_without_schema_is_refused() -> None:
    with pytest.raises(ModelError, match="Received: None"):
        Network.from_json({})


def test_tampered_network_json_is_refused() -> None:
    data = network().to_json()
    data["nodes"][0]["output_shape"] = [8, 4, 7]
    with pytest.raises(ModelError):
        Network.from_json(data)
