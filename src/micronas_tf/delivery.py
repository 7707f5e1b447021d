"""From a run to the board: its bundle, and the proof that the board computes what the run promised."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from micronas_tf.boards import Board, load_board
from micronas_tf.cost import NetworkLatency, network_latency
from micronas_tf.datasets import Standardisation, Windows, load_dataset
from micronas_tf.deploy import Golden, Model, drawn_windows, make_golden, spread_out, write_bundle
from micronas_tf.device import MOST_CLASSES, Proof, bundle_bench, check_has_firmware, check_same_kernels, prove
from micronas_tf.device.prove import difference_json
from micronas_tf.errors import BudgetError, CostError, DeviceError, RunError
from micronas_tf.estimation import latency_source
from micronas_tf.models import network_from_flatbuffer
from micronas_tf.ops import Network
from micronas_tf.progress import Progress, silent
from micronas_tf.quantize.runtimes import FloatArray
from micronas_tf.run_directory import ARRAYS, RunDirectory, command, read_json, resume_command, write_json

VERIFY_SCHEMA: Final = 1
LEAST_WINDOWS: Final = 200
"""Of a verification: where there are fewer golden windows, drawn ones follow them."""


def export(
    files: RunDirectory,
    model: Model,
    test: FloatArray,
    board: Board,
    metrics: Mapping[str, Any],
    *,
    target: Path | None = None,
) -> dict[str, Any]:
    """Write the bundle of a run; the entries that it adds to `metrics.json`.

    Args:
        files: of the run.
        model: what goes into the bundle.
        test: raw test windows [N, T, S], some of which become the golden ones.
        board: of the run.
        metrics: of the run, for the bundle's README.
        target: another folder than the run's `bundle/`.

    Raises:
        MicronasError: as `write_bundle`.
    """
    windows = test[spread_out(len(test))]
    about = write_bundle(target or files.bundle, model, windows, board, _readme_rows(metrics))
    names = ("flash_bytes", "ram_bytes", "arena_bytes", "constant_bytes", "compiler", "not_linked")
    return {"bundle": {name: about[name] for name in names}, "tflm": about["tflm"]}


def _readme_rows(metrics: Mapping[str, Any]) -> dict[str, str]:
    latency = metrics["latency_ms"]
    return {
        "accuracy on the test part, int8": f"{metrics['int8']['accuracy']:.2%}",
        "macro-F1 on the test part, int8": f"{metrics['int8']['macro_f1']:.2%}",
        "accuracy on the test part, float": f"{metrics['float']['accuracy']:.2%}",
        f"predicted latency ({latency['runtime']} on {metrics['board']})": f"{latency['value']:.2f} ms "
        f"± {latency['rel_error']:.1%}, {latency['source']}",
        "multiply-accumulates": f"{metrics['macs']:,}",
    }


def model_of(name: str, flatbuffer: bytes, standardisation: Standardisation, about: Windows) -> Model:
    """What a bundle is made of, with the names and the rate of these windows."""
    return Model(name, flatbuffer, standardisation, about.class_names, about.channel_names, about.sampling_rate_hz)


def with_told_rate(files: RunDirectory, model: Model) -> Model:
    """The model at the rate of the bundle that is there, if of the same model: `export --rate` may have told it."""
    with suppress(RunError):  # a damaged bundle is written anew
        about = _kept_about(files, model.sha256)
        if about and about["sampling_hz"] is not None:
            return replace(model, sampling_hz=about["sampling_hz"])
    return model


def _kept_about(files: RunDirectory, model_sha256: str) -> dict[str, Any] | None:
    """`bundle.json` of the bundle that is there, if it is of this model."""
    if not (files.bundle / "bundle.json").is_file():
        return None
    about: dict[str, Any] = read_json(files.bundle / "bundle.json")
    return about if about["model_sha256"] == model_sha256 else None


def export_run(directory: Path, *, target: Path | None = None, sampling_hz: float | None = None) -> dict[str, Any]:
    """`micronas-tf export`: write the bundle of a finished run anew, and its figures into `metrics.json`.

    The golden windows are those of the bundle that is there, of this model; else the data are read again.

    Args:
        directory: of the run.
        target: another folder than the run's `bundle/`, a bundle's, an empty one or a new one; `metrics.json` stays as
            it is.
        sampling_hz: samples a second, where the data do not say it.

    Raises:
        RunError: no finished run, its data cannot be found, or `target` holds something else.
        MicronasError: as `export`.
    """
    files = RunDirectory(directory)
    if target is not None:
        _check_target(target)
    flatbuffer = _read(files.flatbuffer)
    if not files.metrics.exists():
        raise _unfinished(files.metrics, "there is no such file")
    metrics = read_json(files.metrics)
    standardisation = Standardisation.from_json(read_json(files.standardisation))
    model, windows = _kept_parts(files, flatbuffer, standardisation) or _read_parts(files, flatbuffer, standardisation)
    if sampling_hz is not None:
        model = replace(model, sampling_hz=sampling_hz)
    board = load_board(_settings(files)["board"])
    added = export(files, model, windows, board, metrics, target=target)
    if target is None:
        write_json(files.metrics, {**metrics, **added})
    return {"directory": str(target or files.bundle), **added}


def _check_target(target: Path) -> None:
    """A bundle replaces a bundle, and nothing else."""
    if target.is_dir():
        replaceable = (target / "bundle.json").is_file() or not any(target.iterdir())
    else:
        replaceable = not target.exists()
    if not replaceable:
        raise RunError(f"{target} holds something else than a bundle, and would be replaced. Choose another --out.")


def _settings(files: RunDirectory) -> dict[str, Any]:
    """What the run was started with; entries that older versions did not write have their default."""
    record = read_json(files.run)
    if not isinstance(record, dict) or "board" not in record.get("settings", {}):
        raise RunError(f"{files.run} names no board: is {files.path} the folder of a run? Start a new run.")
    return {"runtime": "tflm", "budget": {}, "seed": 0, **record["settings"]}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unfinished(path, str(error.strerror)) from error


def _unfinished(path: Path, reason: str) -> RunError:
    remedy = f"Is {path.parent} the folder of a run?"
    if RunDirectory(path.parent).run.exists():
        remedy = f"A bundle is written of a finished run; go on with it by `{resume_command(path.parent)}`."
    return RunError(f"{path} cannot be read: {reason}. {remedy}")


def _kept_parts(
    files: RunDirectory, flatbuffer: bytes, standardisation: Standardisation
) -> tuple[Model, FloatArray] | None:
    """From the bundle that is there, if it is of this model."""
    about = _kept_about(files, Model("", flatbuffer, standardisation, ()).sha256)
    if about is None:
        return None
    names = (tuple(about["class_names"]), tuple(about["channel_names"]), about["sampling_hz"])
    model = Model(about["name"], flatbuffer, standardisation, *names)
    return model, Golden.load(files.bundle / "golden.npz").windows


def _read_parts(files: RunDirectory, flatbuffer: bytes, standardisation: Standardisation) -> tuple[Model, FloatArray]:
    """From the data of the run."""
    record = read_json(files.run)
    if record.get("source") == ARRAYS:
        raise RunError(
            f"{files.path} is a run on arrays without a bundle: only you have its windows. Go on with it by "
            f"`{resume_command(files.path)}`."
        )
    about = {name: record[name] for name in ("source", "window", "hop", "test_fraction")}
    dataset = load_dataset(**about, seed=_settings(files)["seed"])
    if dataset.sha256 != record["data"]["sha256"]:
        raise RunError(f"{about['source']} has changed since the run was started. Bring the old file back.")
    return model_of(dataset.name, flatbuffer, standardisation, dataset.test), dataset.test.x


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is verified.

    Attributes:
        bundle: folder.
        about: its `bundle.json`.
        flatbuffer, standardisation: what is in it.
        report: where `verify.json` goes; None: nowhere.
        limit_ms: of the latency, where it was declared for the bundle.
    """

    bundle: Path
    about: Mapping[str, Any]
    flatbuffer: bytes
    standardisation: Standardisation
    report: Path | None
    board_id: str | None = None
    limit_ms: float | None = None


