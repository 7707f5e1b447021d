"""Fitted operator models: cycles of operators that nobody measured, from those that somebody did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from math import log2
from operator import mul
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from micronas_tf.cost.latency import Estimate, OperationCount, how_to_measure, unknown_operator
from micronas_tf.cost.memory import Runtime
from micronas_tf.cost.table import EMULATED, EMULATED_REL_ERROR
from micronas_tf.cost.terms import TERMS
from micronas_tf.errors import CostError
from micronas_tf.files import write_atomically
from micronas_tf.ops import OpKind, OpSpec

MODEL_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class FitCheck:
    """How well a model predicts rows that it was not fitted on.

    Attributes:
        method: `held-out 30 %` or `leave-one-out`.
        rows: how many rows were predicted.
        r2: share of the variance explained; None where a single row or a constant leaves it undefined.
        mean_error: mean of |predicted - measured| / measured.
        p95_error: 95th percentile of the same.
    """

    method: str
    rows: int
    r2: float | None
    mean_error: float
    p95_error: float


@dataclass(frozen=True, slots=True)
class KindModel:
    """Cycles of one kind of operator: Σ coefficient · term.

    Attributes:
        coefficients: term → cycles per unit, all at least 0.
        ranges: size → (least, largest) that was measured.
        rows: how many rows the coefficients were fitted on.
        check: errors on unseen rows (of a fit that did not see them).
    """

    coefficients: Mapping[str, float]
    ranges: Mapping[str, tuple[int, int]]
    rows: int
    check: FitCheck

    def __post_init__(self) -> None:
        if any(not value >= 0 for value in self.coefficients.values()):
            raise CostError(f"Coefficients of a model are at least 0. Received: {dict(self.coefficients)}.")
        for name in ("coefficients", "ranges"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


@dataclass(frozen=True, slots=True)
class OperatorModel:
    """A latency source fitted on measured operators of one board.

    An operator outside the range of sizes that were measured still gets an estimate, but its provenance says
    `extrapolated` and its error grows: by as much again for every factor of 2 beyond the range (a judgement,
    not a measurement; the coefficients are at least 0, so that cycles stay positive and monotone out there).

    Attributes:
        board_id: board that was measured.
        runtime: whose kernels were measured.
        provenance: who measured what, when, with which kernels.
        seed: of the held-out split.
        kinds: model of each kind.
        cycles_per_mac: the best single constant (see `OperationCount`), for comparison.
        mac_error: mean error of that constant on the measured convolutions.
        own: whether it is the user's and does not ship: part of its name, not of its file.
    """

    board_id: str
    runtime: Runtime
    provenance: str
    seed: int
    kinds: Mapping[OpKind, KindModel]
    cycles_per_mac: float
    mac_error: float
    own: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        known = TERMS.get(self.runtime, {})
        for kind, model in self.kinds.items():
            expected = known[kind].names if kind in known else ()
            if tuple(model.coefficients) != expected:
                raise CostError(
                    f"Terms of {kind} under {self.runtime} must be {expected}. Received: {tuple(model.coefficients)}."
                )
        object.__setattr__(self, "kinds", MappingProxyType(dict(self.kinds)))

    @property
    def name(self) -> str:
        how = ", emulated" if self.provenance.startswith(EMULATED) else ""
        return f"{'your ' if self.own else ''}fitted model of {self.board_id}{how}"

    def knows(self, op: OpSpec) -> bool:
        """Whether the operator's kind, and the path that it takes through the kernel, were measured."""
        return op.kind in self.kinds and self._sum(op) > 0

    def _sum(self, op: OpSpec) -> float:
        """Cycles; 0 where no term of the operator occurred in what was measured."""
        return float(sum(map(mul, self.kinds[op.kind].coefficients.values(), TERMS[self.runtime][op.kind].values(op))))

    def cycles(self, op: OpSpec) -> Estimate:
        cycles = self._sum(op) if op.kind in self.kinds else 0.0
        if not cycles > 0:
            raise unknown_operator(op, self.board_id)
        model = self.kinds[op.kind]
        excess = _octaves_outside(TERMS[self.runtime][op.kind].sizes(op), model.ranges)
        # A sum of expected errors is never too small: of the fit, and of what it was fitted on.
        emulated = EMULATED_REL_ERROR if self.provenance.startswith(EMULATED) else 0.0
        error = model.check.mean_error * (1 + excess) + emulated
        return Estimate(cycles, error, f"{self.name}, extrapolated" if excess else self.name)

    def operation_count(self) -> OperationCount:
        """The operation-count proxy of the same board, fitted on the same rows."""
        return OperationCount(self.board_id, self.cycles_per_mac, self.mac_error, self.runtime)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with a schema version; `from_json` gives back an equal model."""
        return {
            "schema": MODEL_SCHEMA,
            "board": self.board_id,
            "runtime": self.runtime,
            "provenance": self.provenance,
            "seed": self.seed,
            "operation_count": {"cycles_per_mac": self.cycles_per_mac, "mean_error": self.mac_error},
            "operators": {
                kind: {
                    "rows": model.rows,
                    "check": asdict(model.check),
                    "ranges": {name: list(bounds) for name, bounds in model.ranges.items()},
                    "coefficients": dict(model.coefficients),
                }
                for kind, model in self.kinds.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OperatorModel:
        """
        Raises:
            CostError: another schema, or a part is missing or malformed.
        """
        if data.get("schema") != MODEL_SCHEMA:
            raise CostError(
                f"A latency model has schema {MODEL_SCHEMA}. Received: {data.get('schema')!r}. "
                "Make it again with `micronas-tf fit-latency`."
            )
        try:
            return cls(
                board_id=data["board"],
                runtime=data["runtime"],
                provenance=data["provenance"],
                seed=data["seed"],
                kinds={kind: _kind_from_json(item) for kind, item in data["operators"].items()},
                cycles_per_mac=data["operation_count"]["cycles_per_mac"],
                mac_error=data["operation_count"]["mean_error"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CostError(f"The latency model is malformed: {error!r}. Make it again.") from error


def _kind_from_json(data: Mapping[str, Any]) -> KindModel:
    return KindModel(
        coefficients=data["coefficients"],
        ranges={name: (low, high) for name, (low, high) in data["ranges"].items()},
        rows=data["rows"],
        check=FitCheck(**data["check"]),
    )


def _octaves_outside(sizes: Mapping[str, int], ranges: Mapping[str, tuple[int, int]]) -> float:
    """By how many factors of 2 the worst size lies outside its range; 0 inside."""
    ratio = 1.0
    for name, size in sizes.items():
        low, high = ranges[name]
        ratio = max(ratio, low / size, size / high)
    return log2(ratio)


def models_directory() -> Path:
    """Folder of the fitted models that ship with the package."""
    return Path(str(files("micronas_tf") / "data" / "latency"))


def read_operator_model(path: Path) -> OperatorModel:
    """The fitted model in a JSON file.

    Raises:
        CostError: unreadable or malformed.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CostError(f"Cannot read the latency model {path}: {error}.") from error
    if not isinstance(data, dict):
        raise CostError(f"The latency model {path} must be a JSON object. Received: {type(data).__name__}.")
    return OperatorModel.from_json(data)


def write_operator_model(path: Path, model: OperatorModel) -> None:
    """Write a model so that `read_operator_model` gives back an equal one."""
    write_atomically(path, json.dumps(model.to_json(), indent=2, ensure_ascii=False) + "\n")


def model_path(directory: Path, board_id: str, runtime: Runtime) -> Path:
    """Where the fitted model of a board and runtime lies in a folder of them."""
    return directory / f"{board_id}.{runtime}.json"


def load_operator_model(board_id: str, runtime: Runtime = "tflm") -> OperatorModel:
    """The fitted model that ships for a board and runtime.

    Raises:
        CostError: none ships for them.
    """
    path = model_path(models_directory(), board_id, runtime)
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in models_directory().glob("*.json")))
        raise CostError(
            f"No fitted latency model for {board_id!r} with the runtime {runtime}. Shipped: {shipped}. "
            f"{how_to_measure(board_id)}"
        )
    return read_operator_model(path)
