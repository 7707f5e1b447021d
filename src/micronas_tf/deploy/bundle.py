"""The bundle: a small C library of one model, complete or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any, Final

from micronas_tf.boards import DEFAULT_BOARD, Board, board_ids, load_board
from micronas_tf.cost import ArenaPlan, arena_bytes, plan_arena, tensor_buffers
from micronas_tf.datasets import Standardisation
from micronas_tf.deploy.elf import NO_FPU, Linked, link
from micronas_tf.deploy.golden import Golden, make_golden, reference_of
from micronas_tf.deploy.operators import Program, program_of
from micronas_tf.deploy.pack import LAYOUTS, Add, Conv2d, Packed
from micronas_tf.deploy.sources import ModelText, filled, header, source
from micronas_tf.deploy.tflm import tflm_files
from micronas_tf.errors import ModelError
from micronas_tf.files import replacing
from micronas_tf.ops import MOST_EXTENT, OpKind
from micronas_tf.quantize.runtimes import FloatArray, input_affine, output_affine

BUNDLE_SCHEMA: Final = 1

_CONVOLUTION: Final = ("portable/conv2d.c", "portable/conv2d_paired.c", "portable/conv2d_single.c")
_KERNELS: Final[Mapping[OpKind, tuple[str, ...]]] = {
    "conv2d": _CONVOLUTION,
    "depthwise_conv2d": ("portable/depthwise_conv2d.c",),
    "add": ("portable/add.c", *_CONVOLUTION),  # shares the clamp of finished outputs
    "mean": ("shared/mean.c",),
    "average_pool2d": ("portable/pool.c",),
    "max_pool2d": ("portable/pool.c",),
    "fully_connected": _CONVOLUTION,
    "softmax": ("portable/softmax.c",),
}
_KERNEL_HEADERS: Final = ("portable/conv2d.h", "portable/paired_step.h", "shared/dsp.h", "shared/fixed_point.h")
_PUBLIC_HEADERS: Final = ("kernels.h", "pack.h")
_BUILT: Final = ("build", ".pio")
"""Folders of what compilers make of a bundle."""

_PIO_BOARDS: Final = ("nucleo_f446re", "nucleo_l552ze_q")


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What a bundle is made of.

    Attributes:
        name: for people, for example the run's.
        flatbuffer: the int8 model.
        standardisation: of raw windows.
        class_names: in the order of the scores.
        channel_names: in the order of a sample's values; may be empty.
        sampling_hz: samples a second, None where unknown.
    """

    name: str
    flatbuffer: bytes
    standardisation: Standardisation
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...] = ()
    sampling_hz: float | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.flatbuffer).hexdigest()


