"""Descriptions of networks as Keras 2 wrote them, in the words of Keras 3.

Nothing is left out that changes a number. What is not known here stays as it is, and is refused by name.
"""

from __future__ import annotations

from typing import Any

MODELS = ("Functional", "Sequential", "Model")
FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
_MODULES = ("keras", "tf_keras", "tensorflow")
_OPS = "keras.src.ops."
_WITH_A_NUMBER = {
    "math.add": "Add", "__operators__.add": "Add", "math.subtract": "Subtract", "math.multiply": "Multiply",
    "math.truediv": "TrueDivide", "math.divide": "TrueDivide", "nn.bias_add": "Add",
}  # fmt: skip
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
    nodes = _Nodes(given, [inner["input_layers"], inner["output_layers"]], names)
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
    if function in _WITH_A_NUMBER:
        return _keras(f"{_OPS}numpy", _WITH_A_NUMBER[function], config)
    if function in _OF_ONE:
        module, kind = _OF_ONE[function]
        return _keras(_OPS + module, kind, config)
    if function == "__operators__.getitem":
        return _keras(f"{_OPS}numpy", "GetItem", config)
    if function == "cast":
        return _keras(f"{_OPS}core", "Cast", config | {"dtype": "float32"})
    return {"class_name": item["class_name"], "config": {"name": item["name"], "function": function}}


class _Nodes:
    """The calls of the layers of a functional model, and who refers to them."""

    def __init__(self, layers: list[dict[str, Any]], ends: list[Any], names: dict[str, str]) -> None:
        self._names = names
        self._kinds = {layer["name"]: layer["class_name"] for layer in layers}
        calls = {layer["name"]: len(layer.get("inbound_nodes", ())) for layer in layers}
        used: dict[str, int] = {}
        for name, node, _ in _references([*(layer.get("inbound_nodes", ()) for layer in layers), *ends]):
            used[name] = max(node, used.get(name, 0))
        # Keras 2 counts the calls of a model from 1, as it was called once when it was made.
        models = {name for name, kind in self._kinds.items() if kind in MODELS}
        self._first = {name: int(used.get(name, 0) >= max(calls[name], 1)) for name in models}

    def of(self, layer: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        """The calls of a layer as Keras 3 has them."""
        if layer["class_name"] in FUNCTIONS:
            return {"inbound_nodes": [self._of_function(layer, own, node) for node in layer["inbound_nodes"]]}
        return {"inbound_nodes": [self._call(node) for node in layer.get("inbound_nodes", ())]}

    def ends(self, given: Any) -> Any:
        """input_layers or output_layers: one as itself, several as a list."""
        several = [given] if given and isinstance(given[0], str) else given
        found = []
        for name, node, tensor in several:
            at = node - self._first.get(name, 0)
            found.append([self._names[name], at + (self._kinds[name] in ("Functional", "Model")), tensor])
        return found[0] if len(found) == 1 else found

    def _tensor(self, reference: Any) -> dict[str, Any]:
        name, node, tensor = reference[:3]
        history = [self._names[name], node - self._first.get(name, 0), tensor]
        config = {"shape": [None], "dtype": "float32", "keras_history": history}  # the tensor itself has the shape
        return {"class_name": "__keras_tensor__", "config": config}

    def _argument(self, value: Any) -> Any:
        if _is_reference(value, self._kinds):
            return self._tensor(value)
        return [self._argument(part) for part in value] if isinstance(value, list) else value

    def _call(self, node: list[Any]) -> dict[str, Any]:
        inputs = [self._tensor(reference) for reference in node]
        kwargs = node[-1][3] if len(node[-1]) > 3 else {}
        named = {key: self._argument(value) for key, value in kwargs.items()}
        return {"args": [inputs[0] if len(inputs) == 1 else inputs], "kwargs": named}

    def _of_function(self, layer: dict[str, Any], own: dict[str, Any], node: list[Any]) -> dict[str, Any]:
        name, index, tensor, kwargs = node
        given = {key: value for key, value in kwargs.items() if not (key == "name" or value is None)}
        first = tensor if name == "_CONSTANT_VALUE" else self._tensor([name, index, tensor])
        function, kind = layer["config"].get("function"), own["class_name"]
        second: list[Any] = []
        if function == "nn.bias_add" and given.pop("data_format", "NHWC") != "NHWC":
            raise ValueError("bias_add with channels first")
        if function in _WITH_A_NUMBER:
            second = [self._operand(given.pop("bias" if function == "nn.bias_add" else "y"))]
        elif kind == "GetItem":
            second = [_slices(given.pop("slice_spec"))]
        elif kind == "Cast":
            own["config"]["dtype"] = given.pop("dtype")
        if given and kind not in FUNCTIONS:  # of the latter nothing is read: they are refused
            raise ValueError(f"{layer['name']} has arguments that Keras 3 does not have: {', '.join(given)}")
        return {"args": [_numbers(first), *second], "kwargs": {}}

    def _operand(self, value: Any) -> Any:
        return self._tensor(value) if _is_reference(value, self._kinds) else _numbers(value)


def _references(nodes: Any) -> list[tuple[str, int, int]]:
    """Every [layer, call, tensor] in the calls of a layer."""
    found, ahead = [], [nodes]
    while ahead:
        item = ahead.pop()
        if isinstance(item, dict):
            ahead += item.values()
        elif isinstance(item, list | tuple):
            if len(item) >= 3 and isinstance(item[0], str) and type(item[1]) is int and type(item[2]) is int:
                found.append((item[0], item[1], item[2]))
            ahead += [part for part in item if isinstance(part, list | tuple | dict)]
    return found


def _is_reference(value: Any, known: dict[str, str]) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and value[0] in known


def _numbers(value: Any) -> Any:
    """A list as an array of float32, which TensorFlow makes of it."""
    if isinstance(value, list):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    return value


def _slices(spec: Any) -> list[Any]:
    found: list[Any] = []
    for part in spec if isinstance(spec, list) else [spec]:
        if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
            found.append({"class_name": "__ellipsis__", "config": {}})
        elif isinstance(part, dict):
            config = {key: part.get(key) for key in ("start", "stop", "step")}
            if not all(value is None or isinstance(value, int) for value in config.values()):
                raise ValueError("a slice that depends on the image")
            found.append({"class_name": "__slice__", "config": config})
        elif part is None or isinstance(part, int):
            found.append(part)
        else:
            raise ValueError("an index that depends on the image")
    return found
