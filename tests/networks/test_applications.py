"""Every network of keras.applications, with random weights: what is tapped is what Keras itself gives there.

docs/networks.md has the table that test_the_table_in_the_documentation compares.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest
from places import DOCS

from fne_cli.networks import graph
from fne_cli.networks.backend import load_keras
from fne_cli.networks.catalog import CATALOG, NAMES
from fne_cli.networks.running.extractor import Extractor
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.networks.tapping.taps import find_taps
from fne_cli.networks.weights import Network

keras = load_keras()
# One of each make goes through the compiled function. Its larger siblings would take minutes to compile, and multiply
# the last bits in which a compiled network differs: of EfficientNetV2L, with random weights, Keras's own outputs for
# two images are others (by their own size, in the last block) in a batch of ten.
COMPILED = (
    "vgg16", "resnet50", "resnet50v2", "mobilenet", "mobilenetv2", "inceptionv3", "inceptionresnetv2", "xception",
    "nasnetmobile", "densenet121", "efficientnetb0", "efficientnetv2b0", "convnexttiny", "mobilenetv3small",
)  # fmt: skip
SMALLEST = {"inceptionv3": 75, "inceptionresnetv2": 75, "xception": 71}  # of others 32 is


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
def test_every_tap_of_every_network_is_keras_own_output(name: str) -> None:
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    constructor, side = getattr(keras.applications, CATALOG[name].constructor), SMALLEST.get(name, 32)
    model = constructor(weights=None, include_top=False, input_shape=(side, side, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    by_keras = outputs_by_name(model)

    flat = graph.flat(model, side, side)
    taps = find_taps(flat)
    assert len({tap.layer for tap in taps}) == len(taps) == expected_taps(model)
    prepared = sys.modules[constructor.__module__].preprocess_input(pixels.astype(np.float32))
    if name in COMPILED:
        network = Network(name, flat, CATALOG[name].preprocess, side, side, "random")
        found = Extractor(network, taps, [Pooling()] * len(taps), 2)(pixels)
    else:
        found = [Pooling()(values) for values in keras.Model(flat.inputs, [tap.tensor for tap in taps])([prepared])]

    outputs = [by_keras[tap.output_of] for tap in taps]
    for tap, rows, reference in zip(taps, found, keras.Model(model.inputs, outputs)([prepared]), strict=True):
        values, exact = np.asarray(rows), np.asarray(reference, np.float64)
        exact = exact.mean(axis=(1, 2)) if exact.ndim == 4 else exact
        assert values.shape == (2, tap.shape[-1]), tap.layer
        np.testing.assert_allclose(values, exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max(), err_msg=tap.layer)


def outputs_by_name(model: Any) -> dict[str, Any]:
    """The output of every operation of a model as Keras has built it, and of the models inside."""
    found = {}
    own = getattr(model, "_functional", None) or model  # of a Sequential
    for node in [node for nodes in own._nodes_by_depth.values() for node in nodes]:
        operation = node.operation
        found[operation.name] = node.output_tensors[0]
        if isinstance(operation, keras.Model):
            for name, output in outputs_by_name(operation).items():
                found[name] = keras.Model(operation.inputs, output)(node.input_tensors[0])
    return found


def expected_taps(model: Any) -> int:
    """Convolutional and dense layers, by the names of their weights."""
    inside = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    return sum(any("kernel" in weight.name for weight in layer.weights) for layer in inside)


def test_the_table_in_the_documentation_has_every_network() -> None:
    page = (DOCS / "networks.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| \d", page, re.MULTILINE) == list(NAMES)
