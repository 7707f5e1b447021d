"""Fit an operator model on measured operators, and say how well it predicts unseen ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from micronas_tf.cost.macs import macs
from micronas_tf.cost.memory import Runtime
from micronas_tf.cost.operator_model import FitCheck, KindModel, OperatorModel
from micronas_tf.cost.table import Measurement
from micronas_tf.cost.term_set import TermSet
from micronas_tf.cost.terms import TERMS
from micronas_tf.errors import CostError
from micronas_tf.ops import KINDS

HELD_OUT_SHARE: Final = 0.3
LEAST_HELD_OUT_ROWS: Final = 20
"""With fewer rows than this a kind is checked by leaving one out at a time."""

Array = NDArray[np.float64]


def fit_operator_model(
    measurements: Sequence[Measurement],
    board_id: str,
    provenance: str,
    seed: int = 0,
    runtime: Runtime = "tflm",
) -> OperatorModel:
    """The model of the kinds that were measured.

    Coefficients are fitted by non-negative least squares on relative errors (each row divided by its
    cycles). The errors stated are of unseen rows: a random 30 % (of `seed`) where a kind has 20 rows or more,
    leave-one-out otherwise; the coefficients that are kept are then fitted on all rows.

    Raises:
        CostError: a figure is not positive, no kind has 2 rows, or there is no convolution.
    """
    bad = [row for row in measurements if not row.cycles > 0]
    if bad:
        raise CostError(f"A model is fitted on positive cycles. Received: {bad[0].cycles} for {bad[0].op}.")
    by_kind = {kind: [row for row in measurements if row.op.kind == kind] for kind in KINDS}
    if len(by_kind["conv2d"]) < LEAST_HELD_OUT_ROWS:
        raise CostError(
            f"A model needs at least {LEAST_HELD_OUT_ROWS} measured conv2d. Received: {len(by_kind['conv2d'])}."
        )
    cycles_per_mac, mac_error = best_constant(
        [macs(row.op) for row in by_kind["conv2d"]], [row.cycles for row in by_kind["conv2d"]]
    )
    return OperatorModel(
        board_id=board_id,
        runtime=runtime,
        provenance=provenance,
        seed=seed,
        kinds={kind: _fit_kind(TERMS[runtime][kind], rows, seed) for kind, rows in by_kind.items() if len(rows) > 1},
        cycles_per_mac=cycles_per_mac,
        mac_error=mac_error,
    )


def _fit_kind(term_set: TermSet, rows: Sequence[Measurement], seed: int) -> KindModel:
    terms = np.array([term_set.values(row.op) for row in rows], float)
    cycles = np.array([row.cycles for row in rows], float)
    sizes = [term_set.sizes(row.op) for row in rows]
    return KindModel(
        coefficients=dict(zip(term_set.names, map(_rounded, _coefficients(terms, cycles)), strict=True)),
        ranges={name: (min(s[name] for s in sizes), max(s[name] for s in sizes)) for name in sizes[0]},
        rows=len(rows),
        check=_check(terms, cycles, seed),
    )


def _coefficients(terms: Array, cycles: Array) -> Array:
    """Non-negative coefficients with the least Σ (predicted / measured - 1)²; terms [rows, terms]."""
    weighted = terms / cycles[:, None]
    norms = np.linalg.norm(weighted, axis=0)
    scale = np.where(norms > 0, norms, 1.0)  # a term that never occurs gets coefficient 0
    return np.asarray(nnls(weighted / scale, np.ones(len(cycles)))[0] / scale, float)


def _check(terms: Array, cycles: Array, seed: int) -> FitCheck:
    rows = len(cycles)
    if rows >= LEAST_HELD_OUT_ROWS:
        unseen = np.random.default_rng(seed).permutation(rows)[: round(rows * HELD_OUT_SHARE)]
        folds, method = [unseen], f"held-out {HELD_OUT_SHARE:.0%}".replace("%", " %")
    else:
        folds, method = [np.array([row]) for row in range(rows)], "leave-one-out"
    predicted = np.concatenate([_predict_unseen(terms, cycles, fold) for fold in folds])
    measured = cycles[np.concatenate(folds)]
    errors = np.abs(predicted / measured - 1)
    spread = float(((measured - measured.mean()) ** 2).sum())
    return FitCheck(
        method=method,
        rows=len(measured),
        r2=_rounded(1 - float(((predicted - measured) ** 2).sum()) / spread) if spread else None,
        mean_error=_rounded(errors.mean()),
        p95_error=_rounded(np.quantile(errors, 0.95)),
    )


def _predict_unseen(terms: Array, cycles: Array, unseen: NDArray[np.intp]) -> Array:
    seen = np.setdiff1d(np.arange(len(cycles)), unseen)
    return np.asarray(terms[unseen] @ _coefficients(terms[seen], cycles[seen]), float)


def best_constant(quantities: Sequence[float], cycles: Sequence[float]) -> tuple[float, float]:
    """(constant, mean relative error) of cycles = constant · quantity with the least mean relative error.

    Σ |constant · q - 1| over q = quantity per cycle is least at the median of 1/q weighted by q.
    """
    ascending = np.sort(np.asarray(cycles, float) / np.asarray(quantities, float))
    weights = np.cumsum(1 / ascending)
    constant = _rounded(ascending[np.searchsorted(weights, weights[-1] / 2)])
    return constant, _rounded(np.abs(constant / ascending - 1).mean())


def _rounded(value: float) -> float:
    """To 6 significant digits: files for people, and no false precision."""
    return float(f"{value:.6g}")
