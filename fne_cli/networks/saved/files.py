"""Networks from files: .keras and whole models in HDF5, of Keras 2 and 3, in safe mode.

What cannot be read safely is refused by name before it is made.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from fne_cli.errors import BadInput
from fne_cli.networks.graph import Input, is_quantised
from fne_cli.networks.kinds import Container, container
from fne_cli.networks.saved import hdf5, keras2_weights
from fne_cli.networks.saved.keras2 import translated
from fne_cli.networks.saved.safety import foreign

if TYPE_CHECKING:
    import keras

_TEXT_BYTES = 64 << 20  # far more than any description has; a zip of zeros may claim anything
_SMALL = 64 << 20
_EXPANSION = 100  # Keras stores members as they are; nobody's weights can be packed that much
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_STUMBLES = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


def load(path: str) -> keras.Model:
    """The model of a file, its weights in float32 if they were floats of another size.

    Raises BadInput for what is no such file, has code of its own, or cannot be read by this version of Keras.
    """
    import keras

    kind = container(path)
    config, version = _described(path, kind)
    if version.split(".")[0] in ("0", "1"):
        raise BadInput(
            f"{path} should be of Keras 2 or 3. Found: Keras {version}.\nLoad it with Keras 2.2, and save it again."
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            of_keras_2 = version.startswith("2.")
            description = translated(config) if of_keras_2 else config
            _refuse_foreign(path, description)
            model = _from_keras_2(path, kind, description, config) if of_keras_2 else _from_keras_3(path, kind)
    except BadInput:
        raise
    except Exception as error:  # damage, or layouts of other versions: Keras has no common class for these
        remedy = _remedy(str(error))
        raise BadInput(f"{path} cannot be loaded as a Keras model in safe mode: {brief(error)}{remedy}") from error
    return _in_float32(model) if isinstance(model, keras.Model) else model


def brief(error: BaseException) -> str:
    """An error's text in one line, cut; of Keras's, what it found and not the description of the whole network."""
    text = str(error).rsplit("Exception encountered: ", 1)[-1]
    return " ".join(text.split())[:300] or type(error).__name__


def input_of(path: str, model: Any) -> tuple[Input, tuple[int | None, int | None]]:
    """What the model takes, and the height and width that it fixes. Raises BadInput with the way out."""
    import keras

    inputs = getattr(model, "inputs", None) or []
    shapes = [tuple(tensor.shape) for tensor in inputs]
    wants = f"{path} should take one RGB image, (batch, height, width, 3), or a grey one. Found: {shapes or model}."
    if not isinstance(model, keras.Model) or not shapes:
        raise BadInput(f"{wants}\nBuild it before it is saved: model.build((None, height, width, 3)).")
    images = [number for number, shape in enumerate(shapes) if len(shape) == 4]
    if len(shapes) > 1 and images:
        raise BadInput(
            f"{wants}\nSave the branch of the image alone, up to the LAYER where it meets the others:\n"
            f'keras.Model(model.inputs[{images[0]}], model.get_layer("LAYER").output).save("branch.keras")'
        )
    shape = shapes[0]
    dtype = keras.backend.standardize_dtype(inputs[0].dtype)
    dtype = dtype if dtype.startswith(("uint", "int")) else "float32"
    for first, channels, sides in ((False, shape[-1], shape[1:3]), (True, shape[1], shape[2:])):
        if len(shape) == 4 and channels in (1, 3):
            return Input(channels, first, dtype), sides
    if len(shape) == 4 and len(shapes) == 1:
        raise BadInput(
            f"{wants}\nImages are decoded to three channels. Where a fourth one is opacity, make it one that is full:\n"
            f"x = keras.Input(({shape[1]}, {shape[2]}, 3))\n"
            "rgba = keras.ops.concatenate([x, 255 * keras.ops.ones_like(x[..., :1])], -1)\n"
            'keras.Model(x, model(rgba)).save("rgb.keras")'
        )
    raise BadInput(f"{wants}\nOnly networks of images can be used.")


def _described(path: str, kind: Container) -> tuple[dict[str, Any], str]:
    """The description of the model, and the version of Keras that wrote it. Raises BadInput."""
    text: str | None
    try:
        if kind == "hdf5":
            with hdf5.opened(path) as file:
                text, version = hdf5.text(file, "model_config"), hdf5.text(file, "keras_version") or "2."
                if text is None:
                    raise _no_network(path, file)
        else:
            with zipfile.ZipFile(path) as archive:
                text = _text(archive, _CONFIG).decode()
                found = json.loads(_text(archive, _METADATA)) if _METADATA in archive.namelist() else {}
                version = str(found.get("keras_version", "3."))
        config = json.loads(text)
        if not isinstance(config, dict):
            raise ValueError("its description is no description of a network")
    except (*_STUMBLES, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} cannot be loaded as a Keras model in safe mode: {brief(error)}") from error
    return config, version


def _no_network(path: str, file: Any) -> BadInput:
    """The error for an HDF5 file that has none: what it is, and what to do."""
    wants = f"{path} should hold a whole network."
    if "format" in file.attrs and hdf5.text(file, "format") == "fne":
        kind = hdf5.text(file, "kind") or "file"
        return BadInput(
            f"{wants} Found: an fne {kind} file.", remedy=f"--model is the network: fne info {path} says which it was."
        )
    if any(name in file.attrs or name in file for name in ("layer_names", "layer_names0", "layers", "model_weights")):
        remedy = (
            f"If they are of a network that fne knows: --model vgg16 --weights {path}. "
            "Else save the whole of it: model.save('network.keras')."
        )
        return BadInput(f"{wants} Found: weights only.", remedy=remedy)
    remedy = "In the Python that has the network: model.save('network.keras')."
    return BadInput(f"{wants} Found: an HDF5 file without one.", remedy=remedy)


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > _TEXT_BYTES:
        raise ValueError(f"its {name} should have at most 64 MiB. Found: {size:,} bytes.")
    return archive.read(name)


def _refuse_foreign(path: str, config: Any) -> None:
    own = foreign(config)
    if own:
        raise BadInput(
            f"{path} cannot be loaded as a Keras model in safe mode: it has code of its own (arbitrary code "
            f"execution): {'; '.join(own[:5])}{' ...' if len(own) > 5 else ''}.\n"
            "It should be made of Keras's own layers, without Lambda layers or others of its own."
        )


def _from_keras_3(path: str, kind: Container) -> Any:
    """As Keras reads it: from a file of the ending that it wants, without anything else in the archive."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "network.h5" if kind == "hdf5" else "network.keras")
        if kind == "hdf5":
            os.symlink(os.path.abspath(path), name)
        else:
            with zipfile.ZipFile(path) as archive:
                own = [one for one in (_CONFIG, _METADATA, _WEIGHTS) if one in archive.namelist()]
                for one in own:
                    _refuse_bomb(archive, one)
                if len(own) == len(archive.namelist()):
                    os.symlink(os.path.abspath(path), name)
                else:
                    with zipfile.ZipFile(name, "w") as clean:
                        for one in own:
                            with archive.open(one) as source, clean.open(one, "w", force_zip64=True) as target:
                                shutil.copyfileobj(source, target)
        return keras.saving.load_model(name, compile=False, safe_mode=True)


