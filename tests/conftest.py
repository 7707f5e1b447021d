"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """A few dozen steps are faster eagerly than traced; the streams of data and noise are the same."""
    import tensorflow as tf  # noqa: PLC0415 - most tests do without

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference measurements and datasets beside the checkout; they are no part of the project."""
    if not SHARED.is_dir():
        pytest.skip("the reference data folder `shared/` beside the checkout is absent")
    return SHARED
