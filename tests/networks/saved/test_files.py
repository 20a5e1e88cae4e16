"""Networks from files: whatever the name, nothing but networks, and nothing that a file only claims."""

from __future__ import annotations

import json
import pickle
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import activations
import h5py
import numpy as np
import pytest
from keras2_files import conv, functional, image, write_h5, write_keras

from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
from fne_cli.networks.catalog import known_name
from fne_cli.networks.saved import files, hdf5
from fne_cli.networks.weights import open_network

keras = load_keras()
layers = keras.layers
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
SAVE = "In the Python that has the network: model.save('network.keras')."
AGAIN = "Copy or download it again."


def fails(path: Path) -> str:
    with pytest.raises(BadInput) as error:
        open_network(str(path), preprocess="none")
    return str(error.value)


def small() -> Any:
    """Two branches of one shape, a model in the model, and weights that are no numbers at the start."""
    images = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1), layers.BatchNormalization()], name="inner")
    inner.trainable = False
    one, other = layers.Conv2D(3, 3, padding="same"), layers.Conv2D(3, 3, padding="same")
    model = keras.Model(
        images, layers.Dense(2)(layers.Flatten()(layers.Subtract()([other(inner(images)), one(images)])))
    )
    random = np.random.default_rng(3)
    model.set_weights([np.abs(random.normal(0, 1, value.shape)) + 0.1 for value in model.get_weights()])
    return model


