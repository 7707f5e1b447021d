"""Files to windows: readers, splits, standardisation. No TensorFlow here."""

from micronas_tf.datasets.dataset import Dataset, describe, notes_on_repeats, split_dataset
from micronas_tf.datasets.load import load_dataset
from micronas_tf.datasets.splits import Partition, partition
from micronas_tf.datasets.standardisation import Standardisation
from micronas_tf.datasets.triads import Triad, find_triads
from micronas_tf.datasets.windows import MIN_WINDOW, Windows

__all__ = [
    "MIN_WINDOW",
    "Dataset",
    "Partition",
    "Standardisation",
    "Triad",
    "Windows",
    "describe",
    "find_triads",
    "load_dataset",
    "notes_on_repeats",
    "partition",
    "split_dataset",
]
