"""One search step (α + w) against one training step of the largest network of the space, side by side.

    python benchmarks/search_speed.py --window 128 --sensors 9 --classes 6

Both run in one process on the same random batch, in turns, so that whatever else the machine does hits both;
the figure to quote is the ratio of the medians.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import keras
import numpy as np
import tensorflow as tf

from micronas_tf.boards import DEFAULT_BOARD, Budget, load_board
from micronas_tf.cost import default_source
from micronas_tf.models import build_model
from micronas_tf.search import expected_costs, tabulate_figures
from micronas_tf.space import SearchSpace, build_space, largest, lower
from micronas_tf.supernet import Limit, SuperNet

BATCH = 64


def search_step(space: SearchSpace, batch: Any) -> Callable[[], Any]:
    """A compiled `train_step` of the supernet, with a latency limit."""
    board = load_board(DEFAULT_BOARD)
    figures = tabulate_figures(space, board, Budget(latency_ms=50.0), default_source(board.id))
    supernet = SuperNet.of(space)
    supernet.compile(
        keras.optimizers.Adam(1e-3, global_clipnorm=5.0),
        costs=expected_costs(figures),
        limits={"latency_ms": Limit(50.0, 2.0)},
    )
    step = tf.function(supernet.train_step)
    return lambda: step((batch, batch))


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


@click.command()
@click.option("--window", default=128, show_default=True)
@click.option("--sensors", default=9, show_default=True)
@click.option("--classes", default=6, show_default=True)
@click.option("--repeats", default=40, show_default=True)
def main(window: int, sensors: int, classes: int, repeats: int) -> None:
    """Print the medians in milliseconds and their ratio, as JSON."""
    keras.utils.set_random_seed(0)
    space = build_space(window, sensors, classes)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(BATCH, window, sensors, 1)), tf.float32)
    batch = (x, tf.constant(rng.integers(0, classes, BATCH), tf.int32))
    steps = (search_step(space, batch), training_step(space, batch))
    for step in steps * 2:
        step()
    search, training = np.median([[timed(step) for step in steps] for _ in range(repeats)], 0) * 1e3
    result = {"search_step_ms": search, "training_step_ms": training, "ratio": search / training}
    click.echo(json.dumps({name: round(float(value), 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()
