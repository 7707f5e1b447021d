"""Small windows with everything known about them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from micronas_tf.datasets import Windows

WINDOW = 16


def make_windows(y: list[int] | np.ndarray[Any, Any], **known: Any) -> Windows:
    """Windows of noise, no two of which share samples by content; `known` goes to `Windows.of`."""
    x = np.random.default_rng(0).normal(size=(len(y), WINDOW, 3))
    names = [f"class_{index}" for index in range(int(np.max(y)) + 1)]
    return Windows.of(x, y, **{"class_names": names, **known})


def cut_stream(n_windows: int, hop: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Windows [n, WINDOW, 3] cut from one stream of noise."""
    stream = np.random.default_rng(seed).normal(size=((n_windows - 1) * hop + WINDOW, 3))
    return np.stack([stream[start : start + WINDOW] for start in range(0, n_windows * hop, hop)])


def share_samples(first: Windows, second: Windows) -> bool:
    """Whether a window of one part has a sample of the other part: compared one by one, bit for bit."""
    samples = {sample.tobytes() for sample in first.x.reshape(-1, first.sensors)}
    return any(sample.tobytes() in samples for sample in second.x.reshape(-1, second.sensors))


def classes(*parts: Windows) -> list[set[int]]:
    return [set(part.y.tolist()) for part in parts]


def every(*choices: list[Any]) -> list[tuple[Any, ...]]:
    return list(product(*choices))
