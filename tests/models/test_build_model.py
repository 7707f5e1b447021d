"""The plain Keras model against NumPy, and against the shapes of the lowering."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from micronas_tf.errors import ModelError
from micronas_tf.models.build import build_model, cell_name, layer_name
from micronas_tf.ops import Network, Node, OpSpec, Padding, Pair, Shape, output_extent
from micronas_tf.space import build_space, lower, random_architecture

FloatArray = NDArray[np.float64]


def scatter_weights(model: Any, seed: int) -> None:
    """Random values in every weight, BatchNormalization statistics included; variances positive."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            rng.uniform(0.5, 2.0, weight.shape) if "variance" in weight.path else rng.normal(0, 0.4, weight.shape)
            for weight in model.weights
        ]
    )


def numpy_windows(x: FloatArray, kernel: Pair, strides: Pair, padding: Padding, fill: float) -> FloatArray:
    """[B, T', S', k_t, k_s, C] of [B, T, S, C], by TensorFlow's rule: of odd padding, the end gets more."""
    extents = []
    for axis in (0, 1):
        extent = x.shape[axis + 1]
        outputs = output_extent(extent, kernel[axis], strides[axis], padding)
        missing = max((outputs - 1) * strides[axis] + kernel[axis] - extent, 0)
        before = missing // 2
        widths = [(0, 0)] * 4
        widths[axis + 1] = (before, missing - before)
        x = np.pad(x, widths, constant_values=fill)
        extents.append(outputs)
    result = np.empty((len(x), *extents, *kernel, x.shape[3]))
    for t, s in product(*map(range, extents)):
        top, left = t * strides[0], s * strides[1]
        result[:, t, s] = x[:, top : top + kernel[0], left : left + kernel[1]]
    return result


def numpy_forward(network: Network, model: Any, x: FloatArray) -> FloatArray:
    """What the network computes, layer by layer, with the weights of `model`."""
    tensors = [x]
    for node in network.nodes:
        op, read = node.op, [tensors[tensor] for tensor in node.inputs]
        match op.kind:
            case "conv2d":
                weights = [np.asarray(w, np.float64) for w in model.get_layer(layer_name(node.name)).get_weights()]
                windows = numpy_windows(read[0], op.kernel, op.strides, op.padding, 0.0)
                output = np.einsum("btsklc,klcf->btsf", windows, weights[0])
                if op.activation == "relu":
                    bn = model.get_layer(f"{layer_name(node.name)}_bn")
                    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in bn.get_weights())
                    output = np.maximum((output - mean) / np.sqrt(variance + 2e-5) * gamma + beta, 0.0)
                else:
                    output = output + weights[1]
            case "depthwise_conv2d":
                kernel, bias = (np.asarray(w) for w in model.get_layer(layer_name(node.name)).get_weights())
                windows = numpy_windows(read[0], op.kernel, op.strides, op.padding, 0.0)
                output = np.einsum("btsklc,klc->btsc", windows, kernel[..., 0]) + bias
            case "max_pool2d":
                output = numpy_windows(read[0], op.kernel, op.strides, op.padding, -np.inf).max((3, 4))
            case "average_pool2d":  # the border counts neither in the sum nor in the number
                output = np.nanmean(numpy_windows(read[0], op.kernel, op.strides, op.padding, np.nan), axis=(3, 4))
            case "fully_connected":
                kernel, bias = (np.asarray(w) for w in model.get_layer(layer_name(node.name)).get_weights())
                output = (read[0].reshape(len(x), -1) @ kernel + bias)[:, None, None]
            case "add":
                output = read[0] + read[1]
            case "mean":
                output = read[0].mean((1, 2), keepdims=True)
            case "softmax":
                powers = np.exp(read[0] - read[0].max(-1, keepdims=True))
                output = powers / powers.sum(-1, keepdims=True)
        assert output.shape[1:] == op.output, node.name
        tensors.append(output)
    return tensors[-1].reshape(len(x), -1)


@pytest.mark.parametrize(("window", "sensors"), [(128, 9), (51, 24), (30, 6), (17, 1)])
def test_model_of_a_random_architecture_computes_what_numpy_computes(window: int, sensors: int) -> None:
    rng = np.random.default_rng(window)
    space = build_space(window, sensors, 5)
    network = lower(space, random_architecture(space, rng))
    model = build_model(network)
    scatter_weights(model, 1)
    x = rng.normal(size=(3, window, sensors, 1))
    # float32 sums of some hundred products against float64
    np.testing.assert_allclose(model.predict(x, verbose=0), numpy_forward(network, model, x), rtol=2e-3, atol=1e-5)


