"""The weights of a file of Keras 2 in a network of Keras 3, by the names that they have in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fne_cli.networks.saved import hdf5
from fne_cli.networks.saved.keras2 import layers_of, name_of, names_of
from fne_cli.networks.saved.keras2_calls import FUNCTIONS, MODELS

_OLD_NAMES = {
    "DepthwiseConv1D": {"kernel": "depthwise_kernel"},
    "DepthwiseConv2D": {"kernel": "depthwise_kernel"},
    "SpectralNormalization": {"vector_u": "sn_u"},
}
# What a network does not need: states of generators of random numbers, and how many images a mean was taken of.
_SURPLUS = re.compile(r"StateVar|count|generator_state")


def load_h5(model: Any, config: dict[str, Any], file: Any) -> None:
    """From a whole model in HDF5, which has a group for each layer; models inside it have one for all of theirs.

    config: its description by Keras 2. Raises ValueError for a weight that is missing, of another shape, or left over.
    """
    weights = hdf5.group(file, "model_weights")
    done: set[int] = set()
    layers = list(_layers(model, config))
    for layer, item, name in layers:
        group = hdf5.group(weights, name) if weights is not None else None
        if group is None:
            continue  # what is missing is named at the end
        # A slash in the name of a layer makes a group in the group of another.
        others = tuple(f"{other[len(name) + 1 :]}/" for _, _, other in layers if other.startswith(f"{name}/"))
        stored = {"/".join(path): dataset for path, dataset in hdf5.datasets(group).items()}
        given = {source: dataset for source, dataset in stored.items() if not (others and source.startswith(others))}
        used = set()
        for leaf, holder, leaf_name in _holders(layer, item, name):
            for variable in own_weights(holder):
                source = _source(given, leaf, holder, variable, leaf_name, alone=leaf is layer)
                variable.assign(hdf5.array(given[source], variable.shape))
                used.add(source)
                done.add(id(variable))
        left = [source for source in given if source not in used and not _SURPLUS.search(source.rsplit("/", 1)[-1])]
        if left:
            raise ValueError(f"layer {name} should not have the weight {left[0]}")
    _finish(model, done)


def load_keras(model: Any, config: dict[str, Any], file: Any) -> None:
    """From model.weights.h5 of a .keras file, in which layers are numbered by their classes.

    config: the description of Keras 2, whose order of layers the numbers follow. Raises ValueError as load_h5 does.
    """
    done: set[int] = set()
    _fill_model(model, config, file, done)
    _finish(model, done)


def _layers(model: Any, config: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any], str]]:
    """(layer, its description, its name in Keras 2) for each layer of a model but the inputs."""
    names = names_of(config)
    for item in layers_of(config):
        if item["class_name"] not in ("InputLayer", *FUNCTIONS):
            name = name_of(item)
            yield model.get_layer(names[name]), item, name


def _holders(layer: Any, item: dict[str, Any], name: str) -> Iterator[tuple[Any, Any, str]]:
    """(layer that is no model, itself or a layer that it is made of, name of the former) for all inside a layer."""
    if item["class_name"] in MODELS:
        for inner, described, inner_name in _layers(layer, item):
            yield from _holders(inner, described, inner_name)
    else:
        for holder in layer._flatten_layers():
            yield layer, holder, name


def own_weights(layer: Any) -> list[Any]:
    """The weights of a layer without those of layers in it, in the order of their making."""
    return [*layer._trainable_variables, *(v for v in layer._non_trainable_variables if "seed" not in v.name)]


def _source(given: dict[str, Any], leaf: Any, holder: Any, variable: Any, name: str, alone: bool) -> str:
    """The name of the one dataset that a weight is stored in; `alone`: no other layer stores there."""
    import keras

    old = _OLD_NAMES.get(type(holder).__name__, {}).get(variable.name, variable.name)
    folders = {source: source.rsplit("/", 1)[0] if "/" in source else "" for source in given}
    fitting = [source for source in given if source.rsplit("/", 1)[-1].split(":")[0] == old]
    folder = name if holder is leaf else f"{name}/{holder.name}"
    tries = [folder, name] if isinstance(leaf, keras.layers.Wrapper) else [folder]  # which holds them as its own
    for one in tries:
        for found in (
            [source for source in fitting if folders[source] == one],
            [source for source in fitting if f"/{folders[source]}".endswith(f"/{one}")],
        ):
            if len(found) == 1:
                return found[0]
    if alone and len(fitting) == 1:  # the layer got another name after it was built
        return fitting[0]
    if alone and len(given) == len(own_weights(holder)) == 1:  # the weight has no name
        return next(iter(given))
    raise ValueError(f"it should have the weight {folder}/{old} once. Found: {len(fitting)} of such a name")


def _fill_model(model: Any, config: dict[str, Any], group: Any, done: set[int]) -> None:
    stored = [hdf5.group(group, name) for name in ("layers", "_layer_checkpoint_dependencies")]  # the latter in 2.12
    numbers: dict[str, int] = {}
    for layer, item, _ in _layers(model, config):
        kind = snake(item["class_name"])
        number = numbers[kind] = numbers.get(kind, -1) + 1
        found = [hdf5.group(layers, f"{kind}_{number}" if number else kind) for layers in stored if layers is not None]
        own = next((inner for inner in found if inner is not None), None)
        if own is None:
            continue  # what is missing is named at the end
        if item["class_name"] in MODELS:
            _fill_model(layer, item, own, done)
        else:
            _fill(layer, own, done)


def _fill(layer: Any, group: Any, done: set[int]) -> None:
    stored = hdf5.group(group, "vars")
    given = hdf5.datasets(stored) if stored is not None else {}
    variables, kind = own_weights(layer), type(layer).__name__
    has_surplus = kind.startswith("Random") or kind == "Normalization"
    if len(given) != len(variables) and not (has_surplus and len(given) > len(variables)):
        raise ValueError(f"layer {layer.name} should have {len(variables)} weights. Found: {len(given)}")
    for number, variable in enumerate(variables):
        variable.assign(hdf5.array(given[str(number),], variable.shape))
        done.add(id(variable))
    for name, inner in hdf5.groups(group):
        if name != "vars" and hdf5.datasets(inner):
            held = getattr(layer, name, None)
            if not hasattr(held, "_trainable_variables"):
                raise ValueError(f"layer {layer.name} ({kind}) should not have {name}")
            _fill(held, inner, done)


def snake(name: str) -> str:
    """The name of a class as Keras 2 calls groups after it: Conv2D conv2d, ReLU re_lu."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def _finish(model: Any, done: set[int]) -> None:
    missing = [weight for weight in model.weights if id(weight) not in done]
    if missing:
        raise ValueError(f"it should have the weight {missing[0].path}, which is missing")
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
