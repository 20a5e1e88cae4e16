"""What is done to pixels before the network sees them: by name, or as numbers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput
from fne_cli.networks import graph
from fne_cli.networks.catalog import PREPROCESS
from fne_cli.networks.graph import Input

if TYPE_CHECKING:
    import keras
    import numpy as np

# What people call by the name of where it comes from.
_OTHER_NAMES = {
    "imagenet": "torch",
    "clip": "mean=0.48145466/0.4578275/0.40821073,std=0.26862954/0.26130258/0.27577711,order=rgb,scale=1/255",
}
NAMED = (*PREPROCESS, *_OTHER_NAMES)
"""Every name that --preprocess takes."""
NUMBERS = "mean=0.485/0.456/0.406,std=0.229/0.224/0.225,order=rgb,scale=1/255"
WHAT_THEY_DO = (
    "caffe: BGR minus the ImageNet means; tf: -1 ... 1; torch or imagenet: ImageNet mean and deviation; clip: those of "
    f"CLIP; unit: 0 ... 1; none: 0 ... 255;\nor numbers: {NUMBERS}."
)
HOW_TO_FIND_OUT = (
    "It is what was done to the images in training: / 255 is unit, / 127.5 - 1 is tf, ToTensor and Normalize are "
    "torch; none if the network does it itself, in a Rescaling layer. More: docs/faq.md, 1."
)
_LUMA = (19595, 38470, 7471)  # ITU-R 601 in 1 / 65536, as Pillow's mode L rounds it
# What keras.applications' preprocess_input consists of when it is part of a network.
_ARITHMETIC = ("TrueDivide", "Divide", "Multiply", "Subtract", "Add")


@dataclass(frozen=True)
class Numbers:
    """(pixel x scale - mean) / std for each channel, in the order rgb or bgr. One mean or std is for all channels."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    order: str = "rgb"
    scale: float = 1.0

    def __str__(self) -> str:
        mean, std = ("/".join(map(repr, values)) for values in (self.mean, self.std))
        return f"mean={mean},std={std},order={self.order},scale={self.scale!r}"

    @property
    def of_three_channels(self) -> bool:
        """Whether it does not treat all channels alike."""
        return len(self.mean) > 1 or len(self.std) > 1 or self.order == "bgr"

    @classmethod
    def parse(cls, text: str) -> Numbers:
        """From `mean=...,std=...,order=...,scale=...`, each of which may be left out. Raises BadInput.

        Three numbers have slashes, commas, semicolons or spaces between them, and brackets around them or none.
        """
        found = dict(_parts(text))
        mean, std = (_three(key, found.get(key, default)) for key, default in (("mean", "0"), ("std", "1")))
        if not all(std):
            raise BadInput("--preprocess: std should not be 0.")
        order = found.get("order", "rgb").lower()
        if order not in ("rgb", "bgr"):
            raise BadInput(f"--preprocess: order should be rgb or bgr. Found: {order!r}.")
        scale = _fraction(found.get("scale", "1"))
        if "scale" not in found and any(mean) and max(map(abs, (*mean, *std))) <= 1:
            raise BadInput(
                f"--preprocess: mean={found['mean']} seems to be of pixels from 0 to 1, but they come from 0 to 255. "
                "Add scale=1/255, or scale=1 if it is meant so."
            )
        if scale > 0 and max(mean) > 255 * scale * (1 + 1e-6):
            raise BadInput(
                f"--preprocess: mean={found['mean']} is above every pixel, as scale={found.get('scale', '1')} makes "
                f"255 to {255 * scale:.6g}. Give the mean of the scaled pixels: they are scaled first."
            )
        return cls(mean, std, order, scale)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """(key, value) of each part; what has no key of its own goes on with the part before it."""
    known = ("mean", "std", "order", "scale")
    found: dict[str, list[str]] = {}
    key = ""
    for part in text.split(","):
        before, equals, value = (word.strip() for word in part.partition("="))
        if equals:
            key = before.lower()
            if key not in known or key in found:
                problem = "twice" if key in found else "unknown"
                raise _no_preprocessing(text, f"{before!r} is {problem}")
        elif key not in ("mean", "std"):
            raise _no_preprocessing(text, f"{part.strip()!r} has no key" if key else "")
        found.setdefault(key, []).append(value if equals else before)
    yield from ((key, ",".join(values)) for key, values in found.items())


