"""Training a plain model from scratch: batches, augmentation, schedule."""

from micronas_tf.training.augment import RandomRotation, random_rotations
from micronas_tf.training.batches import network_input, training_batches
from micronas_tf.training.callbacks import ProgressCallback
from micronas_tf.training.recipe import TrainingRecipe, train

__all__ = [
    "ProgressCallback",
    "RandomRotation",
    "TrainingRecipe",
    "network_input",
    "random_rotations",
    "train",
    "training_batches",
]