def _from_keras_2(path: str, kind: Container, description: Any, config: dict[str, Any]) -> Any:
    """The description in the words of Keras 3, with the weights of the file."""
    import keras

    model = keras.saving.deserialize_keras_object(description, safe_mode=True)
    if kind == "hdf5":
        with hdf5.opened(path) as file:
            keras2_weights.load_h5(model, config, file)
        return model
    with zipfile.ZipFile(path) as archive, _unpacked(archive, _WEIGHTS) as member, hdf5.opened(member) as file:
        keras2_weights.load_keras(model, config, file)
    return model


@contextmanager
def _unpacked(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """A member of an archive as a file without a name, in which one can go back and forth."""
    _refuse_bomb(archive, name)
    with tempfile.TemporaryFile() as file:
        with archive.open(name) as member:
            shutil.copyfileobj(member, file)
        file.seek(0)
        yield file


def _refuse_bomb(archive: zipfile.ZipFile, name: str) -> None:
    member = archive.getinfo(name)
    if member.file_size > max(_SMALL, _EXPANSION * member.compress_size):
        raise ValueError(f"{name} claims {member.file_size:,} bytes, and has {member.compress_size:,} in the archive")


def _remedy(problem: str) -> str:
    if "cannot contain character `/`" in problem:
        return "\nRename the layers that have a slash in their names, and save it again."
    return ""


def _in_float32(model: Any) -> Any:
    """The same model with float32 weights, if it has weights in float16, bfloat16 or float64.

    Such weights cannot be computed with in another precision. To float32 from fewer bits nothing is lost.
    """
    import keras

    types = {keras.backend.standardize_dtype(weight.dtype) for weight in model.weights}
    if any(is_quantised(layer) for layer in model._flatten_layers()) or not types & {"float16", "bfloat16", "float64"}:
        return model
    again = type(model).from_config(_float32_config(model.get_config()))
    again.set_weights([
        weight.astype("float32") if keras.backend.is_float_dtype(str(weight.dtype)) else weight
        for weight in model.get_weights()
    ])  # fmt: skip
    for layer in again._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return again


def _float32_config(config: Any) -> Any:
    if isinstance(config, list | tuple):
        return type(config)(_float32_config(item) for item in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return config | {"config": {"name": "float32"}}
    plain = {key: _float32_config(value) for key, value in config.items()}
    if plain.get("dtype") in ("float16", "bfloat16", "float64") and "name" in plain:
        plain["dtype"] = "float32"
    return plain
