"""The supernet: Gumbel gates, dynamic convolutions, searchable cells, expected costs."""

from micronas_tf.supernet.cells import SensorFusionCell, TimeReduceCell
from micronas_tf.supernet.expected import ExpectedCosts, GateIndex
from micronas_tf.supernet.gates import GumbelGates
from micronas_tf.supernet.layers import DynamicConv2D
from micronas_tf.supernet.model import Limit, Relaxation, SuperNet

__all__ = [
    "DynamicConv2D",
    "ExpectedCosts",
    "GateIndex",
    "GumbelGates",
    "Limit",
    "Relaxation",
    "SensorFusionCell",
    "SuperNet",
    "TimeReduceCell",
]
