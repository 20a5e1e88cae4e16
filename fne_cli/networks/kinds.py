"""What stands at a path, by its first bytes: what may hold a network, or something to be refused by what it is."""

from __future__ import annotations

import os
import re
import shlex
import zipfile
from typing import Literal

from fne_cli.errors import BadInput

Container = Literal["hdf5", "zip", "onnx"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FIRST = 4096
_SAVE = "In the Python that has the network: model.save('network.keras')."
_AGAIN = "Copy or download it again."
_NO_CODE = "It may run code of its own when it is read, so it is never opened."
_BUILD_IT = (
    "fne reads networks of Keras and ONNX files. In the Python that has the network: torch.onnx.export(...), as "
    "docs/networks.md has it."
)
_BY_NAME = {
    ".pb": ("a TensorFlow graph, which has compiled code", _SAVE),
    ".safetensors": ("weights without a network", _BUILD_IT),
    ".index": ("a TensorFlow checkpoint: weights without a network", _SAVE),
    ".ckpt": ("a checkpoint: weights without a network", _SAVE),
    ".npy": ("a NumPy array", _SAVE),
}
_PYTORCH = ("a PyTorch file", f"{_NO_CODE} {_BUILD_IT}")
_PICKLE = ("a pickle", f"{_NO_CODE} {_SAVE}")
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_ONNX = ".onnx"  # has no mark of its own at its beginning
ENDINGS = (".keras", ".h5", ".hdf5", _ONNX, ".pt", ".pth", ".tflite", ".pkl", ".pickle", *_BY_NAME)
"""Names with these are of files, whether they exist or not."""


def container(path: str) -> Container:
    """HDF5 or zip: what the network at `path` may be in, whatever its name; ONNX by its name, if nothing else.

    Raises BadInput for what is missing, unreadable, or something else, with what it is and what to do.
    """
    if os.path.isdir(path):
        raise _refused(path, *_folder(path))
    if not os.path.exists(path):
        raise BadInput(f"{path} should be a network in a .keras, .h5 or .onnx file. Found: no such file.")
    try:
        with open(path, "rb") as file:
            first = file.read(_FIRST)
    except OSError as error:
        raise BadInput(f"{path} should be readable. Found: {error.strerror}.") from error
    if first.startswith(_HDF5):
        return "hdf5"
    if first.startswith(b"PK") and zipfile.is_zipfile(path):
        found = _archive(path)
        if found is None:
            return "zip"
        raise _refused(path, *found)
    found = _file(path, first)
    if found is None:
        return "onnx"
    raise _refused(path, *found)


def is_hdf5(path: str) -> bool:
    """Whether a file begins as HDF5 does. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _refused(path: str, found: str, remedy: str) -> BadInput:
    return BadInput(f"{path} should be a network in a .keras, .h5 or .onnx file. Found: {found}.", remedy=remedy)


def is_onnx(model: str) -> bool:
    """Whether --model means an ONNX file, which may be missing or something else. Nothing is loaded for the answer."""
    return model.lower().endswith(_ONNX)


def _file(path: str, first: bytes) -> tuple[str, str] | None:
    ending = os.path.splitext(path)[1].lower()
    text = first.lstrip().lower()
    of_torch = ending in (".pt", ".pth")
    lite = f"It has no layers to tap: take the network that it was made from. {_SAVE}"
    known = (
        (not first, ("an empty file", _AGAIN)),
        (first.startswith(b"PK"), ("an incomplete zip archive", _AGAIN)),
        (
            first.startswith(b"version https://git-lfs"),
            ("a pointer of Git LFS in place of the file", "In its repository: git lfs pull"),
        ),
        (first[4:8] == b"TFL3", ("a TensorFlow Lite file", lite)),
        (re.match(rb"\x80[\x02-\x05]", first), _PYTORCH if of_torch else _PICKLE),
        (ending in _BY_NAME, _BY_NAME.get(ending, ("", ""))),
        (
            text.startswith((b"<!doctype", b"<html", b"<?xml")),
            ("a web page, as a failed download leaves it", "Download it again."),
        ),
        (
            text.startswith(b"{") and b'"class_name"' in text,
            ("the description of a network without its weights", _SAVE),
        ),
        (_is_text(first), ("text", _SAVE)),
    )
    damaged = None if is_onnx(path) else ("something else", f"If it was a network, it is damaged. {_AGAIN}")
    return next((found for fits, found in known if fits), damaged)


def _is_text(first: bytes) -> bool:
    if _CONTROL.search(first):  # the lengths of names in an ONNX file, which may be all that is no letter
        return False
    try:
        first[:-4].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _archive(path: str) -> tuple[str, str] | None:
    """What a zip archive is if it is no network; its directory is all that is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        return f"a damaged zip archive ({error})", _AGAIN
    if "config.json" in names:
        return None
    if any(name.endswith("/data.pkl") for name in names):
        return _PYTORCH
    if any(name.endswith("/config.json") for name in names):
        return (
            "a zip archive with a folder in it",
            "Its files should lie in the archive itself: config.json and others.",
        )
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of NumPy", _SAVE
    return "a zip archive without config.json, so without a network", _SAVE


def _folder(path: str) -> tuple[str, str]:
    def has(name: str) -> bool:
        return os.path.exists(os.path.join(path, name))

    if has("saved_model.pb") and has("keras_metadata.pb"):
        load = f"import tf_keras; tf_keras.models.load_model({path!r}, compile=False).save('network.h5')"
        quoted = shlex.quote(load) if set(load) & set('"$`\\!') else f'"{load}"'  # the latter is easier to read
        return (
            "a SavedModel folder of Keras 2, which has compiled code",
            f"These two lines make a file of it:\npip install tf_keras\npython -c {quoted}",
        )
    if has("saved_model.pb"):
        return "a SavedModel folder, which has compiled code, and no layers to tap", _SAVE
    if has("config.json") and any(has(f"model.weights.{ending}") for ending in ("h5", "npz")):
        return "an unpacked .keras file", f"Pack it: (cd {shlex.quote(path)} && zip -0 -r ../network.keras .)"
    return "a folder without saved_model.pb", "Name a file."
