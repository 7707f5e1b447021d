"""The search as one step of a Keras and TensorFlow pipeline that is there already.

    python -m examples.keras_pipeline

The pipeline has its own arrays, its own `tf.data` and its own training. From the search it takes a plain Keras model,
the standardisation and an int8 model; then it fine-tunes, saves, loads and quantises by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from examples import motion
from micronas_tf import MicroNAS
from micronas_tf.datasets import Standardisation
from micronas_tf.quantize import QatRecipe, quantise_qat, verify

BATCH = 32


def batches(
    x: NDArray[np.float32], y: NDArray[np.integer], standardisation: Standardisation, *, shuffle: bool = False
) -> tf.data.Dataset:
    """Raw windows [N, time, sensors] and class numbers [N] as the model reads them, for `fit` and `evaluate`.

    The standardisation is a part of the pipeline, in TensorFlow: what it does is what `standardisation.apply` does.
    """
    mean, std, limit = standardisation.mean, standardisation.std, standardisation.limit

    def prepare(window: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The last axis is that of the filters: an image of one colour.
        return tf.clip_by_value((window - mean) / std, -limit, limit)[..., tf.newaxis], label

    data = tf.data.Dataset.from_tensor_slices((x, y))
    if shuffle:
        data = data.shuffle(len(x), seed=0)
    return data.map(prepare).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def class_numbers(labels: NDArray[np.str_], run: Path) -> NDArray[np.int64]:
    """The labels as numbers in the order of the model's outputs, which the run's folder tells."""
    classes: list[str] = json.loads((run / "run.json").read_text(encoding="utf-8"))["data"]["classes"]
    return np.array([classes.index(label) for label in labels])


def evaluate(model: Any, data: tf.data.Dataset) -> float:
    """Accuracy. A model of the search comes without optimiser and loss: it is compiled here first."""
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return float(model.evaluate(data, verbose=0, return_dict=True)["accuracy"])


def fine_tune(model: Any, data: tf.data.Dataset, epochs: int) -> list[float]:
    """Go on training at a small rate, as for the windows of a new person; the loss of each epoch."""
    model.compile(keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy")
    # The data are shuffled already, by `batches`.
    history: list[float] = model.fit(data, epochs=epochs, shuffle=False, verbose=0).history["loss"]
    return history


def int8_scores(flatbuffer: bytes, standardised: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities [N, classes] of an int8 model on LiteRT, for standardised windows [N, time, sensors, 1]."""
    # The reference kernels compute what the board does. The default ones are faster, and round a few scores to the
    # next step.
    interpreter = Interpreter(
        model_content=flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    (scale, zero_point), (out_scale, out_zero_point) = source["quantization"], target["quantization"]
    scores = []
    for window in np.clip(np.round(standardised / scale) + zero_point, -128, 127).astype(np.int8):
        interpreter.set_tensor(source["index"], window[np.newaxis])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(target["index"])[0].astype(np.float32))
    probabilities: NDArray[np.float32] = ((np.stack(scores) - out_zero_point) * out_scale).astype(np.float32)
    return probabilities


@click.command()
@click.option(
    "--quick", is_flag=True, help="One epoch of everything: a look at the course of things, and a poor model."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/keras_pipeline"), show_default=True)
def main(quick: bool, out: Path) -> None:
    """Search, then go on with plain Keras and TensorFlow."""
    x, labels, person = motion.windows(people=8)  # your own arrays: raw windows, labels, who it was
    new_x, new_labels, _ = motion.windows(people=3, seed=1)  # people whom nobody has seen before

    recipe: dict[str, Any] = {"epochs": 1, "extra_cells": 0, "quantize": "ptq"} if quick else {}
    result = MicroNAS("nucleo_f446re", latency_ms=20, memory_kb=16, out=out, **recipe).fit(
        x, labels, subject=person, channel_names=motion.CHANNELS, sampling_rate_hz=motion.RATE_HZ
    )
    click.echo(f"int8 on people whom the training has not seen: {result.metrics['int8']['accuracy']:.1%}")

    # A plain Keras model of stock layers: whatever takes a Keras model takes this one.
    result.model.summary(print_fn=click.echo)
    y, new_y = class_numbers(labels, out), class_numbers(new_labels, out)
    mine = batches(x, y, result.standardisation, shuffle=True)
    new = batches(new_x, new_y, result.standardisation)
    click.echo(f"float on new people: {evaluate(result.model, new):.1%}")

    # It goes on learning on all windows; saved and loaded, it needs no micronas-tf.
    losses = fine_tune(result.model, mine, epochs=1 if quick else 5)
    result.model.save(out / "tuned.keras")
    tuned = keras.models.load_model(out / "tuned.keras")
    click.echo(f"fine-tuned, loss {losses[0]:.3f} to {losses[-1]:.3f}; on new people: {evaluate(tuned, new):.1%}")

    # Its new weights need a new int8 model: quantisation-aware training of your own. The architecture is the same, and
    # with it the latency and the arena of the budget.
    steps = 20 if quick else 500
    flatbuffer = quantise_qat(
        result.network, tuned, mine, result.standardisation.apply(x)[..., None], recipe=QatRecipe(steps)
    )
    (out / "tuned.tflite").write_bytes(flatbuffer)
    # The same check as at the end of a search: TensorFlow Lite Micro against LiteRT, score by score.
    standardised = result.standardisation.apply(new_x)[..., None]
    report = verify(flatbuffer, result.network, standardised, new_y)
    click.echo(f"int8 on new people: {report.accuracy:.1%}, verified: {report.bit_equal and report.head_as_planned}")

    # Both int8 models as an app would run them, without micronas-tf.
    for name, model in (("searched", result.tflite), ("fine-tuned", flatbuffer)):
        accuracy = (int8_scores(model, standardised).argmax(-1) == new_y).mean()
        click.echo(f"LiteRT, {name}: {accuracy:.1%} of new people's windows, {len(model):,} bytes")


if __name__ == "__main__":
    main()
