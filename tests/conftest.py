"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference measurements and datasets beside the checkout; they are no part of the project."""
    if not SHARED.is_dir():
        pytest.skip("the reference data folder `shared/` beside the checkout is absent")
    return SHARED
