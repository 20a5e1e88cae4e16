"""A preset of KerasHub: a folder with a description, weights in HDF5, and how images are prepared.

Nothing of a folder is run, and KerasHub is not asked to read it: the description has to name one of the classes below,
and to be plain values otherwise; sizes that it claims are compared with the weights before anything is built.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.networks.hub.opened import opened
from fne_cli.networks.saved import hdf5
from fne_cli.networks.saved.files import brief

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
_CONVERTER, _PREPROCESSOR = "image_converter.json", "preprocessor.json"
_TEXT = 1 << 20
_SMALL = 1024  # integers up to this are no size that matters
_SHAPES = ("image_shape", "position_embedding_shape", "image_size")
_SIDE = 4096
_SLACK = 64 << 20
_NETWORKS = (
    "ViTBackbone", "DeiTBackbone", "DINOV2Backbone", "DINOV3Backbone", "CLIPVisionEncoder", "SigLIPVisionEncoder",
    "ResNetBackbone", "VGGBackbone", "DenseNetBackbone",
)  # fmt: skip
_AGAIN = "In the Python that has it: backbone.save_to_preset(FOLDER), with KerasHub 0.20 or newer."


def is_preset(path: str) -> bool:
    """Whether a path is such a folder, by its description's first words."""
    try:
        with open(os.path.join(path, CONFIG), "rb") as file:
            return b"keras_hub" in file.read(4096)
    except OSError:
        return False


def files_of(path: str) -> list[str]:
    """The files of the folder that are read."""
    names = (os.path.join(path, name) for name in (CONFIG, WEIGHTS, _CONVERTER, _PREPROCESSOR))
    return [name for name in names if os.path.isfile(name)]


def load(path: str) -> tuple[Any, tuple[int, int] | None]:
    """(the network, its blocks opened; rows and columns of its patches, None if it is no transformer).

    Raises BadInput for what is not one of KerasHub's networks of images, damaged or refused, and without KerasHub.
    """
    hub = _load_hub()
    description = _json(path, CONFIG)
    kind, config = description.get("class_name"), description.get("config")
    if kind not in _NETWORKS or not isinstance(config, dict):
        shown = str(kind)[:80]
        raise BadInput(
            f"{path} should be one of KerasHub's networks of images: {', '.join(_NETWORKS)}. Found: {shown}.",
            remedy="Of a model with several towers save the one of images: model.backbone.vision_encoder."
            "save_to_preset(FOLDER)",
        )
    _refuse_foreign(path, config)
    weights = os.path.join(path, WEIGHTS)
    if not os.path.isfile(weights):
        raise BadInput(f"{path} should have its weights in {WEIGHTS}. Found: no such file.", remedy=_AGAIN)
    try:
        sizes = _sizes(weights)
        _compare(path, config, sizes)
        made = getattr(hub.models, kind)
        _compare_parameters(path, made, config, sizes)
        backbone = made.from_config(config)
        backbone.load_weights(weights)
        network = opened(backbone)
    except BadInput:
        raise
    except Exception as error:  # damage, or another version: Keras has no common class for these
        raise BadInput(f"{path} cannot be loaded as a network of KerasHub: {brief(error)}", remedy=_AGAIN) from error
    return network, _grid(backbone)


def preprocess_of(path: str) -> tuple[str | None, tuple[int, int] | None]:
    """(--preprocess, image size) by what the folder says itself; None for what it does not."""
    converter = _json(path, _CONVERTER) if os.path.isfile(os.path.join(path, _CONVERTER)) else None
    if converter is None and os.path.isfile(os.path.join(path, _PREPROCESSOR)):
        converter = _part(_json(path, _PREPROCESSOR).get("config"), "image_converter")
    config = _part(converter, "config")
    try:
        scale, offset = (_three(config.get(key), default) for key, default in (("scale", 1.0), ("offset", 0.0)))
        # pixel x scale + offset, in the words of --preprocess: (pixel / 255 - mean) / std
        std = [_round(1 / (255 * one)) for one in scale]
        mean = [_round(-one * of) for one, of in zip(offset, std, strict=True)]
        said = f"mean={_joined(mean)},std={_joined(std)},scale=1/255" if config else None
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise BadInput(
            f"{path} should say how images are prepared in numbers. Found: {brief(error)}", remedy="Give --preprocess."
        ) from error
    match config.get("image_size"):
        case [int(height), int(width)] if min(height, width) > 0:
            return said, (height, width)
    return said, None


def _load_hub() -> Any:
    try:
        import keras_hub
    except ImportError as error:
        raise BadInput(
            f"Presets of KerasHub should have the package keras-hub. Found: {error}.",
            remedy="pip install 'fne-cli[hub]'",
        ) from error
    return keras_hub