def verify(
    path: Path,
    board_id: str | None = None,
    *,
    port: str | None = None,
    windows: int | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """`micronas-tf verify`: the bundle on a board, or an emulated one; a run keeps the result as `verify.json`.

    Args:
        path: folder of a run, or an int8 .tflite file from anywhere.
        board_id: where to run it; the run's own board when None.
        port: serial port of a real board; the only Nucleo's when None.
        windows: how many; all the golden ones, and at least 200, when None. Where there are fewer golden windows,
            drawn ones follow them.
        progress: hears of the stages `building` and `proving`.

    Raises:
        ModelError: the model holds operators that are not known.
        BoardError, DeviceError: no such board, or it fails.
        RunError: no finished run.
    """
    with _subject(path, board_id) as subject:
        board = load_board(board_id or subject.board_id or "")
        if (classes := len(subject.about["class_names"])) > MOST_CLASSES:
            raise DeviceError(
                f"A reply of the firmware holds the scores of {MOST_CLASSES} classes. Received: {classes}. Take the "
                "bundle's own selftest.c onto the board instead (docs/bundle.md)."
            )
        golden, drawn = _windows(subject, windows)
        progress("building", 0, 1, {})
        with bundle_bench(board, subject.bundle, port) as bench:
            progress("building", 1, 1, {})
            proof = prove(bench, subject.about["id"], golden.windows, golden.inputs, golden.scores, progress=progress)
        found = _to_json(subject, board, proof, drawn)
        if subject.report is not None:
            write_json(subject.report, found)
        return found


def _windows(subject: _Subject, count: int | None) -> tuple[Golden, int]:
    """Those to run, and how many of them are drawn."""
    golden = Golden.load(subject.bundle / "golden.npz")
    kept = golden.subset(spread_out(len(golden.windows), count or len(golden.windows)))
    drawn = 0 if subject.report else len(kept.windows)
    missing = (count or LEAST_WINDOWS) - len(golden.windows)
    if missing <= 0:
        return kept, drawn
    # Seed 0 has drawn those of a model that comes without data.
    raw = subject.standardisation.undo(drawn_windows(subject.flatbuffer, missing, seed=1))
    return kept.followed_by(make_golden(subject.flatbuffer, subject.standardisation, raw)), drawn + missing


@contextmanager
def _subject(path: Path, board_id: str | None) -> Iterator[_Subject]:
    if path.suffix == ".tflite":
        with tempfile.TemporaryDirectory() as folder:
            yield _bare_model(path, Path(folder) / "bundle", board_id)
        return
    if path.is_file():
        raise RunError(f"{path} is no .tflite file. Give one, or the folder of a run.")
    files = RunDirectory(path)
    flatbuffer = _read(files.flatbuffer)
    if not (files.bundle / "bundle.json").is_file():
        export_run(path)
    about = read_json(files.bundle / "bundle.json")
    standardisation = Standardisation.from_json(read_json(files.standardisation))
    if about["model_sha256"] != Model("", flatbuffer, standardisation, ()).sha256:
        raise RunError(f"{files.bundle} is of another model than {files.flatbuffer}. Run `{command('export', path)}`.")
    check_same_kernels(files.bundle)
    settings = _settings(files)
    limit = settings["budget"].get("latency_ms") if settings["runtime"] == "bundle" else None
    yield _Subject(files.bundle, about, flatbuffer, standardisation, files.verify, settings["board"], limit)


def _bare_model(path: Path, bundle: Path, board_id: str | None) -> _Subject:
    """A model without data: its windows are drawn, its standardisation does nothing."""
    if board_id is None:
        raise RunError("A .tflite file names no board. Give one by --board.")
    board = load_board(board_id)
    check_has_firmware(board)
    try:
        flatbuffer = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{path} cannot be read: {error.strerror}. Give a .tflite file, or the folder of a run."
        ) from error
    network = network_from_flatbuffer(flatbuffer)
    sensors, classes = network.input_shape[1], int(np.prod(network.output_shape))
    names = tuple(f"class {index}" for index in range(classes))
    standardisation = Standardisation(np.zeros(sensors, np.float32), np.ones(sensors, np.float32), limit=1e30)
    windows = drawn_windows(flatbuffer, LEAST_WINDOWS, seed=0)
    about = write_bundle(bundle, Model(path.stem, flatbuffer, standardisation, names), windows, board)
    return _Subject(bundle, about, flatbuffer, standardisation, None)


