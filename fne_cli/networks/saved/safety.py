"""What of a network's description is not Keras's own. It is named before anything is made of the description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_OWN_MODULES = re.compile(
    r"keras(\.src)?(\.(layers|models|ops|applications|activations|initializers|regularizers|constraints|dtype_policies"
    r"|quantizers|random)(\..*)?)?"
)
_MODELS = ("Functional", "Sequential", "Model")
_FUNCTIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")  # run code that comes with the file
_READERS = ("StringLookup", "IntegerLookup", "TextVectorization", "HashedCrossing")  # may read files that it names
_PLAIN = ("__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__", "__bytes__")


def foreign(config: Any) -> list[str]:
    """The layers, classes and functions in a description that are not Keras's own, each once, in its order."""
    return list(dict.fromkeys(_foreign(config)))


def _foreign(config: Any) -> Iterator[str]:
    ahead: list[tuple[Any, str]] = [(config, "")]
    while ahead:
        item, owner = ahead.pop()
        if isinstance(item, list):
            ahead += [(part, owner) for part in reversed(item)]
        if not isinstance(item, dict):
            continue
        kind, inner = item.get("class_name"), item.get("config")
        if isinstance(kind, str) and isinstance(inner, dict) and isinstance(inner.get("name"), str):
            owner = inner["name"]
        problem = _problem(item, kind, inner, owner) if isinstance(kind, str) else _unknown_activation(item, owner)
        if problem:
            yield problem
            continue
        # How it was trained is never made again: losses and the like may be anybody's.
        ahead += [(value, owner) for key, value in reversed(item.items()) if key != "compile_config"]


def _problem(item: dict[str, Any], kind: str, inner: Any, owner: str) -> str | None:
    registered = item.get("registered_name")
    if kind == "function":
        return None if _is_known_function(inner) else _of(owner, f"the function {inner}")
    if kind in _PLAIN:
        return None
    what = None
    if kind in _FUNCTIONS:
        what = f"TensorFlow's function {inner.get('function') if isinstance(inner, dict) else None}"
    elif kind in (*_CODE, *_READERS) or kind.startswith("__"):
        what = kind
    elif isinstance(registered, str) and registered not in (kind, ""):
        what = f"class {registered}"
    elif not _is_known_class(item, kind):
        module = item.get("module")
        what = f"class {module}.{kind}" if isinstance(module, str) and module != "keras.layers" else f"class {kind}"
    return what and _of(owner, what)


def _is_known_class(item: dict[str, Any], kind: str) -> bool:
    import keras

    module = item.get("module")
    if isinstance(module, str):
        return bool(_OWN_MODULES.fullmatch(module)) and (module != "keras.layers" or hasattr(keras.layers, kind))
    # Without a module it is a layer of an .h5 file, or a part of one that Keras looks up among its own.
    is_layer = "inbound_nodes" in item or "registered_name" in item
    return not is_layer or kind in _MODELS or hasattr(keras.layers, kind)


def _unknown_activation(config: dict[str, Any], owner: str) -> str | None:
    name = config.get("activation")
    return None if not isinstance(name, str) or _is_known_function(name) else _of(owner, f"the function {name}")


def _is_known_function(name: Any) -> bool:
    import keras

    known = (keras.activations, keras.initializers, keras.regularizers, keras.constraints)
    helpers = ("get", "serialize", "deserialize")
    if name in ("swish", "hard_swish"):  # other names of silu and hard_silu
        return True
    return isinstance(name, str) and name not in helpers and any(hasattr(part, name) for part in known)


def _of(owner: str, what: str) -> str:
    return f"layer {owner} ({what})" if owner else what
