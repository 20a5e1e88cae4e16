"""The catalogue against Keras's own constructors and their preprocess_input."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.networks import graph
from fne_cli.networks.backend import load_keras
from fne_cli.networks.catalog import CATALOG, NAMES, PREPROCESS, known_name
from fne_cli.networks.running.extractor import Extractor
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.networks.tapping.taps import find_taps
from fne_cli.networks.weights import Network, open_network

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), dtype=np.uint8)


def constructor_of(name: str) -> Any:
    return getattr(load_keras().applications, CATALOG[name].constructor)


@pytest.fixture(scope="module")
def prepared() -> dict[str, np.ndarray]:
    """What each mode of preprocessing makes of PIXELS before the first layer: the layer copies its input."""
    keras = load_keras()
    images = keras.Input((6, 5, 3))
    copy = keras.layers.Conv2D(3, 1, name="copy")
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(copy(images)))
    copy.set_weights([np.eye(3, dtype=np.float32)[None, None], np.zeros(3, np.float32)])
    result = {}
    for mode in PREPROCESS:
        network = Network("copy", graph.flat(model, 6, 5), mode, 6, 5, "file")
        extract = Extractor(network, find_taps(network.model), [Pooling("none")], rows=2)
        result[mode] = np.asarray(extract(PIXELS)[0])
    return result


def test_every_constructor_of_keras_is_in_the_catalogue() -> None:
    constructors = {name for name, member in vars(load_keras().applications).items() if inspect.isfunction(member)}
    assert {known.constructor for known in CATALOG.values()} == constructors


@pytest.mark.parametrize("name", CATALOG)
def test_preprocessing_is_that_of_the_networks_own_module(name: str, prepared: dict[str, np.ndarray]) -> None:
    module = sys.modules[constructor_of(name).__module__]
    expected = module.preprocess_input(PIXELS.astype(np.float32))
    np.testing.assert_allclose(prepared[CATALOG[name].preprocess], expected, rtol=1e-5, atol=1e-5)


ANY_SIZE = ("mobilenetv3small", "mobilenetv3large")


@pytest.mark.parametrize("name", [name for name in CATALOG if name not in ANY_SIZE])
def test_image_size_is_the_constructors_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every constructor settles its input shape by this function first, so nothing needs to be built.
    class Settled(Exception):
        pass

    constructor = constructor_of(name)
    shared = sys.modules[constructor.__module__].imagenet_utils
    settle = shared.obtain_input_shape

    def settled(*args: Any, **kwargs: Any) -> None:
        raise Settled(settle(*args, **kwargs))

    monkeypatch.setattr(shared, "obtain_input_shape", settled)
    with pytest.raises(Settled) as shape:
        constructor(weights="imagenet")
    assert shape.value.args[0] == (CATALOG[name].image_size, CATALOG[name].image_size, 3)


@pytest.mark.parametrize("name", ANY_SIZE)
def test_image_size_is_the_documented_one_where_the_constructor_takes_any(name: str) -> None:
    size = CATALOG[name].image_size
    assert f"an input image resolution that is not `({size}, {size}, 3)`" in " ".join(
        constructor_of(name).__doc__.split()
    )


def test_a_network_by_name_takes_what_the_catalogue_says() -> None:
    network = open_network("mobilenetv2", weights="random")
    assert network.model.input_shape == (None, 224, 224, 3)
    assert (network.height, network.width, network.preprocess) == (224, 224, "tf")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnexttiny", "efficientnetv2b0", "nasnetmobile", "densenet121", "inceptionv3"])
def test_networks_of_every_make_are_tapped(name: str) -> None:
    taps = find_taps(open_network(name, weights="random").model)
    assert [tap.layer for tap in taps if tap.is_classifier] == [taps[-1].layer]
    assert all(None not in tap.shape for tap in taps)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("vgg16", "vgg16"),
        ("VGG16", "vgg16"),
        ("ResNet-50_V2", "resnet50v2"),
        ("mini", "mini"),
        ("x/Net.keras", None),
        ("places.h5", None),
    ],
)
def test_names_in_any_spelling(written: str, name: str | None) -> None:
    assert known_name(written) == name


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("vg16", "'vg16' should be a network's name or a .keras file. Did you mean vgg16?"),
        ("???", f"'???' should be a network's name or a .keras file. Known: {', '.join(NAMES)}."),
        ("", f"'' should be a network's name or a .keras file. Known: {', '.join(NAMES)}."),
    ],
)
def test_other_names_are_errors_that_say_what_to_write(written: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        known_name(written)
    assert str(error.value) == message
