"""The portable kernels against TFLite's int8 reference kernels, byte for byte.

LiteRT and TFLM share those kernels and agree, but for one: a fully connected operator is rounded once by LiteRT on x86
and twice by TFLM. The runtime on the board decides.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from . import kernels
from .cases import KERNELS
from .litert import OneOpModels

BATCH = 50


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    target: Path = tmp_path_factory.mktemp("kernels") / "libkernels.so"
    return kernels.build_library(kernels.kernel_sources(), target)


def compare(library: ctypes.CDLL, kernel: str, batches: int, seed: int, micro: bool = False) -> None:
    for batch in range(batches):
        rng = np.random.default_rng((seed, batch))
        models = OneOpModels()
        cases = [KERNELS[kernel](rng, models) for _ in range(BATCH)]
        oracle = models.run_micro if micro or kernel == "fully_connected" else models.run
        for number, (case, expected) in enumerate(zip(cases, oracle(), strict=True)):
            received = case(library)
            np.testing.assert_array_equal(received, expected, f"{kernel}: case {number} of seed {(seed, batch)}")


@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_litert(library: ctypes.CDLL, kernel: str) -> None:
    compare(library, kernel, batches=3, seed=1)


@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_tflm(library: ctypes.CDLL, kernel: str) -> None:
    compare(library, kernel, batches=1, seed=3, micro=True)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_litert_many(library: ctypes.CDLL, kernel: str) -> None:
    compare(library, kernel, batches=50, seed=2)