def _to_json(subject: _Subject, board: Board, proof: Proof, drawn: int) -> dict[str, Any]:
    about = subject.about
    network = Network.from_json(about["network"])
    predicted, source = _predicted(network, board)
    measured_ms = board.milliseconds(proof.cycles)
    limit = subject.limit_ms if board.stands_for(about["board"]) else None
    return {
        "schema": VERIFY_SCHEMA,
        "board": board.id,
        "runtime": "bundle",
        "device": proof.device,
        "model_sha256": about["model_sha256"],
        "windows": proof.windows,
        "drawn_windows": drawn,
        "reference": about["golden"]["reference"],
        "bit_exact": proof.difference is None,
        "first_difference": difference_json(proof.difference),
        "latency_ms": {
            "predicted": None if predicted is None else predicted.latency_ms,
            "rel_error": None if predicted is None else predicted.rel_error,
            "source": source,
            "measured": measured_ms,
            "input_measured": board.milliseconds(proof.input_cycles),
            "limit": limit,
        },
        "within_budget": limit is None or measured_ms <= limit,
        "operators": _operators(network, predicted, proof),
        "arena": {"planned_bytes": about["arena_bytes"], "high_water_bytes": proof.high_water_bytes},
        "bundle": {name: about[name] for name in ("flash_bytes", "ram_bytes")},
        "tflm": dict(about["tflm"]),
    }


