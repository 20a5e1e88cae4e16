"""What is known by name: mini, the classification networks of keras.applications, and hand-crafted features."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fne_cli.errors import BadInput
from fne_cli.networks.kinds import ENDINGS

Preprocess = Literal["caffe", "tf", "torch", "unit", "none"]
Precision = Literal["float32", "bfloat16", "float16"]
PREPROCESS: tuple[Preprocess, ...] = ("caffe", "tf", "torch", "unit", "none")


@dataclass(frozen=True)
class Known:
    """A network of keras.applications: the constructor's name, the side of its square input, its preprocessing."""

    constructor: str
    image_size: int
    preprocess: Preprocess


def _family(preprocess: Preprocess, *members: str | tuple[str, int]) -> dict[str, Known]:
    pairs = [member if isinstance(member, tuple) else (member, 224) for member in members]
    return {name.lower(): Known(name, size, preprocess) for name, size in pairs}


# caffe: BGR minus the ImageNet channel means. tf: -1 ... 1. torch: 0 ... 1, ImageNet mean and deviation.
# unit: 0 ... 1. none: the network's first layers do it.
# tests/networks/test_catalog.py holds each against its module's own.
CATALOG: dict[str, Known] = {
    **_family("caffe", "VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152"),
    **_family("tf", "ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNet", "MobileNetV2"),
    **_family("tf", ("InceptionV3", 299), ("InceptionResNetV2", 299), ("Xception", 299)),
    **_family("tf", "NASNetMobile", ("NASNetLarge", 331)),
    **_family("torch", "DenseNet121", "DenseNet169", "DenseNet201"),
    **_family("none", "EfficientNetB0", ("EfficientNetB1", 240), ("EfficientNetB2", 260), ("EfficientNetB3", 300)),
    **_family("none", ("EfficientNetB4", 380), ("EfficientNetB5", 456), ("EfficientNetB6", 528)),
    **_family("none", ("EfficientNetB7", 600), "EfficientNetV2B0", ("EfficientNetV2B1", 240)),
    **_family("none", ("EfficientNetV2B2", 260), ("EfficientNetV2B3", 300), ("EfficientNetV2S", 384)),
    **_family("none", ("EfficientNetV2M", 480), ("EfficientNetV2L", 480)),
    **_family("none", "ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"),
    **_family("none", "MobileNetV3Small", "MobileNetV3Large"),
}
NAMES = ("mini", *CATALOG)
# Of the weights, by how names begin: what Keras's documentation of its applications says of the older ones, and of the
# others the licence of the repository that they were ported from.
_LICENCES = (
    ("mini", "MIT"),
    ("vgg", "CC BY 4.0"),
    ("resnet50v2", "BSD"),
    ("resnet101v2", "BSD"),
    ("resnet152v2", "BSD"),
    ("resnet", "MIT"),
    ("xception", "MIT"),
    ("densenet", "BSD 3-clause"),
    ("convnext", "MIT"),
    ("", "Apache 2.0"),
)
HANDCRAFTED = ("fisher", "bow", "hog")
"""Features without a network, in the place of one: fne_cli/descriptors makes them."""


@dataclass(frozen=True)
class Sizes:
    """features: of the full embedding. parameters: with the classifier. flop: of one image."""

    features: int
    parameters: int
    flop: int


def sizes() -> dict[str, Sizes]:
    """Those of every network with a name: sizes.json, which scripts/write_networks_sizes.py writes."""
    text = Path(__file__).with_name("sizes.json").read_text(encoding="utf-8")
    return {name: Sizes(**values) for name, values in json.loads(text).items()}


def licence_of(name: str) -> str:
    """The licence of a network's trained weights."""
    return next(licence for start, licence in _LICENCES if name.startswith(start))


def is_handcrafted(model: str) -> bool:
    """Whether this is the name of hand-crafted features."""
    return model.lower().replace("-", "").replace("_", "") in HANDCRAFTED


def known_name(model: str) -> str | None:
    """The catalogue's spelling of a name, None for a path. Raises BadInput for what is neither."""
    plain = model.lower().replace("-", "").replace("_", "")
    if plain in (*NAMES, *HANDCRAFTED):
        return plain
    if model.lower().endswith(ENDINGS) or os.path.exists(model):
        return None
    near = difflib.get_close_matches(plain, (*NAMES, *HANDCRAFTED), n=1)
    hint = f" Did you mean {near[0]}?" if near else f" Known: {', '.join(NAMES)}."
    raise BadInput(f"{model!r} should be a network's name or a .keras file.{hint}")
