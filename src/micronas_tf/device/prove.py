"""Run the golden windows of a bundle on a board: every score bit for bit, cycles, and the arena's high-water mark."""

from __future__ import annotations

import tempfile
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from micronas_tf.device.bench import Bench
from micronas_tf.device.build import firmware_directory
from micronas_tf.device.link import Link
from micronas_tf.device.protocol import Banner, GarbledError, WrongFirmwareError, parse_counts
from micronas_tf.errors import DeviceError
from micronas_tf.progress import Progress, silent

Int8Array: TypeAlias = NDArray[np.int8]
FloatArray: TypeAlias = NDArray[np.float32]

ALIGNMENT_BYTES: Final = 16
"""A plan rounds up to it; a tensor's last bytes need not be written."""

MOST_CLASSES: Final = 64
"""Of a model in the firmware: `MN_MOST_CLASSES` in its bundle.h, what a reply holds."""

_FRAME: Final = len("MN1 2147483647 WINDOW at=1048576 *00000000")
_TRACED_AT_ONCE: Final = 32
_PATIENCE_S: Final = 35.0


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not as it must be.

    Attributes:
        window: number of the golden window.
        what: `input` (checksum of the quantised window), `model_predict` or `model_predict_int8` (its scores), or
            `class` (the class that it returned).
        index: of the class; 0 where there is none.
        expected, received: the values there.
    """

    window: int
    what: str
    index: int
    expected: int
    received: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What the board did with the windows.

    Attributes:
        windows: how many were run.
        difference: the first one; None where all is as expected.
        cycles: of the network, median of the windows.
        input_cycles: of standardising and quantising a window, median.
        operator_cycles: of each operator, in order.
        planned_bytes: the arena.
        high_water_bytes: end of what was written of it, rounded up as the plan does; more than planned if beyond.
        device: what was measured, and how.
    """

    windows: int
    difference: Difference | None
    cycles: float
    input_cycles: float
    operator_cycles: tuple[float, ...]
    planned_bytes: int
    high_water_bytes: int
    device: str


def check_same_kernels(bundle: Path) -> None:
    """The firmware is linked with its own copy of the kernels: it proves the bundle's if they are the same bytes.

    Raises:
        DeviceError: a kernel of the bundle is another one.
    """
    firmware = firmware_directory()
    ours = {path.name: path for path in (firmware / "src/kernels").rglob("*.[ch]") if "cmsis_nn" not in path.parts}
    ours |= {path.name: path for path in (firmware / "include/micronas").glob("*.h")}
    copies = [*(bundle / "kernels").iterdir(), *(bundle / "include/micronas").iterdir()]
    other = [path.name for path in copies if path.name not in ours or path.read_bytes() != ours[path.name].read_bytes()]
    if other or not copies:
        raise DeviceError(
            f"The kernels of {bundle} must be those of this version of micronas-tf. Received: others in "
            f"{', '.join(sorted(other)) or 'none'}. Export the run again: `micronas-tf export`."
        )


