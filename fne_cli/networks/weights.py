"""Building a network with its weights: by name or from a file. Nothing is ever unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.networks import graph, mini
from fne_cli.networks.backend import load_keras
from fne_cli.networks.catalog import CATALOG, Precision, is_handcrafted, known_name
from fne_cli.networks.hub import blocks, preset
from fne_cli.networks.kinds import container
from fne_cli.networks.preprocessing import HOW_TO_FIND_OUT, NAMED, WHAT_THEY_DO, canonical, scaled_twice, spelled
from fne_cli.networks.saved import files
from fne_cli.networks.saved.lineage import preprocess_of
from fne_cli.networks.saved.weight_files import with_file
from fne_cli.networks.tapping import taps

if TYPE_CHECKING:
    import keras


_KERAS_ONLY = "Extractions take ONNX files, too; what trains networks takes those of Keras alone."


@dataclass(frozen=True)
class Network:
    """A Keras model ready to be tapped, and how its input is to be prepared.

    `weights` says where they come from, `from_file` whether the layers, too, come from a file, `notes` what a person
    should know of it. `patches`: rows and columns of a transformer's patches; `is_hub`: it has layers of KerasHub.
    """

    name: str
    model: keras.Model
    preprocess: str
    height: int
    width: int
    weights: str
    precision: Precision = "float32"
    takes: graph.Input = graph.RGB
    notes: tuple[str, ...] = ()
    from_file: bool = False
    patches: tuple[int, int] | None = None
    is_hub: bool = False

    def taps(self) -> list[taps.Tap]:
        """All taps, of a transformer's blocks, too. Raises BadInput for a network without any."""
        return taps.find_taps(self.model) if self.patches is None else blocks.find_taps(self.model, self.patches)

    def left_out(self) -> list[tuple[str, str]]:
        """(name, reason) of what has weights and is not tapped unless it is asked for, or not at all."""
        if self.patches is None:
            return taps.left_out(self.model)
        return blocks.left_out(self.model, self.taps())

    def weights_sha256(self) -> str:
        """That of `digest_of`."""
        return digest_of(self.model)


def digest_of(model: keras.Model) -> str:
    """SHA-256 over shape, type and bytes of all weights in order: the same however they were stored."""
    digest = hashlib.sha256()
    for weight in model.weights:
        values = np.ascontiguousarray(weight.numpy() if hasattr(weight, "numpy") else weight)
        digest.update(f"{values.shape} {values.dtype}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def open_network(
    model: str,
    weights: str | None = None,
    seed: int = 0,
    preprocess: str | None = None,
    image_size: tuple[int, int] | None = None,
    precision: Precision = "float32",
) -> Network:
    """The network `model`: a name of the catalogue, or a .keras or .h5 file.

    weights: "imagenet" (default of the catalogue), "random" (with `seed`) or the path of an .h5 file; a network from a
    file has its own. preprocess and image_size (height, width) default to what the network is known to want. precision
    is what the layers compute in.
    Raises BadInput for a name, file or combination that cannot be used.
    """
    if is_handcrafted(model):
        raise BadInput(f"A network should be named here. Found: {model}, which is features without a network.")
    name = known_name(model)
    if preprocess is not None:
        preprocess = spelled(preprocess)
    if name is None:
        network = _from_file(model, weights, preprocess, image_size)
    elif name == "mini":
        load_keras()
        network = _mini(weights, seed, preprocess, image_size)
    else:
        load_keras()
        network = _from_catalog(name, weights, seed, preprocess, image_size)
    prepared = canonical(network.preprocess, network.takes)
    model_of_size = graph.flat(network.model, network.height, network.width, precision, network.takes)
    notes = (*network.notes, *scaled_twice(model_of_size, prepared))
    return replace(network, model=model_of_size, preprocess=prepared, precision=precision, notes=notes)


def _from_catalog(
    name: str, weights: str | None, seed: int, preprocess: str | None, image_size: tuple[int, int] | None
) -> Network:
    known = CATALOG[name]
    own = (known.image_size, known.image_size)
    height, width = size = image_size or own
    build = _constructor(known.constructor, size)
    notes: tuple[str, ...] = ()
    with_top = size == own  # the dense layers of a trained network fit its own size only
    if weights == "random":
        network = seeded(lambda: build(include_top=with_top), seed)
    elif weights in (None, "imagenet"):
        network = _with_imagenet(name, lambda: build(include_top=with_top, weights="imagenet"))
        weights = "imagenet"
    else:
        network, notes = with_file(name, build, weights)
    preprocess = preprocess or known.preprocess
    return Network(name, network, preprocess, height, width, _weights_name(weights, seed), notes=notes)


def _weights_name(weights: str, seed: int) -> str:
    if weights == "random":
        return f"random, seed {seed}"
    return weights if weights in ("imagenet", "cifar10") else "file"


