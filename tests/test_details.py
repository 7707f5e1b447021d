"""What a run keeps for its report, against the steps that make it."""

from __future__ import annotations

import numpy as np

from micronas_tf.details import compare_float_and_ptq
from micronas_tf.models import build_model
from micronas_tf.quantize import float_flatbuffer, quantise_ptq, verify
from micronas_tf.space import build_space, lower, random_architecture


def test_post_training_quantisation_is_compared_on_the_test_windows() -> None:
    rng = np.random.default_rng(5)
    space = build_space(20, 3, 3)
    network = lower(space, random_architecture(space, rng))
    model = build_model(network)
    x = rng.normal(size=(30, *network.input_shape)).astype(np.float32)
    y = model.predict(x, verbose=0).argmax(axis=1)
    # Some labels are wrong, so that the accuracy says something.
    y[:10] = (y[:10] + 1) % 3
    found = compare_float_and_ptq(network, model, x[:8], x, y)
    report = verify(quantise_ptq(network, model, x[:8]), network, x, y)
    assert found["ptq"] == {"accuracy": report.accuracy, "macro_f1": report.macro_f1}
    assert 0 < report.accuracy < 1
    assert found["float_flatbuffer_bytes"] == len(float_flatbuffer(network, model))
    assert compare_float_and_ptq(network, model, None, x, y)["ptq"] is None
