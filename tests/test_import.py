"""Importing the package is fast: TensorFlow comes with the command that needs it."""

from __future__ import annotations

import sys

import pytest
from tests.fresh_process import modules_after

HEAVY = {"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert", "tflite_micro"}
FLOOR_0 = "import micronas_tf.ops, micronas_tf.architecture, micronas_tf.boards, micronas_tf.errors"


@pytest.mark.parametrize("statement", ["import micronas_tf", FLOOR_0, "import micronas_tf.space"])
def test_import_leaves_tensorflow_alone(statement: str) -> None:
    found = modules_after(statement)
    assert "micronas_tf" in found
    assert found & HEAVY == set()


def test_floor_0_needs_the_standard_library_only() -> None:
    assert modules_after(FLOOR_0) - set(sys.stdlib_module_names) == {"micronas_tf"}
