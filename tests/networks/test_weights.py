"""Networks with their weights: Keras's three file layouts, its cache, .keras files, and everything that is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import urllib.error
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from small_networks import small_vgg

from fne_cli.errors import BadInput
from fne_cli.networks import graph, mini
from fne_cli.networks.backend import load_keras
from fne_cli.networks.tapping.taps import find_taps, select
from fne_cli.networks.weights import Network, open_network

keras = load_keras()
layers = keras.layers
SIZE = (8, 8)


@pytest.fixture
def vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "VGG16", small_vgg)


def save_published(model: Any, path: Path) -> None:
    """The layout of the files that Keras publishes for its networks."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0".encode() for weight in layer.weights]
            group.attrs["weight_names"] = names
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name.decode()] = value


LAYOUTS: dict[str, Callable[[Any, Path], None]] = {
    "published.h5": save_published,
    "whole.h5": lambda model, path: model.save(path),
    "new.weights.h5": lambda model, path: model.save_weights(path),
}


def digest(model: Any) -> str:
    return Network("", model, "none", *SIZE, "").weights_sha256()


def fails(*arguments: Any, **options: Any) -> str:
    with pytest.raises(BadInput) as error:
        open_network(*arguments, **options)
    return str(error.value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("with_top", [True, False])
def test_weights_load_from_every_layout_with_and_without_top(
    layout: str, with_top: bool, tmp_path: Path, vgg: None
) -> None:
    model = small_vgg(with_top)
    LAYOUTS[layout](model, tmp_path / layout)
    network = open_network("vgg16", str(tmp_path / layout), image_size=SIZE)
    assert [tap.layer for tap in select(find_taps(network.model), ())] == (
        ["block1_conv1", "block1_conv2", "fc1"] if with_top else ["block1_conv1", "block1_conv2"]
    )
    assert network.weights_sha256() == digest(model)
    assert (network.weights, network.preprocess) == ("file", "caffe")
    for mine, theirs in zip(network.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_networks_weights_are_refused(layout: str, tmp_path: Path, vgg: None) -> None:
    path = tmp_path / layout
    LAYOUTS[layout](small_vgg(width=3), path)
    message = fails("vgg16", str(path), image_size=SIZE)
    assert message.startswith(f"--weights {path} should hold the weights of vgg16. Found:\nwith top: ")
    assert "\nwithout top: " in message
    assert len(message) < 1000


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_truncated_file_is_refused(layout: str, tmp_path: Path, vgg: None) -> None:
    path = tmp_path / layout
    LAYOUTS[layout](small_vgg(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "truncated file" in fails("vgg16", str(path), image_size=SIZE)


def test_what_is_no_weights_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.h5").write_text("<html>404</html>")
    (tmp_path / "weights.ckpt").write_bytes(b"")
    (tmp_path / "folder.h5").mkdir()

    def message(name: str) -> str:
        return fails("vgg16", str(tmp_path / name)).replace(f"{tmp_path}/", "")

    assert message("gone.h5") == "--weights should be imagenet, random or an .h5 file. Found: no file gone.h5."
    assert message("folder.h5") == "--weights should be imagenet, random or an .h5 file. Found: no file folder.h5."
    assert message("weights.ckpt") == (
        "--weights weights.ckpt should end in .h5 (Keras's weights, .h5 or .weights.h5)."
    )
    assert message("page.h5") == (
        "--weights page.h5 should be an HDF5 file. Found: something else, or an incomplete download."
    )

    def closed(*arguments: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("fne_cli.networks.kinds.open", closed, raising=False)
    assert message("page.h5") == "--weights page.h5 should be readable. Found: Permission denied."


def test_external_links_in_a_weights_file_are_not_followed(tmp_path: Path, vgg: None) -> None:
    small_vgg().save_weights(tmp_path / "secret.weights.h5")
    with h5py.File(tmp_path / "link.weights.h5", "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "secret.weights.h5"), "/layers")
    assert "should hold the weights of vgg16" in fails("vgg16", str(tmp_path / "link.weights.h5"), image_size=SIZE)


def test_the_digest_is_of_the_weights_not_of_their_file(tmp_path: Path, vgg: None) -> None:
    model = small_vgg()
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    from_keras = open_network(str(tmp_path / "model.keras"), preprocess="caffe")
    from_h5 = open_network("vgg16", str(tmp_path / "model.weights.h5"), image_size=SIZE)
    assert from_keras.weights_sha256() == from_h5.weights_sha256() == digest(model)


@pytest.mark.parametrize("layer", ["block1_conv1", "predictions"])
def test_one_bit_of_one_weight_changes_the_digest(layer: str) -> None:
    model = small_vgg()
    before = digest(model)
    values = model.get_layer(layer).get_weights()
    values[1].view(np.uint32)[-1] ^= 1
    model.get_layer(layer).set_weights(values)
    changed = digest(model)
    values[1].view(np.uint32)[-1] ^= 1
    model.get_layer(layer).set_weights(values)
    assert changed != before == digest(model)


def test_random_weights_follow_the_seed_though_others_draw_numbers(monkeypatch) -> None:
    import random

    import keras

    from fne_cli.networks import mini

    keras.utils.set_random_seed(1)
    expected = mini.build().get_weights()
    build = mini.build

    def beside_another_thread():
        random.random()
        return build()

    monkeypatch.setattr(mini, "build", beside_another_thread)
    found = open_network("mini", "random", 1).model.get_weights()
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_random_weights_follow_the_seed() -> None:
    first, again, other = (open_network("mini", "random", seed).weights_sha256() for seed in (1, 1, 2))
    assert first == again != other
    assert open_network("mini", "random", 7).weights == "random, seed 7"


def test_mini_takes_weights_from_a_file_too(tmp_path: Path) -> None:
    model = mini.build()
    model.save_weights(tmp_path / "mini.weights.h5")
    network = open_network("mini", str(tmp_path / "mini.weights.h5"))
    assert (network.height, network.width, network.preprocess) == (32, 32, "tf")
    assert network.weights_sha256() == digest(model)
    small_vgg().save_weights(tmp_path / "other.weights.h5")
    assert "without top" not in fails("mini", str(tmp_path / "other.weights.h5"))


def test_mini_says_what_it_is_not() -> None:
    assert fails("mini", "imagenet") == (
        "mini was trained on CIFAR-10; there are no ImageNet weights of it. Leave --weights out."
    )
    assert fails("mini", "random", image_size=(224, 320)) == "--image-size of mini should be 32. Found: 224 x 320."


def test_at_another_size_a_known_network_is_built_without_its_dense_layers() -> None:
    network = open_network("vgg16", "random", image_size=(32, 48))
    taps = find_taps(network.model)
    assert len(taps) == 13
    assert taps[-1].shape == (2, 3, 512)
    assert (network.height, network.width) == (32, 48)


def test_too_small_a_size_is_an_error() -> None:
    message = fails("vgg16", "random", image_size=(16, 16))
    assert message.startswith("VGG16 cannot be built for images of 16 x 16: Input size must be at least 32x32")


# ImageNet weights and Keras's cache


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    files = sys.modules[keras.applications.MobileNet.__module__].file_utils

    def unreachable(*arguments: Any) -> None:
        raise urllib.error.URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # read by Keras when it is imported, by the error message later
    monkeypatch.setattr(files.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(files, "urlretrieve", unreachable)
    (tmp_path / "models").mkdir()
    return tmp_path


def test_imagenet_weights_come_from_kerass_cache(keras_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # Keras checks a digest of most networks' files, which a file made here cannot have; MobileNet's it takes as it is.
    model = keras.applications.MobileNet(weights=None)
    save_published(model, keras_home / "models/mobilenet_1_0_224_tf.h5")
    network = open_network("mobilenet")
    assert (network.weights, network.weights_sha256()) == ("imagenet", digest(model))
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_imagenet_weights_at_another_size_are_those_without_top(keras_home: Path) -> None:
    headless = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(160, 160, 3))
    save_published(headless, keras_home / "models/mobilenet_1_0_160_tf_no_top.h5")
    sized = open_network("mobilenet", "imagenet", image_size=(160, 160))
    assert sized.weights_sha256() == digest(headless)


def test_without_network_the_error_says_what_to_fetch_and_where_to_put_it(
    keras_home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = "mobilenet_1_0_224_tf.h5"
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/{file}"
    message = fails("mobilenet")
    assert message.splitlines() == [
        "The ImageNet weights of mobilenet should be in Keras's cache or on the network.",
        f"Found: URL fetch failure on {url}: None -- [Errno -3] Temporary failure in name resolution",
        f"Fetch {url}",
        f"on a machine with network access, then put it at {keras_home}/models/{file}",
        f"or pass it: --weights {file}",
    ]
    assert capfd.readouterr().out == ""  # Keras announces downloads on standard output


def test_an_error_without_an_address_still_says_where(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(sys.modules[keras.applications.MobileNet.__module__].file_utils, "urlretrieve", broken)
    message = fails("mobilenet")
    assert "Found: [Errno 104] Connection reset by peer" in message
    assert f"put it at {keras_home}/models/FILE.h5" in message
    assert "--weights FILE.h5" in message


@pytest.mark.slow
def test_without_network_the_command_ends_with_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\nimage.png\n")
    (tmp_path / "image.png").write_bytes(b"")
    nowhere = {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "fne_cli", "extract", "list.csv", "out.h5"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | nowhere, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"put it at {tmp_path}/cache/models/vgg16_weights_tf_dim_ordering_tf_kernels.h5" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.h5").exists()


# .keras files


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], str]:
    def save(model: Any) -> str:
        model.save(tmp_path / "net.keras")
        return str(tmp_path / "net.keras")

    return save


def test_a_keras_file_has_its_weights_size_and_name(saved: Callable[[Any], str]) -> None:
    model = small_vgg()
    network = open_network(saved(model), preprocess="torch")
    assert (network.name, network.height, network.width) == ("vgg16", 8, 8)
    assert (network.weights, network.preprocess, network.precision) == ("file", "torch", "float32")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(network.model(pixels), model(pixels))


def test_a_keras_file_of_any_size_needs_one(saved: Callable[[Any], str]) -> None:
    path = saved(small_vgg(include_top=False, input_shape=(None, None, 3)))
    assert fails(path, preprocess="none") == f"{path} takes images of any size. Give --image-size."
    network = open_network(path, preprocess="none", image_size=(12, 10))
    assert [tap.shape for tap in find_taps(network.model)] == [(10, 8, 4), (8, 6, 4)]
    path = saved(small_vgg(include_top=False, input_shape=(None, 10, 3)))
    assert (
        fails(path, preprocess="none", image_size=(12, 12))
        == f"{path} takes images of None x 10. Found: --image-size 12 x 12."
    )


def test_what_does_not_go_with_a_keras_file(saved: Callable[[Any], str]) -> None:
    path = saved(small_vgg())
    assert fails(path, "random", preprocess="none") == f"{path} has its own weights. Leave --weights out."
    assert fails(path, preprocess="none", image_size=(9, 8)) == (
        f"{path} takes images of 8 x 8. Found: --image-size 9 x 8."
    )
    message = fails(path)
    assert message.startswith(
        f"{path} does not say how its input is to be prepared. Give --preprocess caffe|tf|torch|unit|none|"
        "imagenet|clip:\n"
        "caffe: BGR minus the ImageNet means; tf: -1 ... 1; torch or imagenet: ImageNet mean and deviation; "
        "clip: those of CLIP; unit: 0 ... 1; none: 0 ... 255;\nor numbers: "
        "mean=0.485/0.456/0.406,std=0.229/0.224/0.225,order=rgb,scale=1/255.\n"
        "It is what was done to the images in training: "
    )


@pytest.mark.parametrize(
    ("shapes", "found", "way_out"),
    [
        ([(8, 3)], "[(None, 8, 3)]", "Only networks of images"),
        (
            [(8, 8, 4)],
            "[(None, 8, 8, 4)]",
            "Images are decoded to three channels. Where a fourth one is opacity, make it one that is full",
        ),
        ([(8, 8, 3), (8, 8, 3)], "[(None, 8, 8, 3), (None, 8, 8, 3)]", "Save the branch of the image alone"),
    ],
)
def test_inputs_other_than_one_image_are_refused_with_the_way_out(
    shapes: list[tuple[int, ...]], found: str, way_out: str, saved: Callable[[Any], str]
) -> None:
    inputs = [keras.Input(shape) for shape in shapes]
    joined = layers.Concatenate()([layers.Flatten()(tensor) for tensor in inputs] * 2)
    path = saved(keras.Model(inputs, layers.Dense(2)(joined)))
    assert fails(path, preprocess="none").startswith(
        f"{path} should take one RGB image, (batch, height, width, 3), or a grey one. Found: {found}.\n{way_out}"
    )


def test_code_in_a_keras_file_is_never_run(saved: Callable[[Any], str], tmp_path: Path) -> None:
    marker = str(tmp_path / "ran")
    images = keras.Input((8, 8, 3))
    path = saved(keras.Model(images, layers.Lambda(lambda x, marker=marker: (open(marker, "w"), x)[1])(images)))  # noqa: SIM115  # must not run
    Path(marker).unlink(missing_ok=True)
    message = fails(path, preprocess="none")
    assert message.startswith(f"{path} cannot be loaded as a Keras model in safe mode: ")
    assert "arbitrary code execution" in message
    assert message.endswith("\nIt should be made of Keras's own layers, without Lambda layers or others of its own.")
    assert not Path(marker).exists()


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_damage_inside_a_keras_file_is_an_error(member: str, tmp_path: Path, saved: Callable[[Any], str]) -> None:
    path = saved(small_vgg())
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[member] = contents[member][: len(contents[member]) // 2]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert fails(path, preprocess="none").startswith(f"{path} cannot be loaded as a Keras model in safe mode: ")


def test_a_keras_file_with_a_layer_that_is_no_model_is_refused(tmp_path: Path, saved: Callable[[Any], str]) -> None:
    path = saved(keras.Sequential([layers.Conv2D(3, 1)]))  # never built: it has no input
    message = fails(path, preprocess="none")
    assert "should take one RGB image" in message
    assert message.endswith("\nBuild it before it is saved: model.build((None, height, width, 3)).")


def test_taps_of_a_network_in_16_bits_are_those_of_the_network() -> None:
    network = open_network("mini", "random", precision="bfloat16")
    assert network.precision == "bfloat16"
    plain = open_network("mini", "random")
    assert network.weights_sha256() == plain.weights_sha256()
    assert [tap.shape for tap in find_taps(network.model)] == [tap.shape for tap in find_taps(plain.model)]
    assert graph.calls(network.model)[0].operation.compute_dtype == "bfloat16"