def test_known_operators_outside_the_space_compute_what_numpy_computes() -> None:
    network = alien_network()
    model = build_model(network)
    scatter_weights(model, 2)
    x = np.random.default_rng(3).normal(size=(4, *network.input_shape))
    np.testing.assert_allclose(model.predict(x, verbose=0), numpy_forward(network, model, x), rtol=1e-4, atol=1e-6)


def alien_network() -> Network:
    """Depthwise, both pools, and dense behind a flatten: what `estimate` may be handed."""
    steps: list[tuple[OpSpec, str]] = [
        (OpSpec("depthwise_conv2d", ((11, 5, 2),), (6, 3, 2), (3, 3), (2, 2)), "a/depthwise"),
        (OpSpec("max_pool2d", ((6, 3, 2),), (3, 3, 2), (2, 1), (2, 1)), "b/max"),
        (OpSpec("average_pool2d", ((3, 3, 2),), (2, 2, 2), (2, 2), (2, 2)), "c/average"),
        (OpSpec("fully_connected", ((2, 2, 2),), (1, 1, 4)), "d/dense"),
        (OpSpec("softmax", ((1, 1, 4),), (1, 1, 4)), "d/softmax"),
    ]
    nodes = tuple(Node(name, op, (tensor,), tensor + 1) for tensor, (op, name) in enumerate(steps))
    return Network((11, 5, 2), nodes)


@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_layers_have_the_shapes_of_the_lowering(count: int) -> None:
    """For `count` random architectures of each of four window shapes."""
    rng = np.random.default_rng(4)
    for window, sensors in ((128, 9), (64, 30), (51, 24), (30, 6)):
        space = build_space(window, sensors, 7)
        for _ in range(count):
            network = lower(space, random_architecture(space, rng))
            model = build_model(network)
            for node in network.nodes:
                shape: Shape | tuple[int, ...] = node.op.output
                if node.op.kind in ("mean", "softmax"):
                    shape = shape[2:]
                assert model.get_layer(layer_name(node.name)).output.shape == (None, *shape)


def test_convolutions_have_either_batch_norm_or_a_bias() -> None:
    space = build_space(64, 6, 3)
    network = lower(space, random_architecture(space, np.random.default_rng(5)))
    model = build_model(network)
    for node in network.nodes:
        if node.op.kind == "conv2d":
            layer = model.get_layer(layer_name(node.name))
            names = {other.name for other in model.layers}
            assert layer.use_bias != (f"{layer.name}_bn" in names)
            assert layer.use_bias == (node.name == network.nodes[-3].name)
    assert model.get_layer("time0.conv_bn").momentum == 0.9


def test_dropout_stands_between_cells_only_and_adds_no_weights() -> None:
    space = build_space(64, 6, 3)
    network = lower(space, random_architecture(space, np.random.default_rng(6)))
    plain, dropped = build_model(network), build_model(network, dropout=0.3)
    crossings = {
        network.nodes[tensor - 1].name
        for node in network.nodes
        for tensor in node.inputs
        if tensor and cell_name(network.nodes[tensor - 1].name) != cell_name(node.name)
    }
    rates = {layer.name: layer.rate for layer in dropped.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == {f"{layer_name(name)}_dropout": 0.3 for name in crossings}
    dropped.set_weights(plain.get_weights())
    x = np.random.default_rng(7).normal(size=(2, *network.input_shape))
    np.testing.assert_array_equal(plain(x, training=False), dropped(x, training=False))


def test_a_network_that_is_no_classifier_is_refused() -> None:
    network = Network((8, 2, 1), (Node("a/conv", OpSpec("conv2d", ((8, 2, 1),), (8, 2, 3)), (0,), 1),))
    with pytest.raises(ModelError, match=r"\(1, 1, classes\). Received: \(8, 2, 3\)"):
        build_model(network)


def test_saved_model_loads_where_micronas_tf_cannot_be_imported(tmp_path: Path) -> None:
    space = build_space(32, 6, 3)
    network = lower(space, random_architecture(space, np.random.default_rng(8)))
    model = build_model(network, dropout=0.1)
    x = np.random.default_rng(9).normal(size=(2, *network.input_shape)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "case.npz", x=x, scores=model.predict(x, verbose=0))
    script = (
        "import sys; sys.modules['micronas_tf'] = None\n"  # an import of it now raises ImportError
        "import keras, numpy as np\n"
        f"case = np.load({str(tmp_path / 'case.npz')!r})\n"
        f"scores = keras.models.load_model({str(tmp_path / 'model.keras')!r}).predict(case['x'], verbose=0)\n"
        "np.testing.assert_array_equal(scores, case['scores'])\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], check=True, capture_output=True, timeout=300)
