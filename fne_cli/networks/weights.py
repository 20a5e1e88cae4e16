"""Building a network with its weights: by name or from a .keras file. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.networks import mini
from fne_cli.networks.backend import load_keras
from fne_cli.networks.catalog import CATALOG, PREPROCESS, Preprocess, known_name

if TYPE_CHECKING:
    import keras

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Network:
    """A Keras model ready to be tapped, and how its input is to be prepared. `weights` says where they come from."""

    name: str
    model: keras.Model
    preprocess: Preprocess
    height: int
    width: int
    weights: str
    precision: Precision = "float32"

    def weights_sha256(self) -> str:
        """SHA-256 over shape, type and bytes of all weights in order: the same however they were stored."""
        digest = hashlib.sha256()
        for weight in self.model.weights:
            values = np.ascontiguousarray(weight.numpy() if hasattr(weight, "numpy") else weight)
            digest.update(f"{values.shape} {values.dtype}\n".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()


def open_network(
    model: str,
    weights: str | None = None,
    seed: int = 0,
    preprocess: Preprocess | None = None,
    image_size: tuple[int, int] | None = None,
    precision: Precision = "float32",
) -> Network:
    """The network `model`: a name of the catalogue or a .keras file.

    weights: "imagenet" (default of the catalogue), "random" (with `seed`) or the path of an .h5 file; a .keras file has
    its own. preprocess and image_size (height, width) default to what the network is known to want. precision is what
    the layers compute in.
    Raises BadInput for a name, file or combination that cannot be used.
    """
    name = known_name(model)
    load_keras()
    if name is None:
        network = _from_file(model, weights, preprocess, image_size)
    elif name == "mini":
        network = _mini(weights, seed, preprocess, image_size)
    else:
        network = _from_catalog(name, weights, seed, preprocess, image_size)
    return network if precision == "float32" else _in_precision(network, precision)


def _in_precision(network: Network, precision: Precision) -> Network:
    """The same network computing in 16 bits; its weights stay float32 and are cast on the way in."""
    import keras

    def cast(layer: Any) -> Any:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = f"mixed_{precision}"
        return type(layer).from_config(config)

    model = keras.models.clone_model(network.model, clone_function=cast)
    model.set_weights(network.model.get_weights())
    return replace(network, model=model, precision=precision)


def _from_catalog(
    name: str, weights: str | None, seed: int, preprocess: Preprocess | None, image_size: tuple[int, int] | None
) -> Network:
    known = CATALOG[name]
    height, width = image_size or (known.image_size, known.image_size)
    build = _constructor(known.constructor, (height, width), image_size is not None)
    if weights == "random":
        network = _seeded(build, seed)
    elif weights in (None, "imagenet"):
        network = _with_imagenet(name, build)
        weights = "imagenet"
    else:
        network = _with_file(name, build, weights)
    return Network(name, network, preprocess or known.preprocess, height, width, _weights_name(weights, seed))


def _weights_name(weights: str, seed: int) -> str:
    if weights == "random":
        return f"random, seed {seed}"
    return weights if weights in ("imagenet", "cifar10") else "file"


def _constructor(name: str, size: tuple[int, int], resized: bool) -> Callable[..., Any]:
    def build(include_top: bool = True, weights: str | None = None) -> Any:
        import keras

        if include_top and resized:
            return getattr(keras.applications, name)(weights=weights, include_top=True, input_shape=(*size, 3))
        shape = {} if include_top else {"input_shape": (*size, 3)}
        return getattr(keras.applications, name)(weights=weights, include_top=include_top, **shape)

    return build


def _seeded(build: Callable[..., Any], seed: int) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    return build(weights=None)


def _with_imagenet(name: str, build: Callable[..., Any]) -> Any:
    try:
        return build(weights="imagenet")
    except ValueError as error:  # an image size that the classifier cannot take
        raise BadInput(f"{name} with its ImageNet weights cannot be built: {_first_line(error)}") from error
    except Exception as error:
        address = re.search(r"https?://\S+?(?=[\s:,]|$)", str(error))
        url = address[0] if address else "the file that https://keras.io/api/applications names"
        file = url.rsplit("/", 1)[-1]
        cache = os.path.join(os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras")), "models")
        raise BadInput(
            f"The ImageNet weights of {name} should be in Keras's cache or on the network.\nFound: {_first_line(error)}\n"
            f"Fetch {url}\non a machine with network access, then put it at {os.path.join(cache, file)}\n"
            f"or pass it: --weights {file}"
        ) from error


def _with_file(name: str, build: Callable[..., Any], path: str) -> Any:
    """The network with the weights of an .h5 file, with its classifier if the file has one."""
    if not os.path.isfile(path):
        raise BadInput(f"--weights should be imagenet, random or an .h5 file. Found: no file {path}.")
    if not path.endswith((".h5", ".hdf5")):
        raise BadInput(f"--weights {path} should end in .h5 (Keras's weights, .h5 or .weights.h5).")
    with open(path, "rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            raise BadInput(
                f"--weights {path} should be an HDF5 file. Found: something else, or an incomplete download."
            )
    reasons = []
    for include_top in (True, False):
        network = build(include_top=include_top)
        try:
            network.load_weights(path)
            return network
        except Exception as error:  # Keras raises ValueError, KeyError, OSError, ... for files of another network
            reasons.append(f"{'with' if include_top else 'without'} top: {_first_line(error)}")
    raise BadInput(f"--weights {path} should hold the weights of {name}. Found:\n" + "\n".join(reasons))


def _mini(weights: str | None, seed: int, preprocess: Preprocess | None, image_size: tuple[int, int] | None) -> Network:
    side = mini.IMAGE_SIZE
    if image_size not in (None, (side, side)):
        raise BadInput(f"--image-size of mini should be {side}. Found: {image_size}.")
    if weights == "random":
        network = _seeded(lambda weights: mini.build(), seed)
    elif weights in (None, "cifar10"):
        network, weights = mini.build(), "cifar10"
        mini.load_weights(network)
    elif weights == "imagenet":
        raise BadInput("mini was trained on CIFAR-10; there are no ImageNet weights of it. Leave --weights out.")
    else:
        network = _with_file("mini", lambda include_top: mini.build(), weights)
    return Network("mini", network, preprocess or "tf", side, side, _weights_name(weights, seed))


def _from_file(
    path: str, weights: str | None, preprocess: Preprocess | None, image_size: tuple[int, int] | None
) -> Network:
    import keras

    if weights is not None:
        raise BadInput(f"{path} has its own weights. Leave --weights out.")
    if not os.path.isfile(path):
        raise BadInput(f"{path} should be a network in a .keras file. Found: no such file.")
    if not zipfile.is_zipfile(path):
        raise BadInput(f"{path} should be a .keras file (a zip archive). Found: something else.")
    if preprocess is None:
        raise BadInput(
            f"{path} does not say how its input is to be prepared. Give --preprocess {'|'.join(PREPROCESS)}:\n"
            "caffe: BGR minus the ImageNet means; tf: -1 ... 1; torch: ImageNet mean and deviation; none: 0 ... 255."
        )
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # unsafe or unknown layers, broken archives: Keras has no common class for these
        raise BadInput(f"{path} cannot be loaded as a Keras model in safe mode: {_first_line(error)}") from error
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3):
        raise BadInput(f"{path} should take one RGB image, (batch, height, width, 3). Found: {shape}.")
    fixed = (shape[1], shape[2])
    if None in fixed:
        if image_size is None:
            raise BadInput(f"{path} takes images of any size. Give --image-size.")
    elif image_size not in (None, fixed):
        raise BadInput(f"{path} takes images of {fixed[0]} x {fixed[1]}. Found: --image-size {image_size}.")
    height, width = image_size or (int(shape[1]), int(shape[2]))
    if None in fixed:  # the same layers over an input of known size, so that every map has one
        sized = keras.Input((height, width, 3))
        model = keras.models.clone_model(model, input_tensors=sized, clone_function=lambda layer: layer)
    return Network(model.name, model, preprocess, height, width, "file")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
