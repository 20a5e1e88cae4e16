"""Files in the layouts of Keras 2, made without it: whole models in HDF5, and .keras files of tf_keras."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Weights = dict[str, dict[str, np.ndarray]]
VERSION = "2.15.0"


def layer(kind: str, name: str, *calls: Any, **config: Any) -> dict[str, Any]:
    """A layer as Keras 2 describes it. Each call is a name, or a list of [name, call, tensor, arguments]."""
    nodes = [[[call, 0, 0, {}]] if isinstance(call, str) else call for call in calls]
    return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": nodes}


def image(shape: tuple[int, ...], name: str = "image", dtype: str = "float32") -> dict[str, Any]:
    """The input layer."""
    return layer(
        "InputLayer", name, batch_input_shape=[None, *shape], dtype=dtype, sparse=False, ragged=False, optional=False
    )


def conv(name: str, *calls: Any, filters: int = 3, size: int = 1, **config: Any) -> dict[str, Any]:
    """A convolution with all that Keras 2 says of it."""
    usual = {
        "trainable": True, "dtype": "float32", "strides": [1, 1], "padding": "valid", "data_format": "channels_last",
        "dilation_rate": [1, 1], "groups": 1, "activation": "linear", "use_bias": True,
        "kernel_initializer": {"class_name": "TheirInitializer", "config": {}}, "bias_initializer": None,
        "kernel_regularizer": {"class_name": "L2", "config": {"l2": 9.999999747378752e-05}},
        "activity_regularizer": None, "kernel_constraint": None, "bias_constraint": None,
    }  # fmt: skip
    return layer("Conv2D", name, *calls, **{**usual, "filters": filters, "kernel_size": [size, size], **config})


def functional(name: str, layers: list[dict[str, Any]], end: Any, start: str = "image") -> dict[str, Any]:
    """A model with one input and one output: a layer's name, or [name, call, tensor]."""
    ends = {"input_layers": [[start, 0, 0]], "output_layers": [[end, 0, 0] if isinstance(end, str) else end]}
    return {"class_name": "Functional", "config": {"name": name, "trainable": True, "layers": layers, **ends}}


def called(model: dict[str, Any], *calls: Any) -> dict[str, Any]:
    """A model as a layer of another."""
    name = model["config"]["name"]
    return {**model, "name": name, "inbound_nodes": layer("", "", *calls)["inbound_nodes"]}


def write_h5(path: Path, model: dict[str, Any], weights: Weights, version: str = VERSION) -> Path:
    """weights: by the top layer and the path of the variable, such as block/kernel:0."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(model)
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [name.encode() for name in weights]
        for name, variables in weights.items():
            group = root.require_group(name)
            group.attrs["weight_names"] = [variable.encode() for variable in variables]
            for variable, values in variables.items():
                group[variable] = values
        root.create_group("top_level_model_weights")
    return path


def write_keras(path: Path, model: dict[str, Any], variables: dict[str, np.ndarray], **members: bytes) -> Path:
    """variables: by their place, such as layers/conv2d_1/vars/0. members: in place of config_json, metadata_json ..."""
    described = {"module": "tf_keras.src.engine.functional", "registered_name": "Functional", **_modules(model)}
    described |= {"compile_config": {"optimizer": "adam", "loss": {"class_name": "function", "config": "their_loss"}}}
    inner = path.with_suffix(".weights")
    with h5py.File(inner, "w") as file:
        for place, values in variables.items():
            file[place] = values
        file["optimizer/vars/0"] = np.int64(3)
    contents = {
        "metadata.json": json.dumps({"keras_version": VERSION, "date_saved": "2024-01-01@00:00:00"}).encode(),
        "config.json": json.dumps(described).encode(),
        "model.weights.h5": inner.read_bytes(),
    }
    inner.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, members.get(re.sub(r"\W", "_", name), content))
    return path


def _modules(item: Any) -> Any:
    """The description with the modules that the newer format has."""
    if isinstance(item, list):
        return [_modules(part) for part in item]
    if not isinstance(item, dict):
        return item
    own = {key: _modules(value) for key, value in item.items()}
    if "class_name" in own and isinstance(own.get("config"), dict) and "module" not in own:
        own = {"module": "keras.layers", "registered_name": None, "build_config": {"input_shape": [None]}} | own
    return own
