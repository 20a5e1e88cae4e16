"""Descriptions of networks as Keras 2 wrote them, in the words of Keras 3.

Nothing is left out that changes a number. What is not known here stays as it is, and is refused by name.
"""

from __future__ import annotations

from typing import Any

from fne_cli.networks.saved.keras2_calls import FUNCTIONS, MODELS, WITH_A_NUMBER, Calls

_MODULES = ("keras", "tf_keras", "tensorflow")
_OPS = "keras.src.ops."
_OF_ONE = {"nn.relu": ("nn", "Relu"), "nn.relu6": ("nn", "Relu6"), "math.negative": ("numpy", "Negative")}
# Arguments that Keras 3 does not have, and the values with which they say nothing.
_GONE: dict[str, tuple[Any, ...]] = {
    "batch_input_shape": (), "ragged": (False, None), "fused": (None, True, False), "implementation": (1, 2),
    "renorm": (False,), "virtual_batch_size": (None,), "rng_type": (), "noise_shape": (None,),
    "query_shape": (), "key_shape": (), "value_shape": (), "softmax_robust_masking": (False, None),
}  # fmt: skip
_UNGROUPED = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "Conv1DTranspose",
              "Conv2DTranspose", "Conv3DTranspose")  # fmt: skip
# How weights begin, are held small and are kept in bounds matters in training alone.
_TRAINING = ("_initializer", "_regularizer", "_constraint")
# Layers of keras.applications that are not among keras.layers, with their arguments.
_APPLICATIONS = {
    "CustomScaleLayer": ("keras.src.applications.inception_resnet_v2", {"scale"}),
    "LayerScale": ("keras.src.applications.convnext", {"init_values", "projection_dim"}),
}
_OLD = {"BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization"}


def translated(item: Any) -> Any:
    """The description of a model for Keras 3. Raises ValueError for what cannot be said there."""
    if not isinstance(item, dict) or not isinstance(item.get("config"), dict | list):
        raise ValueError("the description of a network should have a class_name and a config")
    return _model(item) if item.get("class_name") in MODELS else _layer(item)


def _model(item: dict[str, Any]) -> dict[str, Any]:
    kind = item["class_name"]
    inner = item["config"] if isinstance(item["config"], dict) else {"layers": item["config"]}  # before Keras 2.2.3
    given = layers_of(item)
    new = {"class_name": kind, "registered_name": None, "module": "keras"}
    kept = {"name": kind.lower()} | {key: inner[key] for key in ("name", "trainable") if key in inner}
    if not all(isinstance(layer, dict) and isinstance(layer.get("config"), dict | list) for layer in given):
        raise ValueError("each layer should have a class_name and a config")
    names = names_of(item)
    if kind == "Sequential":
        layers = [_translated(layer, names) for layer in given]
        shape = _shape_of_first(given)
        if given and given[0]["class_name"] != "InputLayer" and shape:
            first = {"batch_shape": shape, "name": f"{kept['name']}_input", "dtype": "float32"}
            layers.insert(0, _keras("keras.layers", "InputLayer", first))
        elif inner.get("build_input_shape") and given and given[0]["class_name"] != "InputLayer":
            kept["build_input_shape"] = inner["build_input_shape"]
        return new | {"config": kept | {"layers": layers}}
    nodes = Calls(given, [inner["input_layers"], inner["output_layers"]], names)
    layers = []
    for layer in given:
        own = _translated(layer, names)
        layers.append(own | nodes.of(layer, own) | {"name": names[layer["name"]]})
    ends = {key: nodes.ends(inner[key]) for key in ("input_layers", "output_layers")}
    functional = {"class_name": "Functional", "module": "keras.src.models.functional"}
    return new | functional | {"config": kept | {"layers": layers} | ends}


