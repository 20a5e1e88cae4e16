"""``mini``: VGG16's sixteen weight layers at a quarter of the width, for 32 x 32 images.

Trained on CIFAR-10 by ``scripts/train_mini.py``; ``docs/mini.md`` is its model card. It exists so that the whole
pipeline runs without a download: the weights ship with the package.
"""

from __future__ import annotations

import hashlib
import io
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from fne_cli.errors import DamagedFile

if TYPE_CHECKING:
    import keras

IMAGE_SIZE = 32
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
WEIGHTS_SHA256 = "5390b0cd7cacfc0a610de7fba8581f8c5b33134c21a92b45882627b49359a631"

_BLOCKS = ((16, 2), (32, 2), (64, 3), (128, 3), (128, 3))  # (filters, convolutions) of each block
_DENSE = 1024


def build() -> keras.Model:
    """The network with Keras's initial weights: input (batch, 32, 32, 3), output (batch, 10) probabilities."""
    import keras
    from keras import layers

    x = images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), name="images")
    for block, (filters, convolutions) in enumerate(_BLOCKS, start=1):
        for index in range(1, convolutions + 1):
            name = f"block{block}_conv{index}"
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(_DENSE, activation="relu", name="fc1")(x)
    x = layers.Dense(_DENSE, activation="relu", name="fc2")(x)
    x = layers.Dense(len(CLASSES), activation="softmax", name="predictions")(x)
    return keras.Model(images, x, name="mini")


def load_weights(model: keras.Model) -> None:
    """Set the weights that ship with the package. Raises DamagedFile if they are not the published ones."""
    path = resources.files("fne_cli.networks").joinpath("mini.npz")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise DamagedFile(
            f"{path} should be the weights of mini with SHA-256 {WEIGHTS_SHA256}.\n"
            f"Found: {digest}.\nReinstall fne-cli: pip install --force-reinstall --no-deps fne-cli"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights([arrays[f"{layer.name}/{part}"].astype(np.float32) for part in ("kernel", "bias")])
