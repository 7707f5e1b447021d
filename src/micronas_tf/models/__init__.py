"""`Network` → Keras model of stock layers; flatbuffer or Keras model of known operators → `Network`."""

from micronas_tf.models.build import build_model, layer_name
from micronas_tf.models.flatbuffer import load_network, network_from_flatbuffer
from micronas_tf.models.keras_model import load_keras_network, network_from_keras
from micronas_tf.models.saved import export_saved_model, load_model, save_model

__all__ = [
    "build_model",
    "export_saved_model",
    "layer_name",
    "load_keras_network",
    "load_model",
    "load_network",
    "network_from_flatbuffer",
    "network_from_keras",
    "save_model",
]