def prove(
    bench: Bench,
    model_id: str,
    windows: FloatArray,
    inputs: Int8Array,
    scores: Int8Array,
    *,
    progress: Progress = silent,
) -> Proof:
    """Send every window, compare what comes back.

    Args:
        bench: a board with the bundle in its firmware.
        model_id: of the bundle.
        windows: raw [N, T, S].
        inputs: what they are quantised to [N, T, S].
        scores: expected [N, classes].
        progress: hears of the stage `proving`.

    Raises:
        DeviceError: the board fails, or holds another model.
    """
    results: list[_Prediction] = []
    progress("proving", 0, len(windows), {})
    for part in _parts(bench, windows):
        with _connected(bench, part) as link:
            run = _Run.start(link, bench, model_id, part, scores.shape[1])
            for number, window in enumerate(part):
                results.append(run.predict(number, window, seed=len(results) + 1))
                progress("proving", len(results), len(windows), {})
            traced = run.trace()
    differences = (_difference(number, result, inputs[number], scores[number]) for number, result in enumerate(results))
    factor = bench.cycles_per_count(run.banner)
    return Proof(
        windows=len(results),
        difference=next(filter(None, differences), None),
        cycles=median(result.counts for result in results) * factor,
        input_cycles=median(result.quantise_counts for result in results) * factor,
        operator_cycles=tuple(count * factor for count in traced),
        planned_bytes=run.planned_bytes,
        high_water_bytes=-(-max(result.high_water for result in results) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES,
        device=bench.device,
    )


def _about(link: Link, model_id: str, windows: FloatArray, classes: int) -> dict[str, int]:
    reply = link.ask("MODEL")
    expected = {"id": model_id, "values": str(prod(windows.shape[1:])), "classes": str(classes)}
    found = {name: reply.get(name, "missing") for name in expected}
    if found != expected:
        raise WrongFirmwareError(f"The board must hold the model {expected}. Received: {found}. Upload it again.")
    return {name: int(reply[name]) for name in ("operators", "planned_bytes")}


def _parts(bench: Bench, windows: FloatArray) -> Iterator[FloatArray]:
    """As many windows at a time as the board can be given."""
    most = len(windows)
    if bench.preload is not None:
        most = bench.preload.room_bytes // windows[0].nbytes
        if not most:
            raise DeviceError(f"An emulated board takes windows of {bench.preload.room_bytes} B at most.")
    for start in range(0, len(windows), most):
        yield windows[start : start + most]


@contextmanager
def _connected(bench: Bench, part: FloatArray) -> Iterator[Link]:
    if bench.preload is None:
        with bench.connect() as link:
            yield link
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "windows.bin"
        file.write_bytes(np.ascontiguousarray(part, "<f4").tobytes())
        with bench.preload.connect(file) as link:
            yield link


@dataclass(frozen=True, slots=True)
class _Prediction:
    input_crc: int
    scores: Int8Array
    scores_int8: Int8Array
    best: int
    quantise_counts: int
    counts: int
    high_water: int


@dataclass(frozen=True, slots=True)
class _Run:
    """A conversation with a board that holds the model."""

    link: Link
    banner: Banner
    preloaded: bool
    classes: int
    operators: int
    planned_bytes: int

    @classmethod
    def start(cls, link: Link, bench: Bench, model_id: str, windows: FloatArray, classes: int) -> _Run:
        banner = link.connect()
        bench.check(banner)
        about = _about(link, model_id, windows, classes)
        return cls(link, banner, bench.preload is not None, classes, about["operators"], about["planned_bytes"])

    def predict(self, number: int, window: FloatArray, seed: int) -> _Prediction:
        if self.preloaded:
            self.link.ask(f"FETCH window={number}")
        else:
            self._send(window)
        return self._parsed(self.link.ask(f"PREDICT seed={seed}", timeout_s=_PATIENCE_S))

    def _send(self, window: FloatArray) -> None:
        values = np.ascontiguousarray(window, "<f4").tobytes()
        step = (self.banner.line - _FRAME) // 4 * 3
        for start in range(0, len(values), step):
            text = b64encode(values[start : start + step]).decode().rstrip("=")
            self.link.ask(f"WINDOW at={start} {text}")

    def _parsed(self, reply: Mapping[str, str]) -> _Prediction:
        try:
            both = [np.frombuffer(bytes.fromhex(reply[name]), np.int8) for name in ("scores", "again")]
            numbers = {name: int(reply[name]) for name in ("class", "quantise", "cycles", "high")}
            crc = int(reply["input"], 16)
        except (KeyError, ValueError) as error:
            raise GarbledError(f"PREDICT is answered with scores and counts. Received: {dict(reply)}.") from error
        if any(len(scores) != self.classes for scores in both):
            raise GarbledError(f"PREDICT is answered with {self.classes} scores. Received: {dict(reply)}.")
        return _Prediction(
            crc, both[0], both[1], numbers["class"], numbers["quantise"], numbers["cycles"], numbers["high"]
        )

    def trace(self) -> tuple[int, ...]:
        """Counts of each operator, of the window that was sent last."""
        found: list[int] = []
        while len(found) < self.operators:
            part = min(self.operators - len(found), _TRACED_AT_ONCE)
            reply = self.link.ask(f"TRACE first={len(found)} n={part}", timeout_s=_PATIENCE_S)
            found += parse_counts(reply)
        return tuple(found)


def _difference(number: int, found: _Prediction, inputs: Int8Array, scores: Int8Array) -> Difference | None:
    crc = zlib.crc32(np.ascontiguousarray(inputs).tobytes())
    if found.input_crc != crc:
        return Difference(number, "input", 0, crc, found.input_crc)
    for what, received in (("model_predict", found.scores), ("model_predict_int8", found.scores_int8)):
        wrong = np.flatnonzero(received != scores)
        if len(wrong):
            index = int(wrong[0])
            return Difference(number, what, index, int(scores[index]), int(received[index]))
    best = int(scores.argmax())
    return None if found.best == best else Difference(number, "class", 0, best, found.best)


def difference_json(difference: Difference | None) -> dict[str, Any] | None:
    """For `verify.json`."""
    if difference is None:
        return None
    return {name: getattr(difference, name) for name in ("window", "what", "index", "expected", "received")}