def _json(path: str, name: str) -> dict[str, Any]:
    file = os.path.join(path, name)
    try:
        with open(file, "rb") as stream:
            text = stream.read(_TEXT + 1)
        if len(text) > _TEXT:
            raise ValueError("more than 1 MiB")
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("no description")
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file} should be a description of KerasHub. Found: {brief(error)}.", remedy=_AGAIN) from error
    return found


def _part(of: Any, name: str) -> dict[str, Any]:
    found = of.get(name) if isinstance(of, dict) else None
    return found if isinstance(found, dict) else {}


def _three(value: Any, default: float) -> list[float]:
    found = [default] if value is None else value if isinstance(value, list) else [value]
    if len(found) not in (1, 3) or not all(math.isfinite(float(one)) for one in found):
        raise ValueError(f"{str(found)[:80]} in place of one number or three")
    return [float(one) for one in found] * (1 if len(found) == 3 else 3)


def _round(value: float) -> float:
    return float(f"{value:.12g}") + 0.0  # 0.229 and not 0.22900000000000001; no -0.0


def _joined(values: list[float]) -> str:
    return "/".join(map(repr, values))


def _values(item: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All values in a description that are no lists or dictionaries, with the key that they stand behind."""
    ahead = [(key, item)]
    while ahead:
        key, item = ahead.pop()
        if isinstance(item, list):
            ahead += [(key, one) for one in item]
        elif isinstance(item, dict):
            ahead += item.items()
        else:
            yield key, item


def _refuse_foreign(path: str, config: dict[str, Any]) -> None:
    """Raises BadInput for a description with classes in it, other than how numbers are kept."""
    ahead: list[Any] = [config]
    while ahead:
        item = ahead.pop()
        ahead += item if isinstance(item, list) else item.values() if isinstance(item, dict) else []
        if isinstance(item, dict) and "class_name" in item:
            name = item["class_name"]
            if name != "DTypePolicy" or item.get("module") not in ("keras", "keras.dtype_policies"):
                raise BadInput(
                    f"{path} should be described by plain values. Found: the class {str(name)[:80]}, in {CONFIG}.",
                    remedy=_AGAIN,
                )


def _sizes(path: str) -> list[tuple[int, ...]]:
    """The shapes of all weights in a file. Raises Suspicious for links, other files, and more than the file has."""
    with hdf5.opened(path) as file:
        found = [dataset for dataset in hdf5.datasets(file).values() if dataset.dtype.kind in "fiub"]
        if any(dataset.external or dataset.is_virtual for dataset in found):
            raise hdf5.Suspicious("some of its weights lie in another file")
        claimed = sum(math.prod(dataset.shape) * dataset.dtype.itemsize for dataset in found)
        if claimed > os.path.getsize(path):
            raise hdf5.Suspicious(f"its weights claim {claimed:,} bytes, of a file of {os.path.getsize(path):,}")
        return [tuple(dataset.shape) for dataset in found]


def _compare(path: str, config: dict[str, Any], sizes: list[tuple[int, ...]]) -> None:
    """Raises BadInput for a number in the description that the weights have no place for."""
    largest = max([_SMALL, *(side for shape in sizes for side in shape)])
    for key, value in _values(config):
        repeated = any(word in key for word in ("layers", "blocks", "depth", "repeats"))
        limit = _SIDE if key in _SHAPES else len(sizes) if repeated else largest
        if isinstance(value, int | float) and not abs(value) <= limit:
            raise BadInput(
                f"{path} should describe a network as large as its weights. Found: {str(key)[:80]} {value:,}, in "
                f"{CONFIG}.",
                remedy=_AGAIN,
            )


def _compare_parameters(path: str, made: Any, config: dict[str, Any], sizes: list[tuple[int, ...]]) -> None:
    """Build it without values, and raise BadInput if it has much more weights than the file."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        model = made.from_config(config)
    wanted = 4 * sum(math.prod(weight.shape) for weight in model.weights)
    given = 4 * sum(math.prod(shape) for shape in sizes)
    if wanted > 2 * given + _SLACK:
        raise BadInput(
            f"{path} should describe a network as large as its weights. Found: {wanted:,} bytes in {CONFIG}, {given:,} "
            f"in {WEIGHTS}.",
            remedy=_AGAIN,
        )


def _grid(backbone: Any) -> tuple[int, int] | None:
    patch = getattr(backbone, "patch_size", None)
    if patch is None:
        return None
    sides = (patch, patch) if isinstance(patch, int) else tuple(patch)
    first, *rest = (size for size in backbone.inputs[0].shape[1:])
    height, width = rest if first in (1, 3) else (first, rest[0])
    return int(height) // int(sides[0]), int(width) // int(sides[1])