def _constructor(name: str, size: tuple[int, int]) -> Callable[..., Any]:
    def build(include_top: bool, weights: str | None = None) -> Any:
        import keras

        try:
            return getattr(keras.applications, name)(weights=weights, include_top=include_top, input_shape=(*size, 3))
        except ValueError as error:  # too small an image, or a download that is not what it should be
            raise BadInput(f"{name} cannot be built for images of {_by(size)}: {files.brief(error)}") from error

    return build


def seeded(build: Callable[[], Any], seed: int) -> Any:
    """The network with the weights that the seed gives, whatever other threads of this process do.

    Keras takes the seeds of its initializers from the one generator that Python has for everybody; threads of a Dask
    worker draw from it, too. While the network is built, Keras gets one of its own with the same numbers.
    """
    import keras
    from keras.src.random import seed_generator

    keras.utils.set_random_seed(seed)
    shared = seed_generator.python_random
    seed_generator.python_random = random.Random(seed)  # noqa: S311  # to be the same, not to be secret
    try:
        return build()
    finally:
        seed_generator.python_random = shared


def _with_imagenet(name: str, build: Callable[[], Any]) -> Any:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras announces downloads on standard output
            return build()
    except BadInput:
        raise
    except Exception as error:  # Keras raises Exception itself, and whatever urllib does
        cache = os.path.join(os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras")), "models")
        address = re.search(r"https?://\S+\.h5", str(error))
        url = address[0] if address else "them (https://keras.io/api/applications)"
        file = url.rsplit("/", 1)[-1] if address else "FILE.h5"
        raise BadInput(
            f"The ImageNet weights of {name} should be in Keras's cache or on the network.\n"
            f"Found: {files.brief(error)}\nFetch {url}\n"
            f"on a machine with network access, then put it at {os.path.join(cache, file)}\n"
            f"or pass it: --weights {file}"
        ) from error


def _mini(weights: str | None, seed: int, preprocess: str | None, image_size: tuple[int, int] | None) -> Network:
    side = mini.IMAGE_SIZE
    notes: tuple[str, ...] = ()
    if image_size not in (None, (side, side)):
        raise BadInput(f"--image-size of mini should be {side}. Found: {_by(image_size)}.")
    if weights == "random":
        network = seeded(mini.build, seed)
    elif weights in (None, "cifar10"):
        network, weights = mini.build(), "cifar10"
        mini.load_weights(network)
    elif weights == "imagenet":
        raise BadInput("mini was trained on CIFAR-10; there are no ImageNet weights of it. Leave --weights out.")
    else:
        network, notes = with_file("mini", lambda include_top: mini.build(), weights, tops=(True,))
    return Network("mini", network, preprocess or "tf", side, side, _weights_name(weights, seed), notes=notes)


def _from_file(path: str, weights: str | None, preprocess: str | None, image_size: tuple[int, int] | None) -> Network:
    if weights is not None:
        raise BadInput(f"{path} has its own weights. Leave --weights out.")
    if preset.is_preset(path):
        return _from_preset(path, preprocess, image_size)
    if container(path) == "onnx":
        raise BadInput(f"{path} should be a network of Keras. Found: an ONNX file.", remedy=_KERAS_ONLY)
    if preprocess is None:  # networks that were trained here say it themselves
        preprocess = preprocess_of(path)
    if preprocess is None:
        raise _unprepared(path)
    load_keras()  # seconds, which an answer that needs no network does not cost
    model = files.load(path)
    return _of_size(path, model, preprocess, image_size)


def _from_preset(path: str, preprocess: str | None, image_size: tuple[int, int] | None) -> Network:
    told, size = preset.preprocess_of(path)
    notes: tuple[str, ...] = ()
    if preprocess is None:
        if told is None:
            raise _unprepared(path)
        preprocess, notes = spelled(told), (f"--preprocess {spelled(told)}, by the folder itself",)
    load_keras()
    model, patches = preset.load(path)
    if image_size is None and None in files.input_of(path, model)[1]:
        image_size = size
    network = _of_size(path, model, preprocess, image_size)
    return replace(network, notes=notes, patches=patches, is_hub=True)


def _unprepared(path: str) -> BadInput:
    return BadInput(
        f"{path} does not say how its input is to be prepared. Give --preprocess {'|'.join(NAMED)}:\n"
        f"{WHAT_THEY_DO}\n{HOW_TO_FIND_OUT}"
    )


def _of_size(path: str, model: Any, preprocess: str | None, image_size: tuple[int, int] | None) -> Network:
    takes, fixed = files.input_of(path, model)
    if preprocess not in (None, "none"):
        takes = replace(takes, dtype="float32")
    size = image_size or (fixed[0] or 0, fixed[1] or 0)
    if 0 in size:
        raise BadInput(f"{path} takes images of any size. Give --image-size.")
    if any(side not in (None, asked) for side, asked in zip(fixed, size, strict=True)):
        raise BadInput(f"{path} takes images of {_by(fixed)}. Found: --image-size {_by(size)}.")
    return Network(model.name, model, preprocess or "none", *size, "file", takes=takes, from_file=True)


def _by(size: tuple[int | None, int | None]) -> str:
    return f"{size[0]} x {size[1]}"
