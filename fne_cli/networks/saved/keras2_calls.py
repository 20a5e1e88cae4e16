"""The calls of layers in a functional model of Keras 2, as Keras 3 describes them."""

from __future__ import annotations

from typing import Any

MODELS = ("Functional", "Sequential", "Model")
FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
WITH_A_NUMBER = {
    "math.add": "Add", "__operators__.add": "Add", "math.subtract": "Subtract", "math.multiply": "Multiply",
    "math.truediv": "TrueDivide", "math.divide": "TrueDivide", "nn.bias_add": "Add",
}  # fmt: skip
"""Functions of TensorFlow with an operand beside the tensor, and the operation of Keras 3 that does the same."""


class Calls:
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
        given = [reference[3] for reference in node if len(reference) > 3]
        named = {key: self._argument(value) for kwargs in given for key, value in kwargs.items()}
        return {"args": [inputs[0] if len(inputs) == 1 else inputs], "kwargs": named}

    def _of_function(self, layer: dict[str, Any], own: dict[str, Any], node: list[Any]) -> dict[str, Any]:
        name, index, tensor, kwargs = node
        given = {key: value for key, value in kwargs.items() if not (key == "name" or value is None)}
        first = tensor if name == "_CONSTANT_VALUE" else self._tensor([name, index, tensor])
        function, kind = layer["config"].get("function"), own["class_name"]
        second: list[Any] = []
        if function == "nn.bias_add" and given.pop("data_format", "NHWC") != "NHWC":
            raise ValueError("bias_add with channels first")
        if function in WITH_A_NUMBER:
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
