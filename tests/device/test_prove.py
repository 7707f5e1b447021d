"""Golden windows on a board: the firmware's own code as a program of this machine, and on emulated cores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.deploy.models import in_a_row, model_of, raw_windows, searched_network
from tests.firmware.images import require_tools

from micronas_tf.boards import load_board
from micronas_tf.deploy import Golden, write_bundle
from micronas_tf.device import (
    MACHINES,
    Bench,
    Difference,
    Preload,
    Proof,
    RefusedError,
    WrongFirmwareError,
    bundle_bench,
    check_same_kernels,
    prove,
)
from micronas_tf.errors import DeviceError
from micronas_tf.ops import OpSpec

from .bundle_board import bench_of, build_board

WINDOWS = 12


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = searched_network(16, 2, 3, seed=0)
    model, target = model_of(network), tmp_path_factory.mktemp("prove") / "bundle"
    write_bundle(target, model, raw_windows(model, network, WINDOWS), load_board("nucleo_f446re"))
    return target


@pytest.fixture(scope="module")
def bench(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_of(build_board(bundle, tmp_path_factory.mktemp("board") / "board"))


@pytest.fixture
def golden(bundle: Path) -> Golden:
    return Golden.load(bundle / "golden.npz")


def about(bundle: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((bundle / "bundle.json").read_text())
    return found


def proof_of(bench: Bench, bundle: Path, golden: Golden) -> Proof:
    return prove(bench, str(about(bundle)["id"]), golden.windows, golden.inputs, golden.scores)


def test_windows_sent_over_the_serial_line(bench: Bench, bundle: Path, golden: Golden) -> None:
    proof = proof_of(bench, bundle, golden)
    assert proof.difference is None
    assert proof.windows == WINDOWS
    assert proof.high_water_bytes == proof.planned_bytes == about(bundle)["arena_bytes"]
    network = about(bundle)["network"]
    assert isinstance(network, dict)
    assert len(proof.operator_cycles) == len(network["nodes"])
    assert min(proof.operator_cycles) > 0


@pytest.mark.parametrize("number", [0, 7, WINDOWS - 1])
def test_the_first_wrong_score_is_named(bench: Bench, bundle: Path, golden: Golden, number: int) -> None:
    scores = golden.scores.copy()
    scores[number:, 1] ^= 1
    found = proof_of(bench, bundle, replace(golden, scores=scores)).difference
    right = int(golden.scores[number, 1])
    assert found == Difference(number, "model_predict", 1, right ^ 1, right)


def test_a_wrong_input_is_named(bench: Bench, bundle: Path, golden: Golden) -> None:
    inputs = golden.inputs.copy()
    inputs[3, -1, -1] ^= 1
    found = proof_of(bench, bundle, replace(golden, inputs=inputs)).difference
    assert found is not None
    assert (found.window, found.what) == (3, "input")
    assert found.expected != found.received


def test_another_model_on_the_board_is_refused(bench: Bench, golden: Golden) -> None:
    with pytest.raises(WrongFirmwareError, match=r"must hold the model .*0123"):
        prove(bench, "0123", golden.windows, golden.inputs, golden.scores)


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("WINDOW at=128 AAAA", "syntax"),
        ("WINDOW at=126 AAAAAAAA", "syntax"),
        ("WINDOW at=0 A=", "syntax"),
        ("WINDOW at=-1 AAAA", "syntax"),
        ("WINDOW", "syntax"),
        ("FETCH window=0", "ram"),
        ("FETCH", "syntax"),
        ("PREDICT", "syntax"),
        ("PREDICT seed=1 ", "syntax"),
        ("TRACE first=0 n=33", "syntax"),
        ("TRACE first=0 n=32", "syntax"),
        ("TRACE first=99 n=1", "syntax"),
        ("MODEL 1", "syntax"),
    ],
)
def test_what_makes_no_sense_is_refused(bench: Bench, request_text: str, code: str) -> None:
    with bench.connect() as link:
        link.connect()
        with pytest.raises(RefusedError) as refused:
            link.ask(request_text)
        assert refused.value.code == code
        assert link.ask("MODEL")["values"] == "32"


def test_a_changed_kernel_is_no_proof(bundle: Path, tmp_path: Path) -> None:
    check_same_kernels(bundle)
    for folder in ("kernels", "include/micronas"):
        (tmp_path / folder).mkdir(parents=True)
        for path in (bundle / folder).iterdir():
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    check_same_kernels(tmp_path)
    changed = tmp_path / "kernels/add.c"
    changed.write_bytes(changed.read_bytes() + b"\n")
    with pytest.raises(DeviceError, match=r"others in add\.c\. Export the run again"):
        check_same_kernels(tmp_path)


@pytest.mark.parametrize("board_id", MACHINES)
def test_emulated_cores(board_id: str, bundle: Path, golden: Golden) -> None:
    require_tools()
    board = load_board(board_id)
    with bundle_bench(board, bundle) as bench:
        proof = proof_of(bench, bundle, golden)
        streamed = proof_of(replace(bench, preload=None), bundle, Golden(*(a[:2] for a in parts(golden))))
    for found in (proof, streamed):
        assert found.difference is None
        assert found.high_water_bytes == found.planned_bytes == about(bundle)["arena_bytes"]
    # Around the operators: a copy of the window and the choice of the best score; around each, when timed, the counter.
    assert sum(proof.operator_cycles) == pytest.approx(proof.cycles, rel=0.05)
    assert proof.device.startswith("emulated: ")
    assert proof.input_cycles > 16 * 2 * 5


def test_an_arena_that_nearly_fills_the_board(tmp_path: Path) -> None:
    """What is left of 128 KiB beside 85 KiB of arena, the stack and the protocol holds a window, and that is enough."""
    require_tools()
    network = in_a_row(
        OpSpec("conv2d", ((256, 9, 1),), (128, 9, 73), (3, 1), (2, 1), activation="relu"),
        OpSpec("mean", ((128, 9, 73),), (1, 1, 73)),
        OpSpec("fully_connected", ((1, 1, 73),), (1, 1, 3)),
        OpSpec("softmax", ((1, 1, 3),), (1, 1, 3)),
    )
    model, board = model_of(network), load_board("qemu_cortex_m4")
    write_bundle(tmp_path / "bundle", model, raw_windows(model, network, 2), board)
    golden = Golden.load(tmp_path / "bundle/golden.npz")
    with bundle_bench(board, tmp_path / "bundle") as bench:
        proof = proof_of(bench, tmp_path / "bundle", golden)
    assert proof.difference is None
    assert proof.high_water_bytes == proof.planned_bytes > 84_000


def parts(golden: Golden) -> tuple[np.ndarray, ...]:
    return golden.windows, golden.inputs, golden.scores


def test_windows_too_large_for_the_emulated_board(bench: Bench, bundle: Path, golden: Golden) -> None:
    small = replace(bench, preload=Preload(100, lambda file: bench.connect()))
    with pytest.raises(DeviceError, match="takes windows of 100 B at most"):
        proof_of(small, bundle, golden)