@pytest.mark.parametrize("name", ["net.h5", "net.hdf5", "net.keras"])
@pytest.mark.parametrize("called", [None, "net.h5", "net.keras", "net"])
def test_a_network_of_keras_3_is_read_whatever_its_name(name: str, called: str | None, tmp_path: Path) -> None:
    model = small()
    model.save(tmp_path / name)
    path = (tmp_path / name).rename(tmp_path / (called or name))
    found = files.load(str(path))
    np.testing.assert_allclose(found(PIXELS), model(PIXELS), rtol=1e-6)
    assert known_name(str(path)) is None


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def zipped(name: str, *members: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member in members:
                archive.writestr(member, "x")
        return folder / name

    return write


def foldered(*members: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "fol der").mkdir()
        for member in members:
            (folder / "fol der" / member).write_bytes(b"")
        return folder / "fol der"

    return make


def cut(folder: Path) -> Path:
    small().save(folder / "net.keras")
    content = (folder / "net.keras").read_bytes()
    (folder / "net.keras").write_bytes(content[: len(content) // 2])
    return folder / "net.keras"


NO_CODE = "It may run code of its own when it is read, so it is never opened."
BUILD = (
    "fne reads networks of Keras and ONNX files. In the Python that has the network: torch.onnx.export(...), as "
    "docs/networks.md has it."
)


@pytest.mark.parametrize(
    ("make", "found", "remedy"),
    [
        (written("net.keras", b""), "an empty file", AGAIN),
        (written("net.h5", b"layer,units\n1,2\n"), "text", SAVE),
        (written("net.keras", b"\n <!DOCTYPE html><html>"), "a web page, as a failed download leaves it",
         "Download it again."),
        (written("net.keras", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
         "a pointer of Git LFS in place of the file", "In its repository: git lfs pull"),
        (written("net.h5", json.dumps({"class_name": "Sequential", "config": {}}).encode()),
         "the description of a network without its weights", SAVE),
        (written("net.keras", b"\x00\x01\xff" * 9), "something else", f"If it was a network, it is damaged. {AGAIN}"),
        (cut, "an incomplete zip archive", AGAIN),
        (zipped("net.keras", "holiday.txt"), "a zip archive without config.json, so without a network", SAVE),
        (zipped("net.keras", "net/config.json", "net/model.weights.h5"), "a zip archive with a folder in it",
         "Its files should lie in the archive itself: config.json and others."),
        (zipped("net.pt", "net/data.pkl", "net/data/0"), "a PyTorch file", f"{NO_CODE} {BUILD}"),
        (written("net.pth", pickle.dumps([1], 2)), "a PyTorch file", f"{NO_CODE} {BUILD}"),
        (written("net.pkl", pickle.dumps({"a": 1})), "a pickle", f"{NO_CODE} {SAVE}"),
        (written("net.keras", pickle.dumps({"a": 1})), "a pickle", f"{NO_CODE} {SAVE}"),
        (written("net.tflite", b"\x1c\x00\x00\x00TFL3\x00"), "a TensorFlow Lite file",
         f"It has no layers to tap: take the network that it was made from. {SAVE}"),
        (written("net.safetensors", b"\x40\x00\x00\x00\x00\x00\x00\x00{"), "weights without a network", BUILD),
        (written("net.pb", b"\x0a\x05"), "a TensorFlow graph, which has compiled code", SAVE),
        (zipped("net.npz", "kernel.npy"), "arrays of NumPy", SAVE),
        (foldered(), "a folder without saved_model.pb", "Name a file."),
        (foldered("saved_model.pb"), "a SavedModel folder, which has compiled code, and no layers to tap", SAVE),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused_by_what_it_is(
    make: Callable[[Path], Path], found: str, remedy: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    assert fails(path) == f"{path} should be a network in a .keras, .h5 or .onnx file. Found: {found}.\n{remedy}"
    with pytest.raises(BadInput) as error:
        open_network(str(path))  # it is no question of the preprocessing
    assert "--preprocess" not in str(error.value)


def test_an_unpacked_network_is_packed_by_the_line_that_is_given(tmp_path: Path) -> None:
    model = small()
    model.save(tmp_path / "net.keras")
    folder = foldered()(tmp_path)
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        archive.extractall(folder)
    message = fails(folder)
    assert f"Found: an unpacked .keras file.\nPack it: (cd {shlex.quote(str(folder))} && zip -0 -r" in message


def test_a_folder_of_keras_2_is_converted_by_two_lines(tmp_path: Path) -> None:
    folder = foldered("saved_model.pb", "keras_metadata.pb")(tmp_path)
    first, what, install, convert = fails(folder).splitlines()
    assert first.endswith("Found: a SavedModel folder of Keras 2, which has compiled code.")
    assert (what, install) == ("These two lines make a file of it:", "pip install tf_keras")
    program = shlex.split(convert)[-1]
    assert program == f"import tf_keras; tf_keras.models.load_model({str(folder)!r}, compile=False).save('network.h5')"


def test_a_file_that_is_not_there() -> None:
    for name in ("gone.keras", "gone.h5", "gone.pt"):
        assert fails(Path(name)) == f"{name} should be a network in a .keras, .h5 or .onnx file. Found: no such file."


def test_weights_alone_belong_to_a_network(tmp_path: Path) -> None:
    small().save_weights(tmp_path / "net.weights.h5")
    path = tmp_path / "net.weights.h5"
    assert fails(path) == (
        f"{path} should hold a whole network. Found: weights only.\n"
        f"If they are of a network that fne knows: --model vgg16 --weights {path}. "
        "Else save the whole of it: model.save('network.keras')."
    )
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = [1, 2]
    assert "Found: an HDF5 file without one." in fails(tmp_path / "other.h5")


def test_a_file_of_ours_is_no_network(tmp_path: Path) -> None:
    path = activations.write(tmp_path / "photos.h5", {"conv": np.ones((2, 3), np.float32)}, activations.table(2))
    assert fails(path) == (
        f"{path} should hold a whole network. Found: an fne activations file.\n"
        f"--model is the network: fne info {path} says which it was."
    )


# Hostile files


def plain(tmp_path: Path, **members: bytes) -> Path:
    model = functional("net", [image((8, 8, 3)), conv("c", "image")], "c")
    variables = {"layers/conv2d/vars/0": np.ones((1, 1, 3, 3)), "layers/conv2d/vars/1": np.ones(3)}
    return write_keras(tmp_path / "net.keras", model, variables, **members)


@pytest.mark.parametrize("member", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_bomb_in_an_archive_is_not_unpacked(member: str, tmp_path: Path) -> None:
    whole = plain(tmp_path)
    assert files.load(str(whole)).name == "net"
    with zipfile.ZipFile(whole) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, bytes(80 << 20) if name == member else content)
    message = fails(tmp_path / "bomb.keras")
    told = "claims 83,886,080 bytes" if member.endswith("h5") else "should have at most 64 MiB. Found: 83,886,080 bytes"
    assert f"{member} {told}" in message


def test_nothing_else_of_an_archive_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras unpacks all of an archive of more than three files."""
    model = small()
    model.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras", "a") as archive:
        archive.writestr("../escaped", "x")
        archive.writestr("assets/escaped", "x")
    unpacked: list[Any] = []
    monkeypatch.setattr(zipfile.ZipFile, "extractall", lambda *arguments, **named: unpacked.append(arguments))
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *arguments, **named: unpacked.append(arguments))
    np.testing.assert_allclose(files.load(str(tmp_path / "net.keras"))(PIXELS), model(PIXELS), rtol=1e-6)
    assert not unpacked
    assert not list(tmp_path.parent.glob("**/escaped"))


def secret(folder: Path) -> Path:
    with h5py.File(folder / "secret.h5", "w") as file:
        file["kernel"], file["group/c/kernel:0"] = np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3))
        file["group/c/bias:0"] = np.ones(3)
    return folder / "secret.h5"


def _external(group: Any, folder: Path) -> None:
    group["c/kernel:0"] = h5py.ExternalLink(str(secret(folder)), "kernel")


def _soft(group: Any, folder: Path) -> None:
    group["c/kernel:0"] = h5py.SoftLink("/elsewhere")


def _raw(group: Any, folder: Path) -> None:
    group.create_dataset("c/kernel:0", (1, 1, 3, 3), "f4", external=[(str(secret(folder)), 0, h5py.h5f.UNLIMITED)])


def _virtual(group: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout((1, 1, 3, 3), "f4")
    layout[:] = h5py.VirtualSource(secret(folder), "kernel", (1, 1, 3, 3))
    group.create_virtual_dataset("c/kernel:0", layout)


def _circle(group: Any, folder: Path) -> None:
    group["c/again"] = group


def _huge(group: Any, folder: Path) -> None:
    group.create_dataset("c/kernel:0", (1, 1, 3, 1 << 40), "f4", chunks=(1, 1, 1, 1 << 20))


def _texts(group: Any, folder: Path) -> None:
    group["c/kernel:0"] = np.full((1, 1, 3, 3), b"x")


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        (_external, "/model_weights/c/c/kernel:0 is a link"),
        (_soft, "/model_weights/c/c/kernel:0 is a link"),
        (_raw, "/model_weights/c/c/kernel:0 lies in another file"),
        (_virtual, "/model_weights/c/c/kernel:0 lies in another file"),
        (_circle, "its groups have no end"),
        (_huge, "should be 1 x 1 x 3 x 3. Found: 1 x 1 x 3 x 1099511627776."),
        (_texts, "should have numbers. Found: |S1."),
    ],
)
def test_weights_that_are_elsewhere_or_not_what_they_claim(bend: Any, told: str, tmp_path: Path) -> None:
    model = functional("net", [image((8, 8, 3)), conv("c", "image")], "c")
    path = write_h5(tmp_path / "net.h5", model, {"c": {"c/bias:0": np.ones(3)}})
    with h5py.File(path, "a") as file:
        bend(file["model_weights/c"], tmp_path)
    assert fails(path).endswith(told)


def test_a_group_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", functional("net", [image((8, 8, 3)), conv("c", "image")], "c"), {})
    with h5py.File(path, "a") as file:
        file["model_weights/c"] = h5py.ExternalLink(str(secret(tmp_path)), "group")
    assert fails(path).endswith("/model_weights/c is a link")


@pytest.mark.parametrize(
    "config",
    [b"", b"[]", b"{}", b'{"class_name": "Functional"}', b"[" * 100_000, b'{"class_name": "Functional", "config": []}',
     b'{"class_name": "Sequential", "config": {"layers": [3]}}', b"\xff\xfe"],
)  # fmt: skip
def test_descriptions_that_are_none(config: bytes, tmp_path: Path) -> None:
    for members in ({}, {"metadata_json": b'{"keras_version": "3.9.0"}'}):
        path = plain(tmp_path, config_json=config, **members)
        assert fails(path).startswith(f"{path} cannot be loaded as a Keras model in safe mode: ")


def of_keras_3(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A network of Keras 3 with another layer in the place of its convolution."""
    images = keras.Input((8, 8, 3))
    keras.Model(images, layers.Conv2D(3, 1, name="c", activation="relu")(images)).save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(contents["config.json"])
    described["config"]["layers"][1] |= change(described["config"]["layers"][1])
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, json.dumps(described) if name == "config.json" else content)
    return tmp_path / "net.keras"


def _function(name: str, module: str = "builtins") -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda own: {"class_name": "Lambda", "config": {"name": "lam", "function": _function("relu")}},
         "layer lam (Lambda)"),
        (lambda own: {"class_name": "TFSMLayer", "config": {"name": "tfsm", "filepath": "/etc"}},
         "layer tfsm (TFSMLayer)"),
        (lambda own: {"module": "os", "class_name": "system", "config": {"name": "c"}}, "layer c (class os.system)"),
        (lambda own: {"module": "keras.utils", "class_name": "get_file"}, "layer c (class keras.utils.get_file)"),
        (lambda own: {"module": "keras_hub.layers", "class_name": "Own"}, "layer c (class keras_hub.layers.Own)"),
        (lambda own: {"module": None, "class_name": "Own", "registered_name": "Own"}, "layer c (class Own)"),
        (lambda own: {"registered_name": "theirs>Conv2D"}, "layer c (class theirs>Conv2D)"),
        (lambda own: {"config": own["config"] | {"activation": "their_gelu"}}, "layer c (the function their_gelu)"),
        (lambda own: {"config": own["config"] | {"activation": _function("load_model", "keras.saving")}},
         "layer c (the function load_model)"),
        (lambda own: {"config": own["config"] | {"activation": {"class_name": "__lambda__", "config": {"value": "4"}}}},
         "layer c (__lambda__)"),
    ],
)  # fmt: skip
def test_what_is_not_kerass_own_is_named_before_it_is_made(change: Any, named: str, tmp_path: Path) -> None:
    path = of_keras_3(tmp_path, change)
    assert fails(path).splitlines() == [
        f"{path} cannot be loaded as a Keras model in safe mode: it has code of its own (arbitrary code execution): "
        f"{named}.",
        "It should be made of Keras's own layers, without Lambda layers or others of its own.",
    ]


def test_a_loss_of_ones_own_is_no_obstacle(tmp_path: Path) -> None:
    model = small()
    model.compile("adam", loss=lambda wanted, found: wanted - found)
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        np.testing.assert_allclose(files.load(str(tmp_path / name))(PIXELS), model(PIXELS), rtol=1e-6)


@pytest.mark.parametrize("offset", range(16))
def test_a_heap_in_which_hdf5_would_go_round_for_ever(tmp_path, monkeypatch, offset):
    """Whichever part of the file its beginning is read with."""
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}" * 40
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL\1\0\0\0")
    monkeypatch.setattr(hdf5, "_BLOCK", heap - 4 + offset)
    hdf5.opened(path).close()
    content[heap + 16 : heap + 32] = bytes(16)  # an entry that is free, and of no length
    path.write_bytes(content)
    with pytest.raises(hdf5.Suspicious, match="an entry of no length"):
        hdf5.opened(path)
    with pytest.raises(BadInput, match=r"texts\.h5 .*an entry of no length"):
        files.load(str(path))
