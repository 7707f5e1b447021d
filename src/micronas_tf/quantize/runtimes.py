"""Running an int8 flatbuffer on this host: LiteRT's reference kernels and TensorFlow Lite Micro itself.

These two agree bit for bit; LiteRT's optimised kernels and delegates do not always, so they are not offered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from tflite_micro import runtime

from micronas_tf.errors import ModelError
from micronas_tf.models.flatbuffer import network_from_flatbuffer, operator_name, read_flatbuffer
from micronas_tf.quiet import captured_output

Int8Array: TypeAlias = NDArray[np.int8]
FloatArray: TypeAlias = NDArray[np.float32]

_ARENA_FIGURE: Final = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


@dataclass(frozen=True, slots=True)
class Affine:
    """An int8 tensor's meaning: real value = `scale` x (q - `zero_point`)."""

    scale: float
    zero_point: int

    def quantise(self, x: FloatArray) -> Int8Array:
        """The nearest int8 values, halves away from zero.

        The rule of TFLite's QUANTIZE operator and of C's `roundf` (kernels/internal/reference/quantize.h,
        `AffineQuantize`), in float32 as there; NumPy's `round` takes halves to the even neighbour.
        """
        scaled = x.astype(np.float32) / np.float32(self.scale)
        rounded: FloatArray = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + self.zero_point
        return rounded.clip(-128, 127).astype(np.int8)

    def dequantise(self, q: Int8Array) -> FloatArray:
        return (q.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)


@dataclass(frozen=True, slots=True)
class Arena:
    """What TFLM allocated on this host, in bytes.

    Attributes:
        head_bytes: the planned part, activations and scratch; the same on every target.
        tail_bytes: the persistent part; larger here than on a board, for pointers have 64 bits.
        total_bytes: both.
    """

    head_bytes: int
    tail_bytes: int
    total_bytes: int


def input_affine(flatbuffer: bytes) -> Affine:
    """Scale and zero point of the input."""
    graph = read_flatbuffer(flatbuffer).subgraphs[0]
    return _affine(graph.tensors[graph.inputs[0]])


def output_affine(flatbuffer: bytes) -> Affine:
    """Scale and zero point of the scores; of a softmax always 1/256 and -128."""
    graph = read_flatbuffer(flatbuffer).subgraphs[0]
    return _affine(graph.tensors[graph.outputs[0]])


def operator_names(flatbuffer: bytes) -> tuple[str, ...]:
    """The operators in execution order, as the schema spells them, for example `CONV_2D`."""
    model = read_flatbuffer(flatbuffer)
    return tuple(operator_name(model, operator) for operator in model.subgraphs[0].operators)


def predict_litert(flatbuffer: bytes, x: FloatArray) -> Int8Array:
    """Scores [N, classes] of standardised windows [N, time, sensors, filters] on LiteRT's reference kernels."""
    windows = _quantised_windows(flatbuffer, x)
    interpreter = Interpreter(
        model_content=flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    scores = []
    for window in windows:
        interpreter.set_tensor(source, window[np.newaxis])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(target).reshape(-1))
    return np.stack(scores)


def predict_tflm(flatbuffer: bytes, x: FloatArray) -> Int8Array:
    """Scores [N, classes] of standardised windows [N, time, sensors, filters] on TensorFlow Lite Micro."""
    windows = _quantised_windows(flatbuffer, x)
    interpreter = _tflm(flatbuffer)
    scores = []
    for window in windows:
        interpreter.set_input(window[np.newaxis], 0)
        interpreter.invoke()
        scores.append(interpreter.get_output(0).reshape(-1))
    return np.stack(scores)


def tflm_arena(flatbuffer: bytes) -> Arena:
    """The arena that TensorFlow Lite Micro allocates for this model on this host.

    Raises:
        ModelError: TFLM does not run the model, or does not print its figures.
    """
    interpreter = _tflm(flatbuffer)
    with captured_output() as printed:
        interpreter.print_allocations()
    figures = {name: int(figure) for name, figure in _ARENA_FIGURE.findall(printed.text)}
    if len(figures) != 3:
        raise ModelError(f"TFLM prints the arena's total, head and tail. Received: {printed.text!r}.")
    return Arena(figures["head"], figures["tail"], figures["total"])


def _tflm(flatbuffer: bytes) -> Any:
    with captured_output() as log:
        try:
            return runtime.Interpreter.from_bytes(flatbuffer, arena_size=_ample_arena_bytes(flatbuffer))
        except RuntimeError as error:
            failure = error
    raise ModelError(f"TensorFlow Lite Micro refuses the model: {failure}. It wrote: {log.text.strip()}") from failure


def _ample_arena_bytes(flatbuffer: bytes) -> int:
    """An arena that cannot be too small: every activation at once, and room for the runtime's own structures.

    TFLM was seen to need about 500 bytes an operator and 8 a filter; the host can spare a hundred times that.
    """
    network = network_from_flatbuffer(flatbuffer)
    activations = sum(time * sensors * filters + 16 for time, sensors, filters in network.tensors)
    return activations + len(flatbuffer) + (256 + 8 * len(network.nodes)) * 1024


def _affine(tensor: Any) -> Affine:
    return Affine(float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))


def _quantised_windows(flatbuffer: bytes, x: FloatArray) -> Int8Array:
    shape = network_from_flatbuffer(flatbuffer).input_shape
    if x.ndim != 4 or x.shape[1:] != shape or not len(x):
        raise ModelError(f"The model reads windows [N, {', '.join(map(str, shape))}], N > 0. Received: {x.shape}.")
    return input_affine(flatbuffer).quantise(x)
