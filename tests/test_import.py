"""Importing the package is fast: TensorFlow comes with the command that needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert", "tflite_micro")

PROBE = """
import sys
{statement}
print(",".join(sorted({{name.partition(".")[0] for name in sys.modules}} & set({heavy!r}))))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import micronas_tf",
        "import micronas_tf.ops, micronas_tf.architecture, micronas_tf.boards, micronas_tf.errors",
        "import micronas_tf.space",
    ],
)
def test_import_leaves_tensorflow_alone(statement: str) -> None:
    probe = PROBE.format(statement=statement, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_floor_0_needs_the_standard_library_only() -> None:
    statement = "import micronas_tf.ops, micronas_tf.architecture, micronas_tf.boards, micronas_tf.errors"
    probe = (
        f"import sys\nbefore = set(sys.modules)\n{statement}\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(','.join(sorted(new - set(sys.stdlib_module_names) - {'micronas_tf'})))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
