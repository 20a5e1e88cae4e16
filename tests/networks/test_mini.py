"""The embedded network: its weights are the published ones, and it is VGG16 at a quarter of the width."""

from __future__ import annotations

import hashlib
from importlib import resources

import numpy as np
import pytest
from places import DOCS

from fne_cli.errors import DamagedFile
from fne_cli.networks import mini


@pytest.fixture(scope="module")
def network():
    from fne_cli.networks.weights import open_network

    return open_network("mini").model


def test_weights_are_shipped_and_checked(monkeypatch, network):
    content = resources.files("fne_cli.networks").joinpath("mini.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == mini.WEIGHTS_SHA256
    monkeypatch.setattr(mini, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(DamagedFile, match="should be the weights of mini"):
        mini.load_weights(network)


def test_it_has_vgg16s_layers_at_a_quarter_of_the_width(network):
    import keras

    large = keras.applications.VGG16(weights=None)
    names = [layer.name for layer in large.layers if layer.weights]
    assert [layer.name for layer in network.layers if layer.weights] == names
    for name in names[:-1]:
        assert network.get_layer(name).output.shape[-1] * 4 == large.get_layer(name).output.shape[-1]


@pytest.mark.slow
def test_it_recognises_the_test_images_as_its_model_card_says(network, shared):
    import io
    import re
    import tarfile
    from pathlib import Path

    from PIL import Image

    images, labels = [], []
    with tarfile.open(shared / "data" / "cifar10" / "test.tar") as archive:
        for member in archive:
            if member.isreg():
                images.append(np.asarray(Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")))
                labels.append(mini.CLASSES.index(Path(member.name).parent.name))
    scores = network.predict(np.stack(images).astype("float32") / 127.5 - 1, batch_size=500, verbose=0)
    accuracy = 100 * float((scores.argmax(1) == np.array(labels)).mean())
    card = (DOCS / "mini.md").read_text()
    claimed = float(re.search(r"test accuracy[^0-9]*([0-9.]+) %", card, re.IGNORECASE)[1])
    assert accuracy == pytest.approx(claimed, abs=0.02)
