"""What goes onto the board: the C library of a model, its golden vectors, and the files for TensorFlow Lite Micro."""

from micronas_tf.deploy.bundle import BUNDLE_SCHEMA, Model, write_bundle
from micronas_tf.deploy.golden import GOLDEN_WINDOWS, Golden, drawn_windows, make_golden, spread_out
from micronas_tf.deploy.operators import Program, program_of

__all__ = [
    "BUNDLE_SCHEMA",
    "GOLDEN_WINDOWS",
    "Golden",
    "Model",
    "Program",
    "drawn_windows",
    "make_golden",
    "program_of",
    "spread_out",
    "write_bundle",
]
