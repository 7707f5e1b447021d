"""Matching and permuting a flatbuffer into its network's order."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from micronas_tf.errors import ModelError
from micronas_tf.models.build import build_model
from micronas_tf.models.flatbuffer import network_from_flatbuffer
from micronas_tf.ops import Network, Node
from micronas_tf.quantize.arrange import arrange, match
from micronas_tf.space import build_space, lower, random_architecture


def reordered(network: Network, rng: np.random.Generator) -> Network:
    """The same network in another order that still writes before it reads; operands of an Add change places."""
    done = {0: 0}
    nodes: list[Node] = []
    waiting = list(network.nodes)
    while waiting:
        ready = [node for node in waiting if all(tensor in done for tensor in node.inputs)]
        node = ready[int(rng.integers(len(ready)))]
        waiting.remove(node)
        inputs = tuple(done[tensor] for tensor in node.inputs)[:: 1 if rng.integers(2) else -1]
        nodes.append(Node(node.name, node.op, inputs, len(nodes) + 1))
        done[node.output] = len(nodes)
    return Network(network.input_shape, tuple(nodes))


@pytest.mark.parametrize(("window", "sensors"), [(128, 9), (64, 30), (30, 6), (20, 1)])
def test_match_undoes_any_reordering(window: int, sensors: int) -> None:
    rng = np.random.default_rng(window)
    space = build_space(window, sensors, 4)
    for _ in range(10):
        network = lower(space, random_architecture(space, rng))
        found = reordered(network, rng)
        order = match(network, found)
        assert [found.nodes[position].op for position in order] == [node.op for node in network.nodes]
        tensor_of = [0, *(position + 1 for position in order)]
        for node, position in zip(network.nodes, order, strict=True):
            assert sorted(tensor_of[tensor] for tensor in node.inputs) == sorted(found.nodes[position].inputs)


def test_match_tells_look_alikes_apart_by_their_readers() -> None:
    """With one sensor, a skip and a bottleneck of the same width are the same operator on the same input."""
    space = build_space(20, 1, 4)
    choices = dict(random_architecture(space, np.random.default_rng(0)))
    choices |= {group.name: 1 for group in space.groups if group.kind == "switch"}
    choices |= {group.name: group.choices[0] for group in space.groups if group.kind == "width"}
    choices |= {name: 0 for name in choices if name.endswith("identity")}
    network = lower(space, choices)
    twins = [node.name for node in network.nodes if node.op == network.nodes[1].op and node.inputs == (1,)]
    assert len(twins) == 2
    for seed in range(10):
        found = reordered(network, np.random.default_rng(seed))
        assert [found.nodes[position].name for position in match(network, found)] == [n.name for n in network.nodes]


def test_another_network_does_not_match() -> None:
    rng = np.random.default_rng(1)
    space = build_space(128, 9, 4)
    network = lower(space, random_architecture(space, rng))
    other = lower(space, random_architecture(space, rng))
    with pytest.raises(ModelError):
        match(network, other)


@pytest.fixture(scope="module")
def converted() -> tuple[Network, bytes]:
    """A branchy network and its file as the TFLite converter leaves it."""
    space = build_space(64, 9, 5)
    choices = dict(random_architecture(space, np.random.default_rng(2)))
    choices |= {group.name: 1 for group in space.groups if group.kind == "switch"}
    choices |= {name: 0 for name in choices if name.endswith("identity")}
    network = lower(space, choices)
    model = build_model(network, tf_keras.layers, tf_keras.Model)
    samples = np.random.default_rng(3).normal(size=(4, 1, *network.input_shape)).astype(np.float32)
    holder = tf.Module()
    holder.held = model.variables
    function = tf.function(model).get_concrete_function(tf.TensorSpec([1, *network.input_shape], tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return network, converter.convert()


def scores(flatbuffer: bytes, window: NDArray[np.int8]) -> NDArray[np.int8]:
    interpreter = Interpreter(model_content=flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window)
    interpreter.invoke()
    output: NDArray[np.int8] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output


def test_the_converter_reorders_and_arrange_restores(converted: tuple[Network, bytes]) -> None:
    network, original = converted
    assert [node.op for node in network_from_flatbuffer(original).nodes] != [node.op for node in network.nodes]
    assert network_from_flatbuffer(arrange(original, network)) == network


def test_arranging_changes_no_score(converted: tuple[Network, bytes]) -> None:
    network, original = converted
    arranged = arrange(original, network)
    for seed in range(5):
        window = np.random.default_rng(seed).integers(-128, 128, (1, *network.input_shape)).astype(np.int8)
        np.testing.assert_array_equal(scores(original, window), scores(arranged, window))


def test_constants_are_aligned_to_16_bytes_and_none_is_left_over(converted: tuple[Network, bytes]) -> None:
    network, original = converted
    arranged = arrange(original, network)
    model = schema.Model.GetRootAsModel(arranged, 0)
    starts = []
    for index in range(1, model.BuffersLength()):
        data = model.Buffers(index)._tab
        starts.append(data.Vector(data.Offset(4)))
    assert starts
    assert not any(start % 16 for start in starts)
    graph = model.Subgraphs(0)
    used = {graph.Tensors(index).Buffer() for index in range(graph.TensorsLength())}
    assert used == set(range(model.BuffersLength()))
    assert len(arranged) < len(original)


def test_arranging_twice_changes_nothing(converted: tuple[Network, bytes]) -> None:
    network, original = converted
    arranged = arrange(original, network)
    assert arrange(arranged, network) == arranged


def test_a_flatbuffer_of_another_network_is_refused(converted: tuple[Network, bytes]) -> None:
    network, original = converted
    space = build_space(64, 9, 5)
    with pytest.raises(ModelError, match="converted model"):
        arrange(original, lower(space, random_architecture(space, np.random.default_rng(4))))
    assert network.output_shape == (1, 1, 5)
