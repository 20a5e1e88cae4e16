"""A small VGG16, as Keras's constructor is called."""

from __future__ import annotations

from typing import Any

from fne_cli.networks.backend import load_keras


def small_vgg(include_top: bool = True, weights: None = None, input_shape: Any = (8, 8, 3), width: int = 4) -> Any:
    """VGG16 with two layers of each sort."""
    keras = load_keras()
    layers = keras.layers
    x = images = keras.Input(input_shape)
    x = layers.Conv2D(width, 3, activation="relu", name="block1_conv1")(x)
    x = layers.Conv2D(width, 3, activation="relu", name="block1_conv2")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(6, activation="relu", name="fc1")(x)
        x = layers.Dense(5, activation="softmax", name="predictions")(x)
    return keras.Model(images, x, name="vgg16")
