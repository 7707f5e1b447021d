"""Quantisation-aware training with TF-MOT, its ranges calibrated first.

TF-MOT starts every range at ±6. Those of the activations move by a thousandth a step, and a few hundred steps of
fine-tuning never get away from ±6; those of the weights jump to the weights at the first step, and until
then ±6 is too coarse for them. Here all ranges start at what the float model's values really are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from numpy.typing import NDArray

from micronas_tf.errors import ModelError
from micronas_tf.ops import Network
from micronas_tf.progress import Progress, silent
from micronas_tf.quantize.convert import to_flatbuffer, twin_of
from micronas_tf.quantize.paced import AtPosition, pace_callback
from micronas_tf.timing import Pace

_CALIBRATION_BATCH: Final = 256
_LEAST_RANGE: Final = 1e-6
_RANGE_NAMES: Final = ("output", "post_activation", "pre_activation")
_WEIGHT_NAMES: Final = ("kernel", "depthwise_kernel")


@dataclass(frozen=True, slots=True)
class QatRecipe:
    """How long and how fast to train under fake quantisation: Adam, cosine to 0, cross-entropy.

    Attributes:
        steps: batches; with 0 the calibrated model is converted as it is.
        learning_rate: at the first step after the warm-up.
        warmup: share of the steps, from 0.
    """

    steps: int = 1500
    learning_rate: float = 1e-3
    warmup: float = 0.05

    def __post_init__(self) -> None:
        if self.steps < 0 or self.learning_rate <= 0 or not 0 <= self.warmup < 1:
            raise ModelError(f"QAT takes steps >= 0, a learning rate > 0, a warm-up in [0, 1). Received: {self}.")


FINE_TUNING: Final = QatRecipe()


def quantise_qat(
    network: Network,
    model: Any,
    batches: tf.data.Dataset,
    calibration: NDArray[np.float32],
    *,
    recipe: QatRecipe = FINE_TUNING,
    seed: int = 0,
    progress: Progress = silent,
    pace: Pace | None = None,
) -> bytes:
    """Fine-tune a trained Keras 3 model under fake quantisation and convert it.

    Args:
        network: what `model` computes.
        model: the plain model, as `build_model(network)` makes it; it stays as it is.
        batches: (x [B, time, sensors, filters] standardised, y [B] class numbers), finite or endless.
        calibration: [n, time, sensors, filters] standardised windows without augmentation; some hundreds do.
        recipe: steps and learning rate.
        seed: of every random draw that TensorFlow makes here.
        progress: hears of every step of the stage `quantising`.
        pace: where the time is limited.

    Returns:
        The int8 flatbuffer, in the order of the network.

    Raises:
        ModelError: the result is no clean int8 model of the network.
    """
    twin = twin_of(network, model)
    quantised = tfmot.quantization.keras.quantize_model(twin)
    calibrate(quantised, twin, calibration)
    _train(quantised, batches, recipe, seed, progress, pace)
    return to_flatbuffer(network, quantised)


def train_qat(
    network: Network,
    batches: tf.data.Dataset,
    calibration: NDArray[np.float32],
    *,
    recipe: QatRecipe,
    seed: int = 0,
    progress: Progress = silent,
    pace: Pace | None = None,
) -> bytes:
    """Train a network from fresh weights under fake quantisation, as King et al. do, and convert it.

    Arguments, result and errors are those of `quantise_qat`; the recipe's steps and learning rate are those
    of a whole training.
    """
    tf_keras.utils.set_random_seed(seed)
    twin = twin_of(network)
    quantised = tfmot.quantization.keras.quantize_model(twin)
    # A fresh BatchNormalization normalises in training mode only, and training is what the ranges are for.
    calibrate(quantised, twin, calibration, training=True)
    _train(quantised, batches, recipe, seed, progress, pace)
    return to_flatbuffer(network, quantised)


def calibrate(quantised: Any, twin: Any, x: NDArray[np.float32], *, training: bool = False) -> None:
    """Set every range of a TF-MOT model: of the weights to themselves, of the activations to those on `x`.

    An activation's range goes from the least to the greatest value and holds 0, which int8 must represent exactly
    (padding).

    Args:
        quantised: made from `twin` by TF-MOT.
        twin: the float model.
        x: [n, time, sensors, filters].
        training: whether BatchNormalization takes the statistics of `x`.
    """
    _calibrate_weights(quantised)
    ranges = dict(_ranges(quantised))
    outputs = [twin.input if name is None else twin.get_layer(name).output for name in ranges]
    activations = tf_keras.Model(twin.input, outputs)
    lows, highs = np.zeros(len(outputs)), np.full(len(outputs), _LEAST_RANGE)
    for start in range(0, len(x), _CALIBRATION_BATCH):
        values = activations(x[start : start + _CALIBRATION_BATCH], training=training)
        lows = np.minimum(lows, [float(tf.reduce_min(value)) for value in values])
        highs = np.maximum(highs, [float(tf.reduce_max(value)) for value in values])
    for pairs, low, high in zip(ranges.values(), lows, highs, strict=True):
        for minimum, maximum in pairs:
            minimum.assign(low)
            maximum.assign(high)


def _ranges(quantised: Any) -> Iterator[tuple[str | None, list[tuple[Any, Any]]]]:
    """Per float layer the (minimum, maximum) variables of its activations; `None` is the model's input."""
    for layer in quantised.layers:
        weights = _variables(layer)
        wrapped = getattr(layer, "layer", None)
        # The layer that quantises the input counts up: `quantize_layer`, `quantize_layer_1`, …
        names = _RANGE_NAMES if wrapped is not None else (layer.name,)
        pairs = [(weights[f"{name}_min"], weights[f"{name}_max"]) for name in names if f"{name}_min" in weights]
        if pairs:
            yield (None if wrapped is None else wrapped.name), pairs


