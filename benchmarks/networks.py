"""Whole networks on an emulated board against two predictions of their latency: the MicroNAS paper's figure 2.

    python benchmarks/networks.py [--board qemu_cortex_m33] [--networks 40] [--plot benchmarks/networks.svg]

Random architectures of two search spaces run as a whole in QEMU. Their cycles are compared with (a) the sum of the
lookup table of the same board, measured operator by operator before; (b) the number of MACs times the best constant,
fitted on the very networks that it is judged on; (c) the fitted model that ships. Nothing is timed: QEMU counts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from micronas_tf.boards import Board, load_board
from micronas_tf.cost import LatencySource, load_operator_model, network_latency, network_macs
from micronas_tf.cost.fit import best_constant
from micronas_tf.device import MACHINES, Bench, characterise, network_counts, prepare_bench
from micronas_tf.ops import Network, OpSpec
from micronas_tf.space import build_space, lower, random_architecture

Array = npt.NDArray[np.float64]

SPACES = ((128, 9, 6), (64, 30, 10))
"""Windows (samples, sensors, classes); the paper's for UCI HAR and one with more sensors."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How far a prediction is off.

    Attributes:
        mean: of |predicted - measured| / measured.
        largest: of the same.
        r2: share of the variance of the measured figures that is explained, without refitting.
        mae_ms: mean of |predicted - measured|.
    """

    mean: float
    largest: float
    r2: float
    mae_ms: float


def errors(predicted: Array, measured: Array) -> Errors:
    """Both in milliseconds."""
    relative = np.abs(predicted / measured - 1)
    residual, spread = ((predicted - measured) ** 2).sum(), ((measured - measured.mean()) ** 2).sum()
    return Errors(
        mean=float(relative.mean()),
        largest=float(relative.max()),
        r2=float(1 - residual / spread),
        mae_ms=float(np.abs(predicted - measured).mean()),
    )


def draw(count: int, seed: int) -> list[list[Network]]:
    """Distinct random networks of each space."""
    rng = np.random.default_rng(seed)
    drawn = []
    for shape in SPACES:
        space = build_space(*shape)
        networks: dict[str, Network] = {}
        while len(networks) < count:
            network = lower(space, random_architecture(space, rng))
            networks.setdefault(str(network.nodes), network)
        drawn.append(list(networks.values()))
    return drawn


def characterise_operators(bench: Bench, networks: Sequence[Network]) -> LatencySource:
    """A lookup table of the operators of all networks, each measured alone."""
    operators: list[OpSpec] = sorted({node.op for network in networks for node in network.nodes})
    with tempfile.TemporaryDirectory() as folder:
        return characterise(bench, operators, Path(folder) / "table.csv", repeats=1).table.source()


def run_networks(bench: Bench, networks: Sequence[Network]) -> Array:
    """Cycles of each network as a whole."""
    with bench.connect() as link:
        per_count = bench.cycles_per_count(link.connect())
        counts = [network_counts(link, network, 1, bench.board.clock_hz)[0] for network in networks]
    return np.array(counts) * per_count


def predicted(networks: Sequence[Network], source: LatencySource, board: Board) -> Array:
    """Milliseconds by a latency source, as a search computes them."""
    return np.array([network_latency(network, source, board).latency_ms for network in networks])


def scaled(counts: Array, measured: Array) -> Array:
    """Counts times the constant with the least mean error on these networks themselves."""
    return best_constant(counts.tolist(), measured.tolist())[0] * counts


def plot(path: Path, board: Board, measured: Array, split: int, panels: dict[str, Array]) -> None:
    """Measured against predicted milliseconds, one panel a prediction; `split` networks are of the first space."""
    from matplotlib import rcParams  # noqa: PLC0415 - nothing else here needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "networks"})
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    figure.suptitle(f"Whole networks on {board.id} (emulated), {board.clock_hz / 1e6:g} MHz")
    limits = (0.8 * measured.min(), 1.25 * measured.max())
    for axes, (title, values) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        found = errors(values, measured)
        axes.plot(limits, limits, color="0.6", linewidth=1, zorder=1)
        for part, marker, shape in zip((slice(split), slice(split, None)), "ox", SPACES, strict=True):
            label = f"{shape[0]}×{shape[1]}, {shape[2]} classes"
            axes.scatter(measured[part], values[part], s=18, marker=marker, label=label, zorder=2)
        axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
        axes.set(xlabel="measured, ms", ylabel="predicted, ms")
        axes.set_title(f"{title}\nmean error {found.mean:.2%}, R² {found.r2:.4f}", fontsize=10)
        axes.legend(loc="upper left", fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", choices=MACHINES, default="qemu_cortex_m4")
    parser.add_argument("--networks", type=int, default=40, help="of each space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, help=".svg or .png")
    options = parser.parse_args(arguments)
    board = load_board(options.board)
    bench = prepare_bench(board, "bundle")
    first, second = draw(options.networks, options.seed)
    networks = [*first, *second]
    table = characterise_operators(bench, networks)
    measured = np.array([board.milliseconds(cycles) for cycles in run_networks(bench, networks)])
    model = load_operator_model(board.emulates, "bundle")
    table_ms, model_ms = (predicted(networks, source, board) for source in (table, model))
    counts = np.array([network_macs(network) for network in networks], float)
    print(f"{bench.device}")
    print(
        f"{len(networks)} networks of {measured.min():.1f} to {measured.max():.1f} ms at {board.clock_hz / 1e6:g} MHz"
    )
    print(f"{'':46}{'mean error':>12}{'largest':>10}{'R²':>10}{'MAE, ms':>10}")
    names = ["{}x{}, {} classes".format(*shape) for shape in SPACES]
    parts = (slice(len(first)), slice(len(first), None), slice(None))
    for name, part in zip((*names, "both"), parts, strict=True):
        for title, values in (
            ("sum of the lookup table", table_ms[part]),
            ("MACs × best constant", scaled(counts[part], measured[part])),
            ("fitted model that ships", model_ms[part]),
        ):
            found = errors(values, measured[part])
            print(f"{name:20}{title:26}{found.mean:12.2%}{found.largest:10.2%}{found.r2:10.5f}{found.mae_ms:10.3f}")
    if options.plot:
        panels = {"sum of the lookup table": table_ms, "MACs × best constant": scaled(counts, measured)}
        plot(options.plot, board, measured, len(first), panels)


if __name__ == "__main__":
    main()
