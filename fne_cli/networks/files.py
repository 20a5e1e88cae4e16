"""Networks from files: .keras, and whole models in .h5. What cannot be read safely is refused by name, before it is."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput
from fne_cli.networks.graph import Input, is_quantised
from fne_cli.networks.keras2 import translated

if TYPE_CHECKING:
    import keras

_CONFIG_BYTES = 64 << 20  # far more than any network's; a zip of zeros may claim anything
_HDF5 = b"\x89HDF\r\n\x1a\n"


def load(path: str) -> keras.Model:
    """The model of a .keras or .h5 file, in safe mode, its weights in float32 if they were floats of another size.

    Raises BadInput for what is no such file, has code of its own, or cannot be read by this version of Keras.
    """
    import keras

    if os.path.isdir(path):
        _refuse_folder(path)
    config = _config_of_h5(path) if is_h5(path) else _config_of_keras(path)
    own = list(_code_of_its_own(config))
    if own:
        raise BadInput(
            f"{path} cannot be loaded as a Keras model in safe mode: it has code of its own (arbitrary code "
            f"execution): {'; '.join(own[:5])}{' ...' if len(own) > 5 else ''}.\n"
            "It should be made of Keras's own layers, without Lambda layers or others of its own."
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            if _is_of_keras_2(path):
                model = _from_keras_2(path, config)
            else:
                model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # damage, or layouts of other versions: Keras has no common class for these
        remedy = _remedy(str(error))
        raise BadInput(f"{path} cannot be loaded as a Keras model in safe mode: {brief(error)}{remedy}") from error
    return _in_float32(model) if isinstance(model, keras.Model) else model


def is_h5(path: str) -> bool:
    """Whether a name is that of an HDF5 file."""
    return path.lower().endswith((".h5", ".hdf5"))


@contextlib.contextmanager
def opened_h5(path: str) -> Iterator[Any]:
    """An HDF5 file as Keras opens it."""
    from keras.src.saving.saving_lib import H5IOStore

    store = H5IOStore(path, mode="r")
    try:
        yield store.h5_file
    finally:
        store.close()


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


def _refuse_folder(path: str) -> None:
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise BadInput(
            f"{path} should be a network's name or a .keras file. Found: a SavedModel folder, which holds compiled "
            "code.\nIf Keras 2 has written it, these two lines convert it:\npip install tf_keras\n"
            f"python -c \"import tf_keras; tf_keras.models.load_model('{path}').save('network.h5')\""
        )
    raise BadInput(f"{path} should be a network's name or a .keras file. Found: a folder.")


def _config_of_h5(path: str) -> Any:
    if not os.path.isfile(path):
        raise BadInput(f"{path} should be a network in a .keras or .h5 file. Found: no such file.")
    try:
        with open(path, "rb") as file:
            signature = file.read(len(_HDF5))
    except OSError as error:
        raise BadInput(f"{path} should be readable. Found: {error.strerror}.") from error
    if signature != _HDF5:
        raise BadInput(f"{path} should be an HDF5 file. Found: something else, or an incomplete download.")
    try:
        with opened_h5(path) as file:
            text = file.attrs.get("model_config")
    except Exception as error:  # HDF5 has no common class for damage
        raise BadInput(f"{path} cannot be read as HDF5: {brief(error)}") from error
    if text is None:
        raise BadInput(
            f"{path} should hold a whole network. Found: weights only.\n"
            f"Name the network they belong to: --model vgg16 --weights {path}"
        )
    return _parsed(path, text)


def _config_of_keras(path: str) -> Any:
    if not os.path.isfile(path):
        raise BadInput(f"{path} should be a network in a .keras file. Found: no such file.")
    if not zipfile.is_zipfile(path):
        raise BadInput(f"{path} should be a .keras file (a zip archive). Found: something else.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("config.json").file_size
            if size > _CONFIG_BYTES:
                raise BadInput(f"{path} should have a description of at most 64 MiB. Found: {size:,} bytes.")
            text = archive.read("config.json")
    except (KeyError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{path} cannot be loaded as a Keras model in safe mode: {brief(error)}") from error
    return _parsed(path, text)


def _parsed(path: str, text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        message = f"{path} cannot be loaded as a Keras model in safe mode: its description is damaged: {brief(error)}"
        raise BadInput(message) from error


def _code_of_its_own(config: Any) -> Iterator[str]:
    """What of a model's description is not Keras's own: Python code, classes and functions that it does not know."""
    import keras

    ahead, told = [config], set()
    while ahead:
        item = ahead.pop()
        if isinstance(item, list):
            ahead += reversed(item)
        if not isinstance(item, dict):
            continue
        ahead += reversed([value for value in item.values() if isinstance(value, dict | list)])
        kind, inner, module = item.get("class_name"), item.get("config"), item.get("module")
        if not isinstance(kind, str):
            continue
        name = inner.get("name", "") if isinstance(inner, dict) else ""
        if kind in ("Functional", "Sequential", "Model"):
            continue
        if kind == "Lambda" and isinstance(inner, dict) and _is_code(inner.get("function")):
            problem = f"layer {name} (Lambda)"
        elif kind in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
            problem = f"layer {name} ({kind}: TensorFlow's functions in a network of Keras 2)"
        elif isinstance(item.get("registered_name"), str) and ">" in item["registered_name"]:
            problem = f"{name or kind} (class {item['registered_name']})"
        elif isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras", "builtins"):
            problem = f"{name or kind} (class {module}.{kind})"
        elif "inbound_nodes" in item and not module and not hasattr(keras.layers, kind):
            problem = f"layer {name} (class {kind})"
        else:
            continue
        if problem not in told:
            told.add(problem)
            yield problem


def _is_of_keras_2(path: str) -> bool:
    if is_h5(path):
        with opened_h5(path) as file:
            version = file.attrs.get("keras_version", "")
    else:
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json")).get("keras_version", "")
    return str(version.decode() if isinstance(version, bytes) else version).startswith("2.")


def _from_keras_2(path: str, config: Any) -> Any:
    """Its description for Keras 3, with the weights of the file; those are in the same layout."""
    import keras

    model = keras.saving.deserialize_keras_object(translated(config), safe_mode=True)
    if is_h5(path):
        model.load_weights(path)
        return model
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        model.load_weights(archive.extract("model.weights.h5", folder))
    return model


def _is_code(function: Any) -> bool:
    """As Keras 3 marks it, or Keras 2: a list of code, defaults and closure."""
    return isinstance(function, list) or (isinstance(function, dict) and function.get("class_name") == "__lambda__")


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


def brief(error: Exception) -> str:
    """An error's text in one line, cut."""
    return " ".join(str(error).split())[:300] or type(error).__name__