def layers_of(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The descriptions of the layers in that of a model."""
    inner = item["config"]
    return inner if isinstance(inner, list) else inner["layers"]


def name_of(layer: dict[str, Any]) -> str:
    """The name of a layer in Keras 2."""
    name = layer.get("name") or (layer["config"].get("name") if isinstance(layer["config"], dict) else None)
    return str(name)


def names_of(item: dict[str, Any]) -> dict[str, str]:
    """The names of a model's layers in Keras 3, by those in Keras 2: without slashes, and no two the same."""
    names = [name_of(layer) for layer in layers_of(item)]
    taken = {name for name in names if "/" not in name}
    new: dict[str, str] = {}
    for name in names:
        plain = name.replace("/", "_")
        while "/" in name and plain in taken:
            plain += "_"
        taken.add(plain)
        new[name] = plain
    return new


def _translated(layer: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    if layer["class_name"] in MODELS:
        own = _model(layer)
        own["config"]["name"] = names[name_of(layer)]
        return own
    return _layer(layer, names[name_of(layer)])


def _shape_of_first(layers: list[dict[str, Any]]) -> Any:
    """The shape that the first layer of a sequential model has for the images, if it says so itself."""
    first = layers[0]["config"] if layers else {}
    while isinstance(first, dict) and "batch_input_shape" not in first and isinstance(first.get("layer"), dict):
        first = first["layer"].get("config")
    return first.get("batch_input_shape") if isinstance(first, dict) else None


def _layer(item: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """A layer, or a function of TensorFlow that Keras 3 has as an operation."""
    kind, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
    foreign = isinstance(module, str) and module.split(".")[0] not in _MODULES
    if not foreign and (own := _of_applications(kind.removeprefix("Custom>"), item["config"], name)):
        return own
    if foreign or (isinstance(registered, str) and registered not in (kind, "")):
        return {**item, "inbound_nodes": []}  # somebody's own: it is named when it is refused
    if kind in FUNCTIONS:
        return _operation(item, name)
    kind, config = _OLD.get(kind, kind), dict(item["config"])
    if name is not None:
        config["name"] = name
    config |= _renamed(kind, config)
    for key, value in list(config.items()):
        gone = key in _GONE and (not _GONE[key] or value in _GONE[key])
        if key.endswith(_TRAINING) or gone or (key == "groups" and kind in _UNGROUPED and value == 1):
            del config[key]
        elif key == "layer" and isinstance(value, dict):
            config[key] = translated(value)
        elif key.endswith("activation"):
            config[key] = _activation(value)
    return _keras("keras.layers", kind, config)


def _of_applications(kind: str, config: dict[str, Any], name: str | None) -> dict[str, Any] | None:
    module, arguments = _APPLICATIONS.get(kind, ("", set()))
    if not module or set(config) - {"name", "trainable", "dtype"} != arguments:
        return None
    return _keras(module, kind, {**config, "name": name, "dtype": _dtype(config.get("dtype"))})


def _renamed(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """Arguments that have another name or form in Keras 3."""
    new: dict[str, Any] = {}
    if "dtype" in config:
        new["dtype"] = _dtype(config["dtype"])
    if kind == "InputLayer" and "batch_input_shape" in config:
        new["batch_shape"] = config["batch_input_shape"]
    if kind == "BatchNormalization" and isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        new["axis"] = config["axis"][0]
    if kind == "LeakyReLU" and "alpha" in config:
        new["negative_slope"] = config.pop("alpha")
    return new


def _activation(value: Any) -> Any:
    """The name of a function, or a layer that is used as one."""
    if isinstance(value, dict) and value.get("class_name") != "function":
        return translated(value)
    name = value["config"] if isinstance(value, dict) else value
    if name == "hard_sigmoid":
        raise ValueError("hard_sigmoid is another function in Keras 3")
    return name


def _dtype(value: Any) -> Any:
    """A policy by its name."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        return value["config"].get("name", "float32")
    return value


def _keras(module: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def _operation(item: dict[str, Any], name: str | None) -> dict[str, Any]:
    function = item["config"].get("function")
    config: dict[str, Any] = {"name": name}
    if function in WITH_A_NUMBER:
        return _keras(f"{_OPS}numpy", WITH_A_NUMBER[function], config)
    if function in _OF_ONE:
        module, kind = _OF_ONE[function]
        return _keras(_OPS + module, kind, config)
    if function == "__operators__.getitem":
        return _keras(f"{_OPS}numpy", "GetItem", config)
    if function == "cast":
        return _keras(f"{_OPS}core", "Cast", config | {"dtype": "float32"})
    return {"class_name": item["class_name"], "config": {"name": item["name"], "function": function}}
