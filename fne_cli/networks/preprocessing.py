"""What is done to pixels before the network sees them: by name, or as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.networks.catalog import PREPROCESS
from fne_cli.networks.graph import Input

WHAT_THEY_DO = (
    "caffe: BGR minus the ImageNet means; tf: -1 ... 1; torch: ImageNet mean and deviation; unit: 0 ... 1; "
    "none: 0 ... 255;\nor numbers: mean=0.5/0.5/0.5,std=0.25/0.25/0.25,order=rgb,scale=1/255."
)
_LUMA = (19595, 38470, 7471)  # ITU-R 601 in 1 / 65536, as Pillow's mode L rounds it


@dataclass(frozen=True)
class Numbers:
    """(pixel x scale - mean) / std for each channel, in the order rgb or bgr. One mean or std is for all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: str
    scale: float

    def __str__(self) -> str:
        mean, std = ("/".join(map(repr, values)) for values in (self.mean, self.std))
        return f"mean={mean},std={std},order={self.order},scale={self.scale!r}"

    @classmethod
    def parse(cls, text: str) -> Numbers:
        """From `mean=...,std=...,order=...,scale=...`, each of which may be left out. Raises BadInput."""
        found: dict[str, str] = {}
        for part in text.split(","):
            key, equals, value = (word.strip() for word in part.partition("="))
            if not equals or key not in ("mean", "std", "order", "scale") or key in found:
                raise BadInput(
                    f"--preprocess should be {', '.join(PREPROCESS)}, or numbers: mean=...,std=...,order=rgb|bgr,"
                    f"scale=... Found: {part.strip()!r}."
                )
            found[key] = value
        mean, std = (_numbers(key, found.get(key, default)) for key, default in (("mean", "0"), ("std", "1")))
        if not all(std):
            raise BadInput("--preprocess: std should not be 0.")
        order = found.get("order", "rgb").lower()
        if order not in ("rgb", "bgr"):
            raise BadInput(f"--preprocess: order should be rgb or bgr. Found: {order!r}.")
        if "scale" not in found and any(mean) and max(map(abs, (*mean, *std))) <= 1:
            raise BadInput(
                f"--preprocess: mean={found['mean']} seems to be of pixels from 0 to 1, but they come from 0 to 255. "
                "Add scale=1/255, or scale=1 if it is meant so."
            )
        return cls(mean, std, order, _fraction(found.get("scale", "1")))


def _numbers(key: str, text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in text.replace(";", "/").split("/"))
    except ValueError:
        values = ()
    if len(values) not in (1, 3) or not all(abs(value) < float("inf") for value in values):
        raise BadInput(
            f"--preprocess: {key} should be a number, or three with slashes between them (red/green/blue, in the order "
            f"that order= says). Found: {text!r}."
        )
    return values


def _fraction(text: str) -> float:
    above, _, below = text.partition("/")
    try:
        value = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 0 < abs(value) < float("inf"):
        raise BadInput(f"--preprocess: scale should be a number, or a fraction as 1/255. Found: {text!r}.")
    return value


def canonical(text: str, takes: Input) -> str:
    """The preprocessing as the settings have it. Raises BadInput for one that is none, or not of this input."""
    numbers = None if text in PREPROCESS else Numbers.parse(text)
    coloured = text in ("caffe", "torch") or (numbers and len(numbers.mean + numbers.std) > 2)
    if takes.channels == 1 and coloured:
        raise BadInput(
            f"--preprocess {text} is for three channels, and the network takes one. "
            "Give none, unit, tf, or numbers with one mean and std."
        )
    return str(numbers) if numbers else text


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
