"""What a network costs on a board: MACs, memory, flash and latency, without TensorFlow."""

from micronas_tf.cost.fit import fit_operator_model
from micronas_tf.cost.flash import FLATBUFFER_BASE_BYTES, flash_bytes, op_flash_bytes, weight_bytes
from micronas_tf.cost.health import Finding, check_table
from micronas_tf.cost.latency import (
    Chain,
    Estimate,
    LatencySource,
    LookupTable,
    NetworkLatency,
    OperationCount,
    is_measured,
    network_latency,
    source_counts,
)
from micronas_tf.cost.macs import macs, network_macs
from micronas_tf.cost.memory import (
    PERSISTENT_BASE_BYTES,
    ArenaPlan,
    Buffer,
    Runtime,
    align,
    arena_bytes,
    arena_head_bytes,
    network_buffers,
    operator_persistent_bytes,
    peak_memory_bytes,
    plan_arena,
    scratch_sizes,
    tensor_buffers,
    working_set_bytes,
)
from micronas_tf.cost.operator_model import OperatorModel, load_operator_model, model_path, write_operator_model
from micronas_tf.cost.records import read_measurements
from micronas_tf.cost.sources import default_source, fitted_models, table_path
from micronas_tf.cost.summary import NetworkCosts, network_costs
from micronas_tf.cost.table import EMULATED, Measurement, Table, TableHeader, is_table, read_table, write_table

__all__ = [
    "EMULATED",
    "FLATBUFFER_BASE_BYTES",
    "PERSISTENT_BASE_BYTES",
    "ArenaPlan",
    "Buffer",
    "Chain",
    "Estimate",
    "Finding",
    "LatencySource",
    "LookupTable",
    "Measurement",
    "NetworkCosts",
    "NetworkLatency",
    "OperationCount",
    "OperatorModel",
    "Runtime",
    "Table",
    "TableHeader",
    "align",
    "arena_bytes",
    "arena_head_bytes",
    "check_table",
    "default_source",
    "fit_operator_model",
    "fitted_models",
    "flash_bytes",
    "is_measured",
    "is_table",
    "load_operator_model",
    "macs",
    "model_path",
    "network_buffers",
    "network_costs",
    "network_latency",
    "network_macs",
    "op_flash_bytes",
    "operator_persistent_bytes",
    "peak_memory_bytes",
    "plan_arena",
    "read_measurements",
    "read_table",
    "scratch_sizes",
    "source_counts",
    "table_path",
    "tensor_buffers",
    "weight_bytes",
    "working_set_bytes",
    "write_operator_model",
    "write_table",
]
