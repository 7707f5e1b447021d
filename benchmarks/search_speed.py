"""How fast the search is: steps, the whole phase, what a step spends outside convolutions, memory.

    python benchmarks/search_speed.py --window 128 --sensors 9 --classes 6

Everything runs in one process on the same random batch, in turns, so that what else the machine does hits all of it;
the figures to quote are ratios of medians.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import keras
import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from micronas_tf.boards import DEFAULT_BOARD, Budget, load_board
from micronas_tf.cost import default_source
from micronas_tf.models import build_model
from micronas_tf.plan import ALPHA_FRACTION
from micronas_tf.search import SearchRecipe, expected_costs, tabulate_figures
from micronas_tf.space import SearchSpace, build_space, largest, lower
from micronas_tf.supernet import Limit, SuperNet
from micronas_tf.training import TrainingRecipe

BATCH = 64

CONTROL = {"If", "StatelessIf", "_If", "PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile"}
"""Their kernels run others, whose time would count twice."""


def search_step(space: SearchSpace, batch: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A compiled `train_step` of the supernet with a latency limit, and one of its warm-up, in which α rests."""
    board = load_board(DEFAULT_BOARD)
    figures = tabulate_figures(space, board, Budget(latency_ms=50.0), default_source(board.id))
    supernet = SuperNet.of(space)
    supernet.compile(
        keras.optimizers.Adam(1e-3, global_clipnorm=5.0),
        costs=expected_costs(figures),
        limits={"latency_ms": Limit(50.0, 2.0)},
    )
    step = tf.function(supernet.train_step)

    def with_alpha(enabled: bool) -> Any:
        supernet.alpha_enabled.assign(enabled)
        return step((batch, batch))

    return lambda: with_alpha(True), lambda: with_alpha(False)


def training_step(space: SearchSpace, batch: Any) -> Callable[[], Any]:
    """A compiled training step of the plain Keras model of the space's largest architecture."""
    model = build_model(lower(space, largest(space)))
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    step = tf.function(model.train_step)
    return lambda: step(batch)


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def share_outside_convolutions(step: Callable[[], Any], steps: int = 5) -> float:
    """Of the time that kernels take by TensorFlow's profiler; BatchNorm, masks, optimisers and costs are outside."""
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            step()
        tf.profiler.experimental.stop()
        trace = next(Path(folder).rglob("*.xplane.pb")).read_bytes()
    inside = outside = 0.0
    for kind, duration in _kernels(trace):
        if "Conv2D" in kind:
            inside += duration
        elif kind not in CONTROL:
            outside += duration
    return outside / (inside + outside)


def _kernels(trace: bytes) -> Iterator[tuple[str, float]]:
    """(type, duration) of every kernel: the profiler names them `<node>:<type>`."""
    space = xplane_pb2.XSpace()
    space.ParseFromString(trace)
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if colon and kind.isidentifier() and not name.endswith(":"):
                    yield kind, float(event.duration_ps)


def phase_ratio(alpha: float, warm: float, training: float, windows: int) -> float:
    """The steps of the default search against training the largest network by the default recipe, from step times.

    Args:
        alpha, warm, training: seconds of a search step, of one in the warm-up, and of a training step.
        windows: of the training part; a search gives a part of them to α.
    """
    search, recipe = SearchRecipe(), TrainingRecipe()
    per_epoch = search.steps_per_epoch(int(windows * (1 - ALPHA_FRACTION)), search.batch_size)
    seconds = per_epoch * (search.warm_epochs * warm + (search.epochs - search.warm_epochs) * alpha)
    return seconds / (recipe.steps(windows) * training)


@click.command()
@click.option("--window", default=128, show_default=True)
@click.option("--sensors", default=9, show_default=True)
@click.option("--classes", default=6, show_default=True)
@click.option("--windows", default=7352, show_default=True, help="Training windows, for the ratio of the phases.")
@click.option("--repeats", default=40, show_default=True)
def main(window: int, sensors: int, classes: int, windows: int, repeats: int) -> None:
    """Print medians in milliseconds, their ratios, the share outside convolutions and the peak memory, as JSON."""
    keras.utils.set_random_seed(0)
    space = build_space(window, sensors, classes)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(BATCH, window, sensors, 1)), tf.float32)
    batch = (x, tf.constant(rng.integers(0, classes, BATCH), tf.int32))
    steps = (*search_step(space, batch), training_step(space, batch))
    for step in steps * 2:
        step()
    alpha, warm, training = np.median([[timed(step) for step in steps] for _ in range(repeats)], 0)
    result = {
        "search_step_ms": 1e3 * alpha,
        "warm_up_step_ms": 1e3 * warm,
        "training_step_ms": 1e3 * training,
        "ratio": alpha / training,
        "phase_ratio": phase_ratio(alpha, warm, training, windows),
        "share_outside_convolutions": share_outside_convolutions(steps[0]),
        "share_outside_convolutions_training": share_outside_convolutions(steps[2]),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    click.echo(json.dumps({name: round(float(value), 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()
