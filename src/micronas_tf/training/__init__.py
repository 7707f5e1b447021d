"""Training a plain model from scratch: batches, augmentation, schedule."""

from micronas_tf.training.augment import RandomRotation, random_rotations
from micronas_tf.training.batches import network_input, training_batches
from micronas_tf.training.callbacks import ProgressCallback
from micronas_tf.training.paced import AtPosition, PaceCallback
from micronas_tf.training.recipe import TrainingRecipe, float_scores, train

__all__ = [
    "AtPosition",
    "PaceCallback",
    "ProgressCallback",
    "RandomRotation",
    "TrainingRecipe",
    "float_scores",
    "network_input",
    "random_rotations",
    "train",
    "training_batches",
]
