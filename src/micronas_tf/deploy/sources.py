"""The C sources of a bundle: one constant for each packed operator, one call for each node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from importlib.resources import files
from math import prod
from string import Template
from typing import Any, Final

import numpy as np

from micronas_tf.cost import ArenaPlan
from micronas_tf.deploy.operators import Program
from micronas_tf.deploy.pack import LAYOUTS, Conv2d, Packed, Window
from micronas_tf.ops import Node
from micronas_tf.quantize.runtimes import Affine

_COLUMN: Final = 116


@dataclass(frozen=True, slots=True)
class ModelText:
    """What the sources say besides the operators.

    Attributes:
        name: for people.
        id: of the flatbuffer.
        class_names: in the order of the scores.
        mean, std: of each channel, in its unit; float32.
        limit: that standardised values are clipped to.
        input, output: scales of the quantised window and of the scores.
        sampling_hz: samples a second, None where unknown.
    """

    name: str
    id: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    limit: float
    input: Affine
    output: Affine
    sampling_hz: float | None


def filled(template: str, /, **values: object) -> str:
    """A template of this room with its places filled."""
    text = (files("micronas_tf") / "deploy" / "templates" / template).read_text(encoding="utf-8")
    return Template(text).substitute({key: str(value) for key, value in values.items()})


def wrapped(items: Iterable[str], indent: str = "    ") -> str:
    """Comma-separated items in lines of the usual length."""
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 2 > _COLUMN and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += f"{item}, "
    return "\n".join([*lines, line.rstrip()])


def float_literal(value: float) -> str:
    """The shortest literal of exactly this float32."""
    text = str(np.float32(value))
    return f"{text}f" if any(mark in text for mark in ".en") else f"{text}.0f"


def string_literal(text: str) -> str:
    """UTF-8 in octal escapes of three digits, which no digit that follows can lengthen."""
    plain = {ord("\\"): "\\\\", ord('"'): '\\"', ord("?"): "\\?"}
    body = "".join(plain.get(byte, chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode())
    return f'"{body}"'


def header(program: Program, plan: ArenaPlan, text: ModelText) -> str:
    """`model.h`."""
    window, sensors, _ = program.network.input_shape
    return filled(
        "model.h",
        name=_plain(text.name),
        id=text.id,
        window=window,
        sensors=sensors,
        classes=len(text.class_names),
        values=prod(program.network.input_shape),
        operators=len(program.operators),
        arena_bytes=plan.total_bytes,
        sampling="0.0f /* unknown */" if text.sampling_hz is None else float_literal(text.sampling_hz),
        score_scale=float_literal(text.output.scale),
        score_zero_point=text.output.zero_point,
    )


def source(program: Program, plan: ArenaPlan, text: ModelText) -> str:
    """`model.c`."""
    tensors = range(len(program.network.tensors))
    return filled(
        "model.c",
        name=_plain(text.name),
        class_names=", ".join(map(string_literal, text.class_names)),
        offsets="\n".join(f"    TENSOR_{tensor} = {plan.offsets[tensor]}," for tensor in tensors),
        constants="\n".join(_constant(i, node, op) for i, (node, op) in enumerate(_pairs(program))),
        calls="\n".join(_call(i, node) for i, node in enumerate(program.network.nodes)),
        means=", ".join(map(float_literal, text.mean)),
        deviations=", ".join(map(float_literal, text.std)),
        limit=float_literal(text.limit),
        input_scale=float_literal(text.input.scale),
        input_zero_point=text.input.zero_point,
        output=f"TENSOR_{len(program.network.nodes)}",
    )


def _pairs(program: Program) -> Iterator[tuple[Node, Packed]]:
    return zip(program.network.nodes, program.operators, strict=True)


def _call(index: int, node: Node) -> str:
    tensors = ", ".join(f"AT(TENSOR_{tensor})" for tensor in (*node.inputs, node.output))
    return f"    mn_run_{node.op.kind}(&op{index}, {tensors});\n    MODEL_STEP({index});"


def _constant(index: int, node: Node, op: Packed) -> str:
    """The operator's struct, after what it points to."""
    comment = f"/* {_plain(node.name)}: {node.op} */\n"
    kind = f"mn_{type(op).__name__.lower()}"
    if not isinstance(op, Conv2d):
        return f"{comment}static const {kind} op{index} = {{\n{wrapped(_fields(op))}\n}};\n"
    words = np.frombuffer(op.weights + b"\0" * (-len(op.weights) % 4), "<u4")
    weights = wrapped(f"0x{word:08X}" for word in words)
    channels = wrapped(f"{{{_int32(bias)}, {multiplier}, {shift}}}" for bias, multiplier, shift in op.channels.tolist())
    return (
        f"{comment}static const uint32_t weights{index}[] = {{\n{weights}\n}};\n"
        f"static const mn_channel channels{index}[] = {{\n{channels}\n}};\n"
        f"static const {kind} op{index} = {{\n"
        f"{wrapped([*_fields(op), f'.weights = weights{index}', f'.channels = channels{index}'])}\n}};\n"
    )


def _fields(op: Packed) -> Iterator[str]:
    for field in fields(op):
        value = getattr(op, field.name)
        if field.name == "layout":
            yield f".layout = {LAYOUTS[value]}"
        elif field.name not in ("weights", "channels"):
            yield f".{field.name} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, Window):
        parts = (getattr(value, field.name) for field in fields(value))
        return "{" + ", ".join(map(_value, parts)) + "}"
    if isinstance(value, tuple):
        return "{" + ", ".join(map(str, value)) + "}"
    return _int32(int(value))


def _int32(value: int) -> str:
    """-2^31 has no literal of its own in C."""
    return "INT32_MIN" if value == -(2**31) else str(value)


def _plain(text: str) -> str:
    """A name from a file, harmless inside a comment."""
    return "".join(letter if letter.isalnum() or letter in "_./ -" else "_" for letter in text)