def _calibrate_weights(quantised: Any) -> None:
    """Symmetric ranges, per filter where TF-MOT keeps one per filter, else one for all."""
    for layer in quantised.layers:
        weights = _variables(layer)
        for name in _WEIGHT_NAMES:
            if f"{name}_min" in weights:
                minimum, maximum = weights[f"{name}_min"], weights[f"{name}_max"]
                magnitudes = np.abs(weights[name].numpy())
                bound = magnitudes.max(axis=tuple(range(magnitudes.ndim - 1)) if minimum.shape.rank else None)
                minimum.assign(-bound)
                maximum.assign(bound)


def _variables(layer: Any) -> dict[str, Any]:
    """A layer's variables by the last part of their names."""
    return {weight.name.split("/")[-1].split(":")[0]: weight for weight in layer.weights}


def _train(  # noqa: PLR0917
    quantised: Any, batches: tf.data.Dataset, recipe: QatRecipe, seed: int, progress: Progress, pace: Pace | None
) -> None:
    if not recipe.steps:
        return
    tf_keras.utils.set_random_seed(seed)
    warmup = int(recipe.warmup * recipe.steps)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else recipe.learning_rate,
        recipe.steps - warmup,
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    paced = []
    if pace:
        position = tf.Variable(0.0, trainable=False)
        rate = AtPosition(rate, position)
        pace.begin(recipe.steps)
        paced = [pace_callback(pace, position, quantised)]
    quantised.compile(tf_keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    show = tf_keras.callbacks.LambdaCallback(
        on_batch_end=lambda batch, logs: progress(
            "quantising", batch + 1, pace.total if pace else recipe.steps, _figures(logs)
        )
    )
    progress("quantising", 0, recipe.steps, {})
    quantised.fit(batches.repeat(), epochs=1, steps_per_epoch=recipe.steps, verbose=0, callbacks=[*paced, show])


def _figures(logs: dict[str, Any] | None) -> dict[str, float]:
    return {"accuracy": float(logs["accuracy"])} if logs and "accuracy" in logs else {}
