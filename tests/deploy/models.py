"""Small int8 models, the library made of one, and the program that runs its windows on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

from micronas_tf.datasets import Standardisation
from micronas_tf.deploy import Model
from micronas_tf.models import build_model
from micronas_tf.ops import Network, Node, OpSpec
from micronas_tf.quantize import quantise_ptq
from micronas_tf.space import build_space, lower, random_architecture

Floats = npt.NDArray[np.float32]

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
DRIVER = Path(__file__).with_name("driver.c")


def searched_network(window: int, sensors: int, classes: int, seed: int) -> Network:
    """A random architecture of the search space."""
    space = build_space(window, sensors, classes)
    return lower(space, random_architecture(space, np.random.default_rng(seed)))


def foreign_network() -> Network:
    """The operators that no search space has."""
    return in_a_row(
        OpSpec("conv2d", ((12, 4, 1),), (12, 4, 6), (3, 2)),
        OpSpec("depthwise_conv2d", ((12, 4, 6),), (6, 4, 6), (3, 1), (2, 1), activation="relu"),
        OpSpec("max_pool2d", ((6, 4, 6),), (3, 4, 6), (2, 1), (2, 1)),
        OpSpec("average_pool2d", ((3, 4, 6),), (3, 2, 6), (1, 2), (1, 2), "valid"),
        OpSpec("mean", ((3, 2, 6),), (1, 1, 6)),
        OpSpec("fully_connected", ((1, 1, 6),), (1, 1, 4)),
        OpSpec("softmax", ((1, 1, 4),), (1, 1, 4)),
    )


def in_a_row(*ops: OpSpec) -> Network:
    """Each operator reads the one before."""
    return Network(ops[0].inputs[0], tuple(Node(f"op{i}", op, (i,), i + 1) for i, op in enumerate(ops)))


def offset_noise(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Noise about another mean in every window and channel: the mean over time does not make all windows alike."""
    time, sensors = shape
    return rng.normal(0, 0.5, (count, time, sensors)) + rng.normal(0, 0.9, (count, 1, sensors))


def quantised(network: Network, seed: int = 0) -> bytes:
    """Untrained weights, really quantised, scaled so that scores differ from window to window."""
    samples = offset_noise(np.random.default_rng(seed), 64, network.input_shape[:2])[..., None].astype(np.float32)
    model = build_model(network)
    # He et al.'s variance, 2/fan-in, keeps a signal's size from layer to layer; the initial one is 1/(3 fan-in).
    model.set_weights([weight * (6**0.5 if weight.ndim == 4 else 1.0) for weight in model.get_weights()])
    *others, kernel, bias = model.get_weights()
    logits = np.log(model.predict(samples, verbose=0))
    scale = 2.0 / (logits - logits.mean(-1, keepdims=True)).std(0).max()
    model.set_weights([*others, scale * kernel, scale * (bias - logits.mean(0))])
    return quantise_ptq(network, model, samples)


def model_of(network: Network, flatbuffer: bytes | None = None) -> Model:
    sensors, classes = network.input_shape[1], network.output_shape[2]
    rng = np.random.default_rng(sensors)
    scale = Standardisation(
        rng.normal(0, 20, sensors).astype(np.float32), rng.uniform(0.1, 9, sensors).astype(np.float32)
    )
    return Model(
        name="test",
        flatbuffer=flatbuffer or quantised(network),
        standardisation=scale,
        class_names=tuple(f"class {index}" for index in range(classes)),
        sampling_hz=50.0,
    )


def raw_windows(model: Model, network: Network, count: int, seed: int = 1) -> Floats:
    """Like the data that the standardisation was fitted on, with a few samples far outside."""
    rng = np.random.default_rng(seed)
    x = offset_noise(rng, count, network.input_shape[:2])
    x[rng.random(x.shape) < 0.01] *= 100
    scale = model.standardisation
    return (x * scale.std + scale.mean).astype(np.float32)


def build_driver(bundle: Path, target: Path) -> Path:
    """The library with a program around it, under the sanitizers and with every warning an error."""
    includes = [f"-I{bundle / folder}" for folder in (".", "include", "kernels")]
    sources = [DRIVER, bundle / "model.c", *sorted((bundle / "kernels").glob("*.c"))]
    flags = ("-std=c11", "-O1", "-g", "-DMODEL_GUARD_BYTES=64")
    command = ["cc", *flags, *WARNINGS, *SANITIZERS, *includes, *map(str, sources), "-o", str(target)]
    subprocess.run(command, check=True)
    return target


def run_driver(program: Path, windows: Floats, classes: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """int8 inputs [N, T, S] and scores [N, classes]."""
    data = np.ascontiguousarray(windows, "<f4").tobytes()
    done = subprocess.run([program], input=data, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    values = windows[0].size
    rows = np.frombuffer(done.stdout, np.int8).reshape(len(windows), values + classes)
    return rows[:, :values].reshape(windows.shape), rows[:, values:]
