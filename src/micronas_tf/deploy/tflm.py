"""What a user of TensorFlow Lite Micro needs: the model as an array, its operators, the size of the arena."""

from __future__ import annotations

from typing import Final

from micronas_tf.cost import arena_bytes
from micronas_tf.cost.memory import persistent_bytes
from micronas_tf.deploy.sources import filled, wrapped
from micronas_tf.models.flatbuffer import operator_name, read_flatbuffer
from micronas_tf.ops import Network

_METHODS: Final = {
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "ADD": "AddAdd",
    "MEAN": "AddMean",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "MAX_POOL_2D": "AddMaxPool2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "SOFTMAX": "AddSoftmax",
    "RESHAPE": "AddReshape",
}
"""`MicroMutableOpResolver`'s method for each operator."""


def tflm_files(flatbuffer: bytes, network: Network) -> dict[str, str]:
    """`model_data.h`, `model_data.cc` and `op_resolver.h`."""
    model = read_flatbuffer(flatbuffer)
    names = dict.fromkeys(operator_name(model, operator) for operator in model.subgraphs[0].operators)
    lines = (f"  TF_LITE_ENSURE_STATUS(resolver.{_METHODS[name]}());" for name in names)
    arena, tail = arena_bytes(network), persistent_bytes(network)
    return {
        "model_data.h": filled(
            "model_data.h", bytes=len(flatbuffer), arena=arena, head=f"{arena - tail:,}", tail=f"{tail:,}"
        ),
        "model_data.cc": filled("model_data.cc", bytes=wrapped(f"0x{byte:02x}" for byte in flatbuffer)),
        "op_resolver.h": filled("op_resolver.h", count=len(names), lines="\n".join(lines)),
    }
