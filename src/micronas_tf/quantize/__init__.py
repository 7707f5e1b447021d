"""From a trained Keras model to a verified int8 flatbuffer; the only room that knows tf_keras and TF-MOT."""

from micronas_tf.quantize.convert import float_flatbuffer
from micronas_tf.quantize.evaluate import Int8Report, int8_accuracy, verify
from micronas_tf.quantize.ptq import quantise_ptq
from micronas_tf.quantize.qat import FINE_TUNING, QatRecipe, quantise_qat, train_qat

__all__ = [
    "FINE_TUNING",
    "Int8Report",
    "QatRecipe",
    "float_flatbuffer",
    "int8_accuracy",
    "quantise_ptq",
    "quantise_qat",
    "train_qat",
    "verify",
]
