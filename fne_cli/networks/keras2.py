"""Descriptions of networks as Keras 2 wrote them, as Keras 3 reads them."""

from __future__ import annotations

from typing import Any

_MODELS = ("Functional", "Sequential", "Model")
# Arguments that Keras 3 does not have, and the value with which they change nothing.
_GONE: dict[str, tuple[Any, ...]] = {
    "groups": (1,), "renorm": (False,), "virtual_batch_size": (None,), "fused": (None, True, False),
    "ragged": (False,), "implementation": (1, 2), "interpolation_order": (1,),
}  # fmt: skip
_WITHOUT = {
    "DepthwiseConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint", "filters"),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "Conv2DTranspose": ("groups",),
    "BatchNormalization": ("renorm", "virtual_batch_size", "fused"),
    "InputLayer": ("ragged",),
}


def translated(item: Any) -> Any:
    """The description of a model, or of a part of it, for Keras 3.

    Nothing is left out that would change a number: what this does not know stays, and Keras refuses it.
    """
    if isinstance(item, list):
        return [translated(part) for part in item]
    if not isinstance(item, dict):
        return item
    item = {key: translated(value) for key, value in item.items()}
    kind, config = item.get("class_name"), item.get("config")
    if not isinstance(kind, str) or not isinstance(config, dict):
        return item
    if kind in ("Policy", "DTypePolicy"):
        return config.get("name", "float32")
    if kind in _MODELS:
        functional = {
            "class_name": "Functional",
            "module": "keras.src.models.functional",
            "registered_name": "Functional",
        }
        item |= {"module": "keras", "registered_name": None} if kind == "Sequential" else functional
    elif ("name" in config and "trainable" in config) or kind == "InputLayer":
        item |= {"module": "keras.layers", "registered_name": None}
        config.update(_layer(kind, config))
        for key in _WITHOUT.get(kind, ()):
            if key not in _GONE or config.get(key) in _GONE[key]:
                config.pop(key, None)
        config.pop("batch_input_shape", None)
    for key in ("build_config", "compile_config"):
        item.pop(key, None)
    return item


def _layer(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """What has another name or form in Keras 3."""
    changed: dict[str, Any] = {}
    if kind == "InputLayer" and "batch_input_shape" in config:
        changed["batch_shape"] = config["batch_input_shape"]
    if isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        changed["axis"] = config["axis"][0]
    return changed