def write_bundle(
    target: Path, model: Model, windows: FloatArray, board: Board, figures: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Write the folder `target`; the bundle that stood there is replaced when the new one is complete.

    What somebody has put beside its files and folders stays, but for `build/` and `.pio/`.

    Args:
        target: folder.
        model: what to write.
        windows: raw, float32 [N, T, S]: the golden ones.
        board: whose core is linked for, and whose environment the PlatformIO project gets.
        figures: name → value, further rows of the README.

    Returns:
        The content of `bundle.json`.

    Raises:
        ModelError: unknown operators, or parts that do not fit together.
        RunError: the folder cannot be written.
    """
    program = program_of(model.flatbuffer)
    _check(model, program)
    plan = plan_arena(tensor_buffers(program.network))
    golden = make_golden(model.flatbuffer, model.standardisation, windows)
    with replacing(target) as folder:
        for name, content in _sources(model, program, plan, golden, board).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        linked = link(folder, board.cpu)
        about = _about(model, program, plan, golden, board=board, linked=linked)
        written = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        about["files"] = sorted([*written, "README.md", "bundle.json"])
        (folder / "bundle.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(_readme(model, about, board, figures or {}), encoding="utf-8")
        _carry_over(target, folder)
    return about


def _carry_over(old: Path, new: Path) -> None:
    """Take along what the old bundle's folder holds that no bundle wrote; nothing if it does not say what it wrote.

    In the bundle's own folders, and in those of compilers, nothing is kept: what stands there belongs to the old model.
    """
    try:
        own = json.loads((old / "bundle.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    closed = {name.split("/")[0] for name in own if "/" in name} | set(_BUILT)
    for path in sorted(old.rglob("*")):
        place = path.relative_to(old)
        target = new / place
        if place.parts[0] in closed or place.as_posix() in own or os.path.lexists(target):
            continue
        if path.is_dir() and not path.is_symlink():
            target.mkdir()
        else:
            shutil.copy2(path, target, follow_symlinks=False)


def _check(model: Model, program: Program) -> None:
    _, sensors, filters = program.network.input_shape
    classes = prod(program.network.output_shape)
    given = (len(model.standardisation.mean), 1, len(model.class_names))
    if given != (sensors, filters, classes):
        raise ModelError(
            f"The model reads {sensors} channels and {filters} filter(s) and scores {classes} classes. "
            f"Received: a standardisation of {given[0]} channels and {given[2]} class names; a bundle reads 1 filter."
        )
    # All inputs of a fully connected operator are the filters of one position.
    flat = [prod(node.op.inputs[0]) for node in program.network.nodes if node.op.kind == "fully_connected"]
    largest = max(*(extent for shape in program.network.tensors for extent in shape), *flat)
    if largest > MOST_EXTENT:
        raise ModelError(
            f"The kernels of a bundle count to {MOST_EXTENT:,} along an axis, or over the inputs of a fully connected "
            f"operator. Received: {largest:,}. Use shorter windows."
        )


def _sources(model: Model, program: Program, plan: ArenaPlan, golden: Golden, board: Board) -> dict[str, str | bytes]:
    """Every file but `bundle.json` and the README, by its place in the bundle."""
    text = ModelText(
        name=model.name,
        id=model.sha256[:16],
        class_names=model.class_names,
        mean=tuple(model.standardisation.mean.tolist()),
        std=tuple(model.standardisation.std.tolist()),
        limit=model.standardisation.limit,
        input=input_affine(model.flatbuffer),
        output=output_affine(model.flatbuffer),
        sampling_hz=model.sampling_hz,
    )
    kernels = kernel_files(program)
    names = " ".join(sorted(name for name in kernels if name.endswith(".c")))
    environments = "".join(
        f"\n[env:{name}]\nplatform = ststm32\nboard = {name}\nframework = cmsis\n"
        for name in (board.emulates or board.id,)
        if name in _PIO_BOARDS
    )
    return {
        "model.h": header(program, plan, text),
        "model.c": source(program, plan, text),
        **kernels,
        "golden.npz": golden.to_npz(),
        "golden.h": golden.header(),
        "selftest.c": filled("selftest.c"),
        "CMakeLists.txt": filled("CMakeLists.txt", kernels=names, cpu=board.cpu),
        "arm-none-eabi.cmake": filled("arm-none-eabi.cmake", cpu=board.cpu, no_fpu=NO_FPU),
        "platformio.ini": filled("platformio.ini", boards=environments),
        "library.json": filled("library.json"),
        **{f"tflm/{name}": content for name, content in tflm_files(model.flatbuffer, program.network).items()},
    }


def kernel_files(program: Program) -> dict[str, bytes]:
    """The firmware's sources that this model needs, by their place in the bundle."""
    firmware = files("micronas_tf") / "firmware"
    needed = sorted({name for node in program.network.nodes for name in _KERNELS[node.op.kind]})
    found = {f"kernels/{Path(name).name}": firmware / "src/kernels" / name for name in (*needed, *_KERNEL_HEADERS)}
    found |= {f"include/micronas/{name}": firmware / "include/micronas" / name for name in _PUBLIC_HEADERS}
    return {name: path.read_bytes() for name, path in found.items()}


def _about(
    model: Model, program: Program, plan: ArenaPlan, golden: Golden, *, board: Board, linked: Linked
) -> dict[str, Any]:
    network = program.network
    return {
        "schema": BUNDLE_SCHEMA,
        "id": model.sha256[:16],
        "name": model.name,
        "model_sha256": model.sha256,
        "board": board.id,
        "cpu": board.cpu,
        "class_names": list(model.class_names),
        "channel_names": list(model.channel_names),
        "sampling_hz": model.sampling_hz,
        "arena_bytes": plan.total_bytes,
        "tensor_offsets": list(plan.offsets),
        "constant_bytes": sum(_constant_bytes(op) for op in program.operators),
        **asdict(linked),
        "tflm": {"flash_bytes": len(model.flatbuffer), "arena_bytes": arena_bytes(network)},
        "golden": {"windows": len(golden.windows), "reference": reference_of(model.flatbuffer)},
        "paths": [_path(op) for op in program.operators],
        "network": network.to_json(),
    }


def _constant_bytes(op: Packed) -> int:
    """Weights and channels; the few bytes of each operator's own struct are not counted."""
    return len(op.weights) + op.channels.nbytes if isinstance(op, Conv2d) else 0


def _path(op: Packed) -> str:
    """Which way through its kernel an operator takes; the slow ones are exceptions worth seeing."""
    if isinstance(op, Conv2d):
        return LAYOUTS[op.layout].removeprefix("MN_").lower()
    if isinstance(op, Add):
        return "fast" if op.fast else "exact"
    return "only"


def _readme(model: Model, about: Mapping[str, Any], board: Board, figures: Mapping[str, str]) -> str:
    linked = about["not_linked"] is None
    window, sensors, _ = about["network"]["input_shape"]
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    return filled(
        "README.md",
        name=model.name,
        board=_proved_on(board),
        board_name=board.name,
        window=window,
        sensors=sensors,
        classes=len(model.class_names),
        class_names=", ".join(model.class_names),
        channels=", ".join(model.channel_names) or "as in the training data",
        arena_bytes=f"{about['arena_bytes']:,}",
        bundle_flash=(
            f"{about['flash_bytes']:,} B linked, code and weights" if linked else f"not linked: {about['not_linked']}"
        ),
        bundle_ram=f"{about['ram_bytes']:,} B linked, and the stack" if linked else f"{about['arena_bytes']:,} B",
        tflm_flash=f"{about['tflm']['flash_bytes']:,}",
        tflm_arena=f"{about['tflm']['arena_bytes']:,}",
        golden=about["golden"]["windows"],
        figures=f"| figure | |\n|---|---|\n{rows}" if rows else "",
    )


def _proved_on(board: Board) -> str:
    """Id to name for `verify`: the board's own, or, where there is no firmware for it, that of an emulated one.

    It has the same core if there is one; else that of the default board does. A board that only its owner's file knows
    is found by no id.
    """
    if board.firmware and board.id in board_ids():
        return board.id
    emulated = [known for known in map(load_board, board_ids()) if known.emulated]
    return min(emulated, key=lambda known: (known.cpu != board.cpu, known.emulates != DEFAULT_BOARD)).id
