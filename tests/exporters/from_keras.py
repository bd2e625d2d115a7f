"""Tiny networks as Keras gives them through tf2onnx; run by hand in an environment with tensorflow and tf2onnx.

    python tests/exporters/from_keras.py

It writes the .onnx files beside itself, a few kB each; the last were made with tensorflow 2.21 and tf2onnx 1.17.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
import tf2onnx
from keras import layers

HERE = Path(__file__).parent


def unet(x):
    """SAME padding, transposed convolution, a skip."""
    skip = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = layers.MaxPool2D()(skip)
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(y)
    y = layers.Conv2DTranspose(4, 2, strides=2, padding="same")(y)
    return layers.Conv2D(1, 1, activation="sigmoid")(layers.concatenate([skip, y]))


def upsampled(x):
    """Strided SAME convolutions, whose padding depends on the size, and bilinear upsampling."""
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(y)
    y = layers.UpSampling2D(2, interpolation="bilinear")(y)
    return layers.Conv2D(2, 3, padding="same")(y)


def separable(x):
    """Depthwise and dilated."""
    y = layers.SeparableConv2D(6, 3, padding="same")(x)
    y = layers.ReLU(6.0)(y)
    return layers.Conv2D(3, 3, dilation_rate=2, padding="same", activation="softmax")(y)


def classifier(x):
    y = layers.Conv2D(6, 3, strides=2, activation="relu")(x)
    return layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(y))


def flattened(x):
    y = layers.MaxPool2D(4)(layers.Conv2D(3, 3, padding="same", activation="elu")(x))
    return layers.Dense(2)(layers.Flatten()(y))


def volume(x):
    y = layers.Conv3D(4, 3, padding="same", activation="relu")(x)
    return layers.Conv3D(2, 1)(layers.UpSampling3D(2)(layers.MaxPool3D(2)(y)))


def several(x):
    """Probability and distances, as star-convex polygons need them."""
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPool2D()(x))
    return [layers.Conv2D(1, 1, activation="sigmoid", name="prob")(y), layers.Conv2D(8, 1, name="dist")(y)]


MODELS = {
    "unet": (unet, (None, None, 1)),
    "unet_fixed": (unet, (64, 48, 1)),
    "upsampled": (upsampled, (64, 48, 1)),
    "separable": (separable, (None, None, 3)),
    "classifier": (classifier, (None, None, 3)),
    "flattened": (flattened, (32, 32, 3)),
    "volume": (volume, (None, None, None, 1)),
    "several": (several, (None, None, 1)),
}


def main():
    for name, (make, shape) in MODELS.items():
        keras.utils.set_random_seed(0)
        image = keras.Input(shape, name="image")
        model = keras.Model(image, make(image))
        function = tf.function(lambda image, model=model: model(image, training=False))
        signature = [tf.TensorSpec((None, *shape), tf.float32, name="image")]
        path = HERE / f"keras_{name}.onnx"
        tf2onnx.convert.from_function(function, input_signature=signature, opset=15, output_path=str(path))


if __name__ == "__main__":
    main()
