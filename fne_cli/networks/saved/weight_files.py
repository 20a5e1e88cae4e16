"""The weights of a known network from an .h5 file, which may be of the network with another head."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.networks.kinds import is_hdf5
from fne_cli.networks.saved import hdf5
from fne_cli.networks.saved.files import brief
from fne_cli.networks.saved.keras2_weights import own_weights, snake

Stored = dict[str, dict[str, Any]]  # by the layer's name, then by the weight's name or number
_OTHERS = ("optimizer", "optimizer_weights", "top_level_model_weights", "metrics")
_DEPTHWISE = {"kernel": "depthwise_kernel"}  # the name in Keras 2


def with_file(
    name: str, build: Callable[..., Any], path: str, tops: Sequence[bool] = (True, False)
) -> tuple[Any, tuple[str, ...]]:
    """The network with the weights of an .h5 file, and notes: which layers of the file it does not have.

    With its classifier if the file has that; else as far as the file goes. Raises BadInput for the weights of another
    network, with the reasons.
    """
    _check(path)
    reasons: list[str] = []
    networks = {}
    for include_top in tops:
        network = networks[include_top] = build(include_top=include_top)
        if include_top is False and (
            shortened := _by_name(networks[True], path, without_classifier=True, than=network)
        ):
            return shortened
        try:
            with warnings.catch_warnings(action="ignore"):  # about the attempt that fails, and older versions of Keras
                network.load_weights(path)
            return network, _note(path, _beyond(network, path))
        except Exception as error:  # Keras raises ValueError, KeyError, OSError, ... for files of another network
            reasons.append(f"{'with' if include_top else 'without'} top: {brief(error)}")
    last = networks[tops[-1]]
    if found := _by_name(build(include_top=tops[-1]), path, without_classifier=tops[-1]):
        return found
    raise BadInput(
        f"--weights {path} should hold the weights of {name}. Found:\n" + "\n".join([*reasons, *_compared(last, path)])
    )


def _check(path: str) -> None:
    if not os.path.isfile(path):
        raise BadInput(f"--weights should be imagenet, random or an .h5 file. Found: no file {path}.")
    if not path.endswith((".h5", ".hdf5")):
        raise BadInput(f"--weights {path} should end in .h5 (Keras's weights, .h5 or .weights.h5).")
    try:
        found = is_hdf5(path)
    except OSError as error:
        raise BadInput(f"--weights {path} should be readable. Found: {error.strerror}.") from error
    if not found:
        raise BadInput(f"--weights {path} should be an HDF5 file. Found: something else, or an incomplete download.")


def _note(path: str, dropped: Sequence[str]) -> tuple[str, ...]:
    if not dropped:
        return ()
    return (f"--weights {path}: its head is left out: {', '.join(dropped)}",)


def _stored(file: Any) -> Stored:
    """The weights of a file, by the names of the layers; models inside it are looked into."""
    found: Stored = {}
    twice = set()
    root = hdf5.group(file, "model_weights") or file
    for path, dataset in hdf5.datasets(root).items():
        if path[0] in _OTHERS or len(path) < 2:
            continue
        # Keras 3 has layers/conv2d_1/vars/0, where vars knows the layer's name; else the layer is a folder.
        name = hdf5.text(dataset.parent, "name") or path[-3] if path[-2] == "vars" else path[-2]
        key = path[-1].split(":")[0]
        twice |= {name} if key in found.get(name, {}) else set()
        found.setdefault(name, {})[key] = dataset
    return {name: weights for name, weights in found.items() if name not in twice}


def _datasets(layer: Any, stored: Stored) -> list[Any] | None:
    """The datasets of a layer's weights, None if one is missing or of another shape."""
    given = stored.get(layer.name, {})
    old = _DEPTHWISE if type(layer).__name__.startswith("Depthwise") else {}
    chosen = []
    for number, variable in enumerate(own_weights(layer)):
        keys = (str(number), variable.name, old.get(variable.name, ""))
        dataset = next((given[key] for key in keys if key in given), None)
        if dataset is None or tuple(dataset.shape) != tuple(variable.shape):
            return None
        chosen.append(dataset)
    return chosen


def _by_name(network: Any, path: str, without_classifier: bool, than: Any = None) -> tuple[Any, tuple[str, ...]] | None:
    """The network with the weights of layers of the same names, and a note on the others; None if one is missing.

    without_classifier: end before the last layer with weights. Then the file has to have more than the network `than`.
    """
    import keras

    weighted = [layer for layer in network.layers if layer.weights]
    if without_classifier:
        *weighted, classifier = weighted
        if than is not None and len(weighted) <= sum(bool(layer.weights) for layer in than.layers):
            return None
    try:
        with hdf5.opened(path) as file:
            stored = _stored(file)
            datasets = [_datasets(layer, stored) for layer in weighted]
            if not all(datasets):
                return None
            for layer, chosen in zip(weighted, datasets, strict=True):
                for variable, dataset in zip(own_weights(layer), chosen or (), strict=True):
                    variable.assign(hdf5.array(dataset, variable.shape))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):  # damage; Keras has told what it found
        return None
    if without_classifier:
        network = keras.Model(network.inputs, classifier.input, name=network.name)
    names = {layer.name for layer in weighted}
    return network, _note(path, [name for name in stored if name not in names])


def _beyond(network: Any, path: str) -> list[str]:
    """The layers of a file in Keras 3's layout that the network does not have: Keras reads past them."""
    with hdf5.opened(path) as file:
        layers = hdf5.group(file, "layers")
        if layers is None:
            return []
        kinds: dict[str, int] = {}
        for layer in network.layers:
            kind = snake(type(layer).__name__)
            kinds[kind] = kinds.get(kind, 0) + 1
        found = []
        for key, group in hdf5.groups(layers):
            kind, number = re.fullmatch(r"(.*?)(?:_(\d+))?", key).groups()  # type: ignore[union-attr]
            if int(number or 0) >= kinds.get(kind, 0) and hdf5.datasets(group):
                stored = hdf5.group(group, "vars")
                found.append((hdf5.text(stored, "name") if stored is not None else None) or key)
        return found


def _compared(network: Any, path: str) -> list[str]:
    """What the network would need and what the file has, in a line."""
    try:
        with hdf5.opened(path) as file:
            names = list(_stored(file))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return []
    wanted = [layer.name for layer in network.layers if layer.weights]
    if any(name in names for name in wanted):
        return []
    return [f"None of its layers ({_some(wanted)}) is in the file, which has {_some(names) or 'no weights'}."]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")
