"""The library of a model, compiled on this machine, against TFLite's reference kernels: every score of every window."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tests.firmware.images import require_tools

from micronas_tf.boards import Board, load_board
from micronas_tf.cost import arena_bytes
from micronas_tf.deploy import Golden, Model, drawn_windows, elf, program_of, spread_out, write_bundle
from micronas_tf.deploy.pack import Add, Conv2d, Softmax
from micronas_tf.deploy.sources import float_literal, string_literal
from micronas_tf.device import check_has_firmware
from micronas_tf.errors import ModelError, RunError
from micronas_tf.models.flatbuffer import read_flatbuffer
from micronas_tf.ops import Network, OpSpec
from micronas_tf.quantize.runtimes import input_affine, predict_litert, predict_tflm

from .models import build_driver, foreign_network, in_a_row, model_of, raw_windows, run_driver, searched_network

BOARD = load_board("nucleo_f446re")
NETWORKS: dict[str, Callable[[], Network]] = {
    "two sensors": lambda: searched_network(16, 2, 3, seed=0),
    "six sensors": lambda: searched_network(24, 6, 5, seed=3),
    "foreign": foreign_network,
}

Case = tuple[Network, Model, Path]


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    network = NETWORKS[request.param]()
    model, target = model_of(network), tmp_path_factory.mktemp("case") / "bundle"
    write_bundle(target, model, raw_windows(model, network, 6), BOARD)
    return network, model, target


def test_every_score_of_220_windows_is_the_references(case: Case, tmp_path: Path) -> None:
    """LiteRT rounds a fully connected operator once on x86, TFLM twice: there TFLM is the reference."""
    network, model, bundle = case
    windows = raw_windows(model, network, 220)
    program = build_driver(bundle, tmp_path / "driver")
    inputs, scores = run_driver(program, windows, network.output_shape[2])
    standard = model.standardisation.apply(windows)[..., None]
    np.testing.assert_array_equal(inputs, input_affine(model.flatbuffer).quantise(standard)[..., 0])
    foreign = any(node.op.kind == "fully_connected" for node in network.nodes)
    reference = predict_tflm if foreign else predict_litert
    np.testing.assert_array_equal(scores, reference(model.flatbuffer, standard))
    assert len(np.unique(scores, axis=0)) > 20


def test_bundle_json_states_the_plan_and_the_operators(case: Case) -> None:
    network, model, bundle = case
    about = json.loads((bundle / "bundle.json").read_text())
    assert about["arena_bytes"] == arena_bytes(network, "bundle")
    assert about["tflm"] == {"flash_bytes": len(model.flatbuffer), "arena_bytes": arena_bytes(network)}
    assert [len(about["network"]["nodes"])] * 2 == [len(about["paths"]), len(network.nodes)]
    header = (bundle / "model.h").read_text()
    assert f"MODEL_ARENA_BYTES = {about['arena_bytes']}" in header
    assert "#define MODEL_SAMPLING_HZ 50.0f" in header
    assert f'#define MODEL_ID "{about["id"]}"' in header


def test_the_library_alone_is_as_large_as_its_parts(case: Case) -> None:
    _, _, bundle = case
    about = json.loads((bundle / "bundle.json").read_text())
    if about["flash_bytes"] is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    assert about["ram_bytes"] == about["arena_bytes"]
    # The kernels of these models are 3 to 8 KB of code; operators and names are a few hundred bytes.
    assert 2_000 < about["flash_bytes"] - about["constant_bytes"] < 12_000


def test_golden_vectors(case: Case) -> None:
    network, model, bundle = case
    golden = Golden.load(bundle / "golden.npz")
    np.testing.assert_array_equal(golden.windows, raw_windows(model, network, 6))
    assert (golden.inputs.shape, golden.scores.shape) == (golden.windows.shape, (6, network.output_shape[2]))
    text = (bundle / "golden.h").read_text()
    assert "GOLDEN_WINDOWS = 4" in text
    for value in golden.windows[3].reshape(-1).tolist():
        assert float_literal(value) in text


def test_cmake_builds_the_library_and_the_selftest_passes(case: Case, tmp_path: Path) -> None:
    require_tools("cmake", "cc")
    _, _, bundle = case
    for arguments in (("-S", str(bundle), "-B", str(tmp_path)), ("--build", str(tmp_path))):
        subprocess.run(["cmake", *arguments], check=True, capture_output=True)
    assert subprocess.run([tmp_path / "selftest"], check=False).returncode == 0


def test_cmake_builds_for_a_cortex_m(case: Case, tmp_path: Path) -> None:
    require_tools("cmake", elf.COMPILER)
    _, _, bundle = case
    options = ("-DCMAKE_TOOLCHAIN_FILE=arm-none-eabi.cmake", "-DMICRONAS_CPU=cortex-m33")
    for arguments in (("-S", str(bundle), "-B", str(tmp_path), *options), ("--build", str(tmp_path))):
        subprocess.run(["cmake", *arguments], check=True, capture_output=True)
    assert (tmp_path / "libmicronas_model.a").is_file()


def test_the_selftest_sees_a_wrong_weight(case: Case, tmp_path: Path) -> None:
    """A test that cannot fail proves nothing."""
    _, _, bundle = case
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    source = (copy / "model.c").read_text()
    start = source.index("channels0[] = {\n    {") + len("channels0[] = {\n    {")
    end = source.index(",", start)
    (copy / "model.c").write_text(f"{source[:start]}{int(source[start:end]) ^ 0x40000}{source[end:]}")
    files = ["selftest.c", "model.c", *(f"kernels/{path.name}" for path in (copy / "kernels").glob("*.c"))]
    command = ["cc", "-std=c11", "-O1", "-I.", "-Iinclude", "-Ikernels", *files, "-o", "selftest"]
    subprocess.run(command, cwd=copy, check=True)
    assert subprocess.run([copy / "selftest"], check=False).returncode > 0


def test_the_files_for_tflm(case: Case) -> None:
    network, model, bundle = case
    data = (bundle / "tflm/model_data.cc").read_text()
    numbers = data[data.index("{") + 1 : data.index("}")].replace("\n", " ").split(",")
    assert bytes(int(number, 16) for number in numbers if number.strip()) == model.flatbuffer
    assert "alignas(16)" in data
    header = (bundle / "tflm/model_data.h").read_text()
    assert f"kModelArenaBytes = {arena_bytes(network)};" in header
    assert f"kModelBytes = {len(model.flatbuffer)};" in header
    resolver = (bundle / "tflm/op_resolver.h").read_text()
    assert f"MicroMutableOpResolver<{resolver.count('resolver.Add')}>" in resolver
    assert "resolver.AddConv2D()" in resolver
    assert "resolver.AddSoftmax()" in resolver


def test_packed_operators_are_the_networks() -> None:
    network = searched_network(24, 6, 5, seed=3)
    program = program_of(model_of(network).flatbuffer)
    assert program.network == network
    for node, op in zip(network.nodes, program.operators, strict=True):
        assert type(op).__name__.lower() == node.op.kind
        if isinstance(op, Conv2d):
            assert (op.window.input, op.window.output) == (node.op.inputs[0], node.op.output)
        if isinstance(op, Add):
            assert op.fast
    assert isinstance(program.operators[-1], Softmax)


@pytest.fixture(scope="module")
def small() -> tuple[Network, Model]:
    network = searched_network(16, 2, 3, seed=0)
    return network, model_of(network)


def test_one_scale_for_a_dense_layer_is_multiplied_as_tflm_does() -> None:
    """`GetQuantizedConvolutionMultipler` multiplies two float32; scales of convolutions are multiplied as doubles."""
    rng = np.random.default_rng(4)
    dense = tf.constant(rng.normal(size=(8, 4)), tf.float32)
    spec = tf.TensorSpec([1, 1, 1, 8], tf.float32)
    function = tf.function(lambda x: tf.matmul(tf.reshape(x, [1, 8]), dense))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(spec)], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None, None, None]] for row in rng.normal(size=(9, 8)).astype("f4"))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    flatbuffer = bytes(converter.convert())
    scales = [np.float32(t.quantization.scale[0]) for t in read_flatbuffer(flatbuffer).subgraphs[0].tensors]
    single, double = scales[0] * scales[1], float(scales[0]) * float(scales[1])
    by_single, by_double = (round(math.frexp(float(x) / float(scales[2]))[0] * 2**31) for x in (single, double))
    assert by_single != by_double
    (operator,) = program_of(flatbuffer).operators
    assert isinstance(operator, Conv2d)
    assert operator.channels[:, 1].tolist() == [by_single] * 4


def test_more_samples_than_an_int16_counts_are_refused(tmp_path: Path) -> None:
    """In C it would be a negative number of them, and every score nonsense."""
    network = in_a_row(
        OpSpec("conv2d", ((32_770, 1, 1),), (16_385, 1, 4), (3, 1), (2, 1), activation="relu"),
        OpSpec("mean", ((16_385, 1, 4),), (1, 1, 4)),
        OpSpec("fully_connected", ((1, 1, 4),), (1, 1, 3)),
        OpSpec("softmax", ((1, 1, 3),), (1, 1, 3)),
    )
    model = model_of(network)
    with pytest.raises(ModelError, match=r"count to 32,767 along an axis.* Received: 32,770"):
        write_bundle(tmp_path / "bundle", model, raw_windows(model, network, 2), BOARD)
    assert not (tmp_path / "bundle").exists()


def test_a_failed_export_leaves_the_old_bundle(small: tuple[Network, Model], tmp_path: Path) -> None:
    network, model = small
    target, windows = tmp_path / "bundle", raw_windows(model, network, 2)
    write_bundle(target, model, windows, BOARD)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    for wrong in (replace(model, class_names=("one",)), replace(model, flatbuffer=b"nothing")):
        with pytest.raises(ModelError):
            write_bundle(target, wrong, windows, BOARD)
    with pytest.raises(ModelError, match="reads windows"):
        write_bundle(target, model, windows[:, :-1], BOARD)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [target]
    write_bundle(target, replace(model, name="second"), windows, BOARD)
    assert json.loads((target / "bundle.json").read_text())["name"] == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_two_exports_are_equal(small: tuple[Network, Model], tmp_path: Path) -> None:
    network, model = small
    for name in ("one", "two"):
        write_bundle(tmp_path / name, model, raw_windows(model, network, 2), BOARD)
    for path in (tmp_path / "one").rglob("*"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        if path.is_file() and path.suffix != ".npz":  # a zip states the time
            assert path.read_bytes() == twin.read_bytes()


def test_hostile_names_stay_text(small: tuple[Network, Model], tmp_path: Path) -> None:
    network, model = small
    names = ('a "quoted" \\ name', "*/ int x; /*", "Größe ??/ \n2")
    wrapped = replace(model, name='*/ #error "no"', class_names=names, channel_names=("*/", "|"))
    write_bundle(tmp_path / "bundle", wrapped, raw_windows(model, network, 2), BOARD)
    build_driver(tmp_path / "bundle", tmp_path / "driver")


def test_without_a_compiler_sizes_are_unknown(
    small: tuple[Network, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, model = small
    monkeypatch.setenv("PATH", "")
    about = write_bundle(tmp_path / "bundle", model, raw_windows(model, network, 2), BOARD)
    assert (about["flash_bytes"], about["ram_bytes"], about["compiler"]) == (None, None, None)
    assert "not linked: arm-none-eabi-gcc is not on PATH" in (tmp_path / "bundle/README.md").read_text()


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m23", "cortex-m33"])
def test_cores_with_and_without_a_floating_point_unit(small: tuple[Network, Model], tmp_path: Path, cpu: str) -> None:
    require_tools("cmake", elf.COMPILER)
    network, model = small
    about = write_bundle(tmp_path / "bundle", model, raw_windows(model, network, 2), replace(BOARD, cpu=cpu))
    assert about["not_linked"] is None
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={tmp_path}/bundle/arm-none-eabi.cmake"
    for command in (["-S", "bundle", "-B", "built", toolchain], ["--build", "built"]):
        done = subprocess.run(["cmake", *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("cpu", "said"), [("cortex-m4f", "for cortex-m4f says: "), ("xtensa-lx7", "has no core xtensa")]
)
def test_a_core_that_the_compiler_does_not_know(
    small: tuple[Network, Model], tmp_path: Path, cpu: str, said: str
) -> None:
    """The model is good all the same: only these figures are missing."""
    require_tools(elf.COMPILER)
    network, model = small
    about = write_bundle(tmp_path / "bundle", model, raw_windows(model, network, 2), replace(BOARD, cpu=cpu))
    assert about["flash_bytes"] is None
    assert said in about["not_linked"]


@pytest.mark.parametrize(
    ("board", "named"),
    [
        (load_board("nucleo_l552ze_q"), "nucleo_l552ze_q"),
        (load_board("qemu_cortex_m33"), "qemu_cortex_m33"),
        (load_board("nicla_sense_me"), "qemu_cortex_m4"),
        (replace(load_board("nucleo_l552ze_q"), id="my_board"), "qemu_cortex_m33"),
        (replace(load_board("nicla_sense_me"), id="my_board", cpu="cortex-m7"), "qemu_cortex_m4"),
    ],
    ids=lambda value: f"{value.id}, {value.cpu}" if isinstance(value, Board) else value,
)
def test_the_readme_names_a_board_that_can_verify(
    small: tuple[Network, Model], tmp_path: Path, board: Board, named: str
) -> None:
    """A Cortex-M7 has neither: its code is C, and any emulated core proves it."""
    network, model = small
    write_bundle(tmp_path / "bundle", model, raw_windows(model, network, 2), board)
    said = re.findall(r"`micronas-tf verify RUN --board (.*)`", (tmp_path / "bundle/README.md").read_text())
    assert said == [named]
    check_has_firmware(load_board(said[0]))


def test_drawn_windows_quantise_to_what_was_drawn(small: tuple[Network, Model]) -> None:
    _, model = small
    windows = drawn_windows(model.flatbuffer, 50, seed=0)
    values = input_affine(model.flatbuffer).quantise(windows)
    assert windows.shape == (50, 16, 2)
    assert len(np.unique(values)) > 250


@pytest.mark.parametrize(("count", "most", "expected"), [(3, 5, [0, 1, 2]), (10, 5, [0, 2, 4, 6, 8]), (1, 1, [0])])
def test_chosen_windows_are_spread_out(count: int, most: int, expected: list[int]) -> None:
    assert spread_out(count, most) == expected


def test_damaged_golden_vectors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "golden.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(RunError, match=r"golden\.npz cannot be read.*Export the run again"):
        Golden.load(tmp_path / "golden.npz")


@pytest.mark.parametrize("value", [0.0, -1.0, 1 / 3, 1e-30, 123456.789, 3.4e38, 2.0**-140])
def test_float_literals_are_exact(value: float) -> None:
    text = float_literal(value)
    assert np.float32(text.removesuffix("f")) == np.float32(value)
    assert text.endswith("f")
    assert "." in text or "e" in text


def test_string_literals_escape_everything_but_plain_ascii() -> None:
    assert string_literal('a"\\?1') == r'"a\"\\\?1"'
    assert string_literal("é1") == r'"\303\2511"'


PLATFORM = {
    "platform.json": '{"name": "this_machine", "version": "1.0.0", "title": "cc", "packages": {}}',
    "platform.py": "from platformio.public import PlatformBase\n\n\n"
    "class This_machinePlatform(PlatformBase):\n    pass\n",
    "builder/main.py": "from SCons.Script import Default, DefaultEnvironment\n\n"
    "env = DefaultEnvironment()\nDefault(env.Alias('buildprog', env.BuildProgram()))\n",
}
"""Stands for PlatformIO's `native`, which a test cannot download."""


@pytest.mark.slow
def test_platformio_builds_the_selftest(case: Case, tmp_path: Path) -> None:
    _, _, bundle = case
    project = Path(shutil.copytree(bundle, tmp_path / "project"))
    for name, text in PLATFORM.items():
        path = tmp_path / "platform" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    override = f"[env:native]\nplatform = symlink://{tmp_path / 'platform'}\n"
    (project / "platformio_override.ini").write_text(override)
    script = Path(__file__).resolve().parents[2] / "firmware_pio/scripts/offline_pio.py"
    environment = {**os.environ, "PLATFORMIO_CORE_DIR": str(tmp_path / "core")}
    command = [sys.executable, str(script), "run", "-e", "native"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert subprocess.run([project / ".pio/build/native/program"], check=False).returncode == 0
