"""A backbone of KerasHub as a graph of Keras's own layers: its blocks are layers with code, which hide what is in them.

Each is called with symbolic tensors in place of values, so that what it calls becomes a part of the graph. What cannot
be called so (patches and their positions, attention) stays one layer.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OWN = "keras_hub."
_WHOLE = re.compile("Attention|Embedding")


def opened(backbone: Any) -> Any:
    """The same network with the same weights, its blocks opened; layers are named after the blocks around them."""
    import keras

    images = keras.Input(backbone.inputs[0].shape[1:], dtype=backbone.inputs[0].dtype, name="images")

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_block(layer):
            return layer(*args, **kwargs)
        with _called_through(_blocks_in(layer)):
            return layer(*args, **kwargs)

    outputs = keras.tree.flatten(backbone._run_through_graph(images, lambda layer: layer, call))
    patches = []
    for layer in backbone.layers:
        if type(layer).__module__.startswith(_OWN):
            _name_after(layer, layer.name)
        if hasattr(backbone, "patch_size") and "Embedding" in type(layer).__name__:
            # Once more beside what makes tokens of them, so that it can be tapped.
            patches += [one(images) for one in layer._flatten_layers() if isinstance(one, keras.layers.Conv2D)]
    return keras.Model(images, [outputs[0], *patches], name=backbone.name)


def _is_block(layer: Any) -> bool:
    """Whether a layer is KerasHub's, made of others, and none of those that stay one layer."""
    kind = type(layer)
    return kind.__module__.startswith(_OWN) and bool(_inner(layer)) and not _WHOLE.search(kind.__name__)


def _inner(layer: Any) -> list[Any]:
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _blocks_in(layer: Any) -> set[type]:
    return {type(one) for one in layer._flatten_layers() if _is_block(one)}


def _name_after(layer: Any, name: str) -> None:
    for one in _inner(layer):
        if not one.name.startswith(f"{name}."):
            one.__dict__["name"] = f"{name}.{one.name}"
        _name_after(one, one.name)


@contextmanager
def _called_through(kinds: set[type]) -> Iterator[None]:
    """Layers of these classes run their code where they are given symbolic tensors, and are no layers of the graph."""
    import keras

    real = keras.layers.Layer.__call__

    def through(layer: Any, *args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        if not any(isinstance(one, keras.KerasTensor) for one in given):
            return real(layer, *args, **kwargs)
        known = inspect.signature(layer.call).parameters
        try:
            return layer.call(*args, **{key: value for key, value in kwargs.items() if key in known})
        except (TypeError, ValueError):  # it needs to know how many images there are
            return real(layer, *args, **kwargs)

    own = {kind: vars(kind).get("__call__") for kind in kinds}
    for kind in kinds:
        setattr(kind, "__call__", through)  # noqa: B010  # mypy knows that of a method
    try:
        yield
    finally:
        for kind, before in own.items():
            if before is None:
                delattr(kind, "__call__")
            else:
                setattr(kind, "__call__", before)  # noqa: B010
