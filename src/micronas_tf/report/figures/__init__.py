"""The figures of a report, each a `Drawing` made from values alone."""

from micronas_tf.report.figures.arena import arena_drawing
from micronas_tf.report.figures.choices import choices_drawing
from micronas_tf.report.figures.confusion import confusion_drawing
from micronas_tf.report.figures.latency import latency_drawing
from micronas_tf.report.figures.measured import measured_drawing
from micronas_tf.report.figures.network import network_drawing
from micronas_tf.report.figures.pareto import pareto_drawing
from micronas_tf.report.figures.search import search_drawing
from micronas_tf.report.figures.trials import trials_drawing

__all__ = [
    "arena_drawing",
    "choices_drawing",
    "confusion_drawing",
    "latency_drawing",
    "measured_drawing",
    "network_drawing",
    "pareto_drawing",
    "search_drawing",
    "trials_drawing",
]
