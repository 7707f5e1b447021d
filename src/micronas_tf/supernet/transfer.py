"""Copying the shared weights of one architecture into its plain model."""

from __future__ import annotations

from typing import Any

import keras

from micronas_tf.errors import ModelError
from micronas_tf.supernet.layers import DynamicConv2D
from micronas_tf.supernet.model import SuperNet


def copy_weights(supernet: SuperNet, model: Any) -> None:
    """Set every Conv2D and BatchNormalization of a plain model from the supernet's layer of the same name.

    Args:
        supernet: trained or not.
        model: built by `models.build_model` from a network of the supernet's space; a layer `fusion0.1.conv5`
            takes the first filters of that layer's shared weights, `fusion0.1.conv5_bn` its BatchNorm.

    Raises:
        ModelError: a layer of the model has no counterpart, or a kernel that its counterpart does not have.
    """
    shared = _shared_layers(supernet)
    for layer in model.layers:
        if layer.__class__.__name__ == "Conv2D":
            _copy_conv(shared, layer)
        elif layer.__class__.__name__ == "BatchNormalization":
            _copy_batch_norm(shared, layer)


def _shared_layers(supernet: SuperNet) -> dict[str, Any]:
    layers: dict[str, Any] = {supernet.classifier.name: supernet.classifier}
    for cell in supernet.cells:
        for layer in cell._flatten_layers(include_self=False):
            if isinstance(layer, DynamicConv2D):
                layers[f"{cell.name}.{layer.name}"] = layer
    return layers


def _find(shared: dict[str, Any], name: str) -> Any:
    if name not in shared:
        raise ModelError(f"Layer {name!r} is not in the supernet. Known: {', '.join(sorted(shared))}.")
    return shared[name]


def _copy_conv(shared: dict[str, Any], layer: Any) -> None:
    source = _find(shared, layer.name)
    *size, channels, filters = layer.kernel.shape
    if not isinstance(source, DynamicConv2D):
        kernel = keras.ops.convert_to_numpy(source.kernel)[:channels]
        layer.set_weights([kernel.reshape(1, 1, channels, filters), keras.ops.convert_to_numpy(source.bias)])
        return
    if tuple(size) not in source.kernel_sizes:
        known = ", ".join(f"{time}×{sensors}" for time, sensors in source.kernel_sizes)
        raise ModelError(
            f"Layer {layer.name!r} of the supernet has kernels of {known}. Received: {size[0]}×{size[1]}. Build the "
            "model from an architecture of the supernet's own space."
        )
    kernel = keras.ops.convert_to_numpy(source.kernels[source.kernel_sizes.index(tuple(size))])
    layer.set_weights([kernel[:, :, :channels, :filters]])


def _copy_batch_norm(shared: dict[str, Any], layer: Any) -> None:
    source = _find(shared, layer.name.removesuffix("_bn"))
    filters = layer.gamma.shape[0]
    variables = (source.gamma, source.beta, source.moving_mean, source.moving_variance)
    layer.set_weights([keras.ops.convert_to_numpy(variable)[:filters] for variable in variables])
