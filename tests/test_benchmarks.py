"""The benchmarks that measure on emulated boards: their arithmetic, and a small run of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks import cmsis_nn, kernels, networks, runtimes
from tests.firmware.images import build_image, require_tools

from micronas_tf.cost import Measurement
from micronas_tf.ops import OpSpec


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


def test_a_constant_is_judged_on_what_it_was_not_fitted_on() -> None:
    op = OpSpec("softmax", ((1, 1, 6),), (1, 1, 6))
    rows = [Measurement(op, cycles) for cycles in (100.0, 220.0, 330.0, 400.0, 500.0)]
    constant, found, measured = cmsis_nn.judge(rows, np.array([50.0, 100.0, 150.0, 200.0, 250.0]), fitted_on=3)
    assert constant == pytest.approx(2.0)  # of 100/50, 330/150 and 500/250
    assert measured.tolist() == [220.0, 400.0]
    assert found == pytest.approx([200 / 220 - 1, 0.0])


def test_cmsis_nn_says_why_it_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cmsis_nn.main(["--csv", str(tmp_path / "absent.csv")])
    assert capsys.readouterr().out == (
        f"Skipped: there is no measured table {tmp_path / 'absent.csv'}; name one by --csv.\n"
    )
    (tmp_path / "table.csv").touch()
    assert "names no copy of CMSIS-NN" in cmsis_nn.why_not(tmp_path / "table.csv", tmp_path / "absent.ini")
    assert not cmsis_nn.why_not(tmp_path / "table.csv", tmp_path / "table.csv")


@pytest.mark.parametrize("main", [cmsis_nn.main, runtimes.main])
def test_a_table_that_is_no_part_of_the_project_is_asked_for(
    main: Callable[[list[str]], object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "the following arguments are required: --csv" in capsys.readouterr().err


@pytest.mark.parametrize("main", [kernels.main, runtimes.main])
def test_a_table_of_counts_that_is_absent_is_said_in_a_sentence(
    main: Callable[[list[str]], object], tmp_path: Path
) -> None:
    path = tmp_path / "absent.csv"
    with pytest.raises(SystemExit, match=f"^There is no table of CMSIS-NN's instructions at {re.escape(str(path))}"):
        main(["--csv", str(path)])
