"""The terms of the operator models, by runtime: what its kernels do how often, one number per loop of their code.

Cycles are modelled as Σ coefficient · term with coefficients ≥ 0, each the cycles of one pass through one loop. The
terms of a runtime are the same for every board.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from micronas_tf.cost.bundle_terms import BUNDLE_TERMS
from micronas_tf.cost.memory import Runtime
from micronas_tf.cost.term_set import TermSet
from micronas_tf.cost.tflm_terms import TFLM_TERMS
from micronas_tf.ops import OpKind

TERMS: Final[Mapping[Runtime, Mapping[OpKind, TermSet]]] = MappingProxyType(
    {"tflm": TFLM_TERMS, "bundle": BUNDLE_TERMS}
)
"""The terms of every kind of operator, by runtime."""