def _predicted(network: Network, board: Board) -> tuple[NetworkLatency | None, str]:
    """By the source of the bundle's kernels on this board, where there is one; else why there is none."""
    try:
        latency = network_latency(network, latency_source("auto", board, "bundle"), board)
    except CostError as error:
        return None, f"none: {error}"
    return latency, latency.source


def _operators(network: Network, predicted: NetworkLatency | None, proof: Proof) -> list[dict[str, Any]]:
    nodes = network.to_json()["nodes"]
    own = ("name", "inputs", "output")
    return [
        {
            "index": index,
            "name": node["name"],
            "op": {name: value for name, value in node.items() if name not in own},
            "predicted_cycles": None if predicted is None else predicted.estimates[index].cycles,
            "measured_cycles": cycles,
        }
        for index, (node, cycles) in enumerate(zip(nodes, proof.operator_cycles, strict=True))
    ]


def disproved(found: Mapping[str, Any]) -> BudgetError | None:
    """Why a verification does not hold; None if it does."""
    if not found["bit_exact"]:
        first = found["first_difference"]
        return BudgetError(
            f"{found['board']} does not compute what the model does: window {first['window']}, {first['what']}, "
            f"class {first['index']}: expected {first['expected']}, received {first['received']}. Please report this."
        )
    arena = found["arena"]
    if arena["high_water_bytes"] != arena["planned_bytes"]:
        return BudgetError(
            f"The arena must be used up to {arena['planned_bytes']} B as planned. Received: "
            f"{arena['high_water_bytes']} B. Please report this."
        )
    if not found["within_budget"]:
        latency = found["latency_ms"]
        return BudgetError(
            f"The latency limit is {latency['limit']:g} ms. On {found['board']} it takes {latency['measured']:.2f} ms. "
            "Characterise it and search again with its table, or with a lower limit."
        )
    return None
