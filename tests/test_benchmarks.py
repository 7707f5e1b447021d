"""The benchmarks that measure on emulated boards: their arithmetic, and a small run of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks import networks
from tests.firmware.images import build_image, require_tools


def test_errors_worked_by_hand() -> None:
    found = networks.errors(np.array([1.1, 2.0, 2.7]), np.array([1.0, 2.0, 3.0]))
    assert found.mean == pytest.approx(0.2 / 3)
    assert found.largest == pytest.approx(0.1)
    assert found.r2 == pytest.approx(1 - 0.1 / 2)
    assert found.mae_ms == pytest.approx(0.4 / 3)


def test_networks_are_distinct_and_repeat_with_the_seed() -> None:
    drawn = networks.draw(5, seed=1)
    assert [len(part) for part in drawn] == [5, 5]
    assert drawn == networks.draw(5, seed=1)
    assert [part[0].input_shape for part in drawn] == [(128, 9, 1), (64, 30, 1)]


def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_tools()
    build_image("qemu_cortex_m4")
    networks.main(["--networks", "2", "--plot", str(tmp_path / "plot.svg")])
    printed = capsys.readouterr().out
    assert "emulated: instructions in QEMU" in printed
    table = next(line for line in printed.splitlines() if line.startswith("128x9, 6 classes    sum of"))
    assert float(table.split("%")[0].split()[-1]) <= 1.0
    assert (tmp_path / "plot.svg").read_text().count("predicted, ms") == 2
