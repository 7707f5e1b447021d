"""Reports of made-up runs, rendered once for all tests that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from micronas_tf.ops import Network
from micronas_tf.report import Stream, write_report
from micronas_tf.run_directory import RunDirectory, write_json

from .sample import pareto, verified_on_board, write_baseline, write_run, write_trials

HOSTILE = "<script>document.title='broken'</script> & a very long class name that never seems to end"
MANY = (HOSTILE, "$E=mc^2$", *(f"activity_number_{k}_with_underscores" for k in range(18)))


@dataclass(frozen=True)
class Written:
    """A run and its report."""

    files: RunDirectory
    network: Network
    page: str


def _written(
    folder: Path, network: Network, stream: Stream | None = None, baselines: Sequence[Path] | None = None
) -> Written:
    page = write_report(folder, stream, baselines)
    return Written(RunDirectory(folder), network, page.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Everything that a run can have: verified on a board, trials, Pareto points, baselines, energy, a flash limit."""
    folder = tmp_path_factory.mktemp("full")
    current = {"supply_v": 3.3, "active_ma": 40.0, "sleep_ma": 0.002}
    network = write_run(folder, window=128, sensors=9, seed=3, budget={"flash_bytes": 65536}, board=current)
    write_json(RunDirectory(folder).verify, verified_on_board(network))
    write_json(RunDirectory(folder).pareto, pareto())
    write_trials(folder)
    others = [
        write_baseline(tmp_path_factory.mktemp("others") / f"{strategy}-{seed}", strategy, seed)
        for strategy, seed in (("random", 1), ("random", 2), ("darts-softmax", 1))
    ]
    return _written(folder, network, Stream(hop=16), others)


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Twenty classes with awkward names, one without a test window, a broken memory limit, no rate, no search files."""
    folder = tmp_path_factory.mktemp("odd")
    network = write_run(folder, classes=MANY, absent=4, rate_hz=None, sensors=30, budget={"memory_bytes": 4096})
    for path in (RunDirectory(folder).history, RunDirectory(folder).candidates, RunDirectory(folder).architecture):
        path.unlink()
    return _written(folder, network)
