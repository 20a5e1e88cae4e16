"""Preprocessing by name and by numbers, against NumPy and keras.applications on the same pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.networks import graph
from fne_cli.networks.backend import load_keras
from fne_cli.networks.graph import Input
from fne_cli.networks.preprocessing import canonical, prepare, scaled_twice, spelled

keras = load_keras()
layers = keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
FLOATS = PIXELS.astype(np.float64)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def prepared(text: str) -> np.ndarray:
    return np.asarray(prepare(PIXELS, canonical(text, graph.RGB), graph.RGB))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unit", FLOATS / 255),
        ("none", FLOATS),
        ("scale=1/255", FLOATS / 255),
        ("scale=1/127.5,mean=1", FLOATS / 127.5 - 1),
        ("mean=127.5,std=127.5", FLOATS / 127.5 - 1),
        ("mean=0.485/0.456/0.406,std=0.229/0.224/0.225,scale=1/255", (FLOATS / 255 - MEAN) / STD),
        ("mean=123.68/116.779/103.939", FLOATS - [123.68, 116.779, 103.939]),
        ("mean=103.939/116.779/123.68,order=bgr", FLOATS[..., ::-1] - [103.939, 116.779, 123.68]),
        ("order=bgr", FLOATS[..., ::-1]),
        ("std=58.395/57.12/57.375,mean=123.675/116.28/103.53,order=RGB", (FLOATS - MEAN * 255) / (STD * 255)),
        ("scale=-1/255,mean=-1", 1 - FLOATS / 255),
    ],
)
def test_the_numbers_are_those_of_numpy(text: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(prepared(text), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("mean=103.939/116.779/123.68,order=bgr", "caffe"),
        ("scale=1/127.5,mean=1", "tf"),
        ("mean=0.485/0.456/0.406,std=0.229/0.224/0.225,scale=1/255", "torch"),
    ],
)
def test_the_named_ones_can_be_said_in_numbers(text: str, mode: Any) -> None:
    expected = keras.applications.imagenet_utils.preprocess_input(PIXELS.astype(np.float32), mode=mode)
    np.testing.assert_allclose(prepared(text), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(prepared(mode), expected, rtol=1e-6, atol=1e-6)


FULL = "mean=0.485/0.456/0.406,std=0.229/0.224/0.225,order=rgb,scale=0.00392156862745098"


@pytest.mark.parametrize(
    ("written", "one"),
    [
        *((name, name) for name in ("caffe", "tf", "torch", "unit", "none")),
        (" Torch ", "torch"),
        ("mean=0.485/0.456/0.406,std=0.229/0.224/0.225,scale=1/255", FULL),
        ("mean=[0.485,0.456,0.406],std=[0.229,0.224,0.225],scale=1/255", FULL),
        ("mean=(0.485, 0.456, 0.406), std=(.229, .224, .225), scale=1/255", FULL),
        ("mean=0.485,0.456,0.406,std=0.229,0.224,0.225,order=rgb,scale=1/255", FULL),
        ("mean=0.485;0.456;0.406,std=0.229 0.224 0.225,scale=1/255", FULL),
        ("STD=0.229/0.224/0.225,ORDER=RGB,scale=0.00392156862745098,mean=0.485/0.456/0.406", FULL),
        (FULL, FULL),
        ("mean=127.5/127.5/127.5,std=127.5", "mean=127.5,std=127.5,order=rgb,scale=1.0"),
        ("mean=-0", "none"),
        ("scale=1", "none"),
        ("mean=0,std=1,order=rgb,scale=1", "none"),
    ],
)
def test_what_says_the_same_is_written_the_same(written: str, one: str) -> None:
    assert spelled(written) == one == spelled(one)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pytorch", "Found: 'pytorch'. Did you mean torch?"),
        ("", "Found: ''."),
        ("imagenette", "Found: 'imagenette'. Did you mean imagenet?"),
        ("mena=1", "Found: 'mena=1': 'mena' is unknown."),
        ("mean=1,mean=2", "Found: 'mean=1,mean=2': 'mean' is twice."),
        ("scale=1,2", "Found: 'scale=1,2': '2' has no key."),
        ("unit,mean=3", "Found: 'unit,mean=3'."),
        ("std=0", "std should not be 0."),
        ("std=1/0/1", "std should not be 0."),
        ("order=grb", "order should be rgb or bgr. Found: 'grb'."),
        ("scale=0", "scale should be a number, or a fraction as 1/255. Found: '0'."),
        ("scale=1/0", "scale should be a number, or a fraction as 1/255. Found: '1/0'."),
        ("scale=nan", "scale should be a number, or a fraction as 1/255. Found: 'nan'."),
        ("mean=1/2", "(red/green/blue, or as order= says). Found: '1/2'."),
        ("mean=red", "(red/green/blue, or as order= says). Found: 'red'."),
        ("std=inf", "(red/green/blue, or as order= says). Found: 'inf'."),
        ("mean=0.485/0.456/0.406,std=0.229/0.224/0.225",
         "mean=0.485/0.456/0.406 seems to be of pixels from 0 to 1, but they come from 0 to 255. "
         "Add scale=1/255, or scale=1 if it is meant so."),
        ("mean=123.68/116.779/103.939,scale=1/255",
         "mean=123.68/116.779/103.939 is above every pixel, as scale=1/255 makes 255 to 1. "
         "Give the mean of the scaled pixels: they are scaled first."),
    ],
)  # fmt: skip
def test_what_is_no_preprocessing(text: str, told: str) -> None:
    with pytest.raises(BadInput) as error:
        spelled(text)
    assert str(error.value).startswith("--preprocess")
    assert str(error.value).endswith(told)


def test_a_grey_image_has_one_mean() -> None:
    grey = Input(channels=1)
    for text in ("caffe", "torch", "order=bgr", "mean=1/2/3", "std=1/2/3"):
        with pytest.raises(BadInput, match="is for three channels, and the network takes one"):
            canonical(text, grey)
    luma = np.floor((FLOATS * [19595, 38470, 7471]).sum(-1, keepdims=True) / 65536 + 0.5)  # as Pillow's mode L
    for text, expected in (("none", luma), ("unit", luma / 255), ("mean=3/3/3,std=2", (luma - 3) / 2)):
        np.testing.assert_allclose(prepare(PIXELS, canonical(text, grey), grey), expected, rtol=1e-6)


def beginning_with(*first: Any) -> Any:
    images = x = keras.Input((8, 8, 3))
    for step in first:
        x = step(x)
    return graph.flat(keras.Model(images, layers.Conv2D(3, 1)(x), name="own"), 8, 8)


@pytest.mark.parametrize(
    ("first", "named"),
    [
        ((layers.Rescaling(1 / 255, name="to_unit"),), "to_unit, a Rescaling that prepares the images,"),
        ((layers.RandomFlip(), layers.Normalization(mean=3.0, variance=2.0, name="norm")), "norm, a Normalization"),
        ((keras.applications.mobilenet.preprocess_input,), "an operation that prepares the images,"),
        ((keras.applications.vgg16.preprocess_input,), "an operation that prepares the images,"),
        ((keras.applications.densenet.preprocess_input,), "an operation that prepares the images,"),
        ((lambda x: keras.ops.cast(x, "float32") / 255,), "an operation that prepares the images,"),
    ],
)  # fmt: skip
def test_a_network_that_prepares_its_images_itself_is_told_of(first: Any, named: str) -> None:
    (note,) = scaled_twice(beginning_with(*first), "tf")
    assert note.startswith("own begins with ")
    assert named in note
    assert note.endswith(
        "gets --preprocess tf before it. If it was trained on pixels from 0 to 255, give --preprocess none."
    )
    assert not list(scaled_twice(beginning_with(*first), "none"))


def test_other_networks_are_not(tmp_path: Any) -> None:
    for first in ((), (layers.ZeroPadding2D(1),), (layers.BatchNormalization(),), (layers.Resizing(8, 8),)):
        assert not list(scaled_twice(beginning_with(*first), "tf"))
