"""Layers of Keras that are traced otherwise than they run, with the same result: as they stand, tf2onnx has no way.

``UpSampling2D`` with interpolation takes its size from the shape once, so that the shape would have to be fixed, and
convolutions in groups run compiled code on the CPU, which is no part of the graph.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMOOTH = {"bilinear", "bicubic"}
"""Interpolations of UpSampling2D whose size has to be known; nearest repeats, at any size."""


@contextmanager
def rewired(model: Any) -> Iterator[None]:
    """A model whose layers are traced so that tf2onnx takes them."""
    changed = []
    for layer in model._flatten_layers():  # noqa: SLF001 nested models have layers, too
        found = _replacement(layer)
        if found is not None:
            name, call = found
            setattr(layer, name, call)
            changed.append((layer, name))
    try:
        yield
    finally:
        for layer, name in changed:
            delattr(layer, name)


def _replacement(layer: Any) -> tuple[str, Callable[..., Any]] | None:
    """Which method of a layer to replace, and by what."""
    import keras

    if getattr(layer, "data_format", None) != "channels_last":
        return None
    if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation in SMOOTH:
        return "call", _enlarge(layer)
    if getattr(layer, "groups", 1) > 1 and hasattr(layer, "convolution_op"):
        return "convolution_op", _by_groups(layer)
    return None


def _enlarge(layer: Any) -> Callable[..., Any]:
    import tensorflow as tf

    def call(inputs: Any) -> Any:
        size = tf.shape(inputs)[1:3] * tf.constant(layer.size)
        return tf.image.resize(inputs, size, method=layer.interpolation)

    return call


def _by_groups(layer: Any) -> Callable[..., Any]:
    import tensorflow as tf

    def convolve(inputs: Any, kernel: Any) -> Any:
        parts = zip(
            tf.split(inputs, layer.groups, axis=-1),
            tf.split(tf.convert_to_tensor(kernel), layer.groups, axis=-1),
            strict=True,
        )
        made = [
            tf.nn.convolution(
                part,
                weights,
                strides=list(layer.strides),
                padding=layer.padding.upper(),
                dilations=list(layer.dilation_rate),
            )
            for part, weights in parts
        ]
        return tf.concat(made, axis=-1)

    return convolve