def _no_preprocessing(text: str, problem: str) -> BadInput:
    near = difflib.get_close_matches(text.lower(), NAMED, n=1)
    names = ", ".join(NAMED)
    hint = f" Did you mean {near[0]}?" if near else ""
    told = f": {problem}" if problem else ""
    return BadInput(f"--preprocess should be {names}, or numbers: {NUMBERS}. Found: {text!r}{told}.{hint}")


def _three(key: str, text: str) -> tuple[float, ...]:
    """One number, or three: those that are the same are one."""
    bare = text.strip()
    if bare[:1] in ("[", "(") and bare[-1:] in ("]", ")"):
        bare = bare[1:-1].strip()
    try:
        values = tuple(float(word) + 0.0 for word in re.split(r"\s*[/;,]\s*|\s+", bare))  # -0.0 + 0.0 is 0.0
    except ValueError:
        values = ()
    if len(values) not in (1, 3) or not all(abs(value) < float("inf") for value in values):
        raise BadInput(
            f"--preprocess: {key} should be a number, or three with slashes between them (red/green/blue, or as order= "
            f"says). Found: {text!r}."
        )
    return values[:1] if len(set(values)) == 1 else values


def _fraction(text: str) -> float:
    above, _, below = text.partition("/")
    try:
        value = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 0 < abs(value) < float("inf"):
        raise BadInput(f"--preprocess: scale should be a number, or a fraction as 1/255. Found: {text!r}.")
    return value


def spelled(text: str) -> str:
    """A preprocessing in the one way in which it is written down. Raises BadInput for what is none.

    Old names are themselves. Numbers that say the same are the same; those that change nothing are none.
    """
    name = text.strip().lower()
    name = _OTHER_NAMES.get(name, name)
    if name in PREPROCESS:
        return name
    numbers = Numbers.parse(_OTHER_NAMES.get(text.strip().lower(), text))
    return "none" if numbers == Numbers() else str(numbers)


def canonical(text: str, takes: Input) -> str:
    """The preprocessing as the settings have it. Raises BadInput for one that is none, or not of this input."""
    name = spelled(text)
    coloured = name in ("caffe", "torch") or (name not in PREPROCESS and Numbers.parse(name).of_three_channels)
    if takes.channels == 1 and coloured:
        raise BadInput(
            f"--preprocess {text} is for three channels, and the network takes one. "
            "Give none, unit, tf, or numbers with one mean and std."
        )
    return name


def scaled_twice(model: keras.Model, preprocess: str) -> Iterator[str]:
    """A note if a flat model begins with a preprocessing of its own and gets another before it."""
    first = graph.beginning(model)
    kind = type(first).__name__
    if preprocess != "none" and kind in ("Rescaling", "Normalization", *_ARITHMETIC):
        what = "an operation" if kind in _ARITHMETIC else f"a {kind}"
        yield (
            f"{model.name} begins with {graph.name_of(first)}, {what} that prepares the images, and gets "
            f"--preprocess {preprocess} before it. If it was trained on pixels from 0 to 255, give --preprocess none."
        )


def prepare(pixels: Any, preprocess: str, takes: Input) -> Any:
    """(rows, height, width, 3) uint8 -> what the network takes, as a tensor of Keras's backend."""
    import keras
    from keras import ops
    from keras.applications.imagenet_utils import preprocess_input

    if takes.channels == 1:
        red, green, blue = (ops.cast(pixels[..., number], "int32") for number in range(3))
        luma = red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2] + 0x8000
        pixels = ops.expand_dims(ops.floor_divide(luma, 0x10000), -1)
    images = ops.cast(pixels, takes.dtype)
    if preprocess == "unit":
        images = images / 255.0
    elif preprocess in PREPROCESS:
        if preprocess != "none":
            images = preprocess_input(images, mode=preprocess, data_format="channels_last")
    else:
        numbers = Numbers.parse(preprocess)
        images = images[..., ::-1] if numbers.order == "bgr" and takes.channels == 3 else images
        mean, std = (ops.convert_to_tensor(values, "float32") for values in (numbers.mean, numbers.std))
        images = (images * numbers.scale - mean) / std
    return keras.ops.moveaxis(images, -1, 1) if takes.channels_first else images


def grey(pixels: np.ndarray) -> np.ndarray:
    """(rows, height, width, 3) uint8 -> (rows, height, width, 1) uint8, as Pillow's mode L has it."""
    import numpy as np  # here: who is up to date need not wait for it

    red, green, blue = (pixels[..., number].astype(np.int32) for number in range(3))
    luma = (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2] + 0x8000) >> 16
    return luma.astype(np.uint8)[..., None]
