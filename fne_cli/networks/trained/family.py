"""``vgg-mini``: a family of small networks in the manner of VGG, by width, depth and side of the image.

``vgg-mini:width=16,depth=3,image=32`` has three blocks. Block b has `convs` 3 x 3 convolutions of width * 2 ** (b - 1)
filters, each followed by ReLU, then 2 x 2 max pooling. Then come `dense` layers of `units` units with ReLU and dropout.
There is no batch normalisation: it would hide what layers have learned together.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from fne_cli.errors import BadInput

if TYPE_CHECKING:
    import keras

NAME = "vgg-mini"
_MOST = {"width": 1024, "depth": 8, "convs": 8, "dense": 8, "units": 16384, "dropout": 0.95, "image": 1024}


@dataclass(frozen=True)
class Family:
    """One member: filters of the first block, blocks, convolutions of each, dense layers, their units and dropout."""

    width: int = 16
    depth: int = 3
    convs: int = 2
    dense: int = 1
    units: int = 128
    dropout: float = 0.5
    image: int = 32

    def __str__(self) -> str:
        return f"{NAME}:" + ",".join(f"{field.name}={getattr(self, field.name):g}" for field in fields(self))

    @classmethod
    def parse(cls, text: str) -> Family | None:
        """The member that a text such as `vgg-mini:width=8` names, None if it names none. Raises BadInput."""
        name, _, options = text.partition(":")
        if name.lower().replace("_", "-") != NAME:
            return None
        values: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in options.split(","))):
            key, equals, value = (word.strip() for word in part.partition("="))
            if key not in _MOST or not equals or key in values:
                near = difflib.get_close_matches(key, _MOST, n=1)
                hint = f" Did you mean {near[0]}?" if near and near[0] != key else ""
                raise BadInput(
                    f"{NAME} should have {', '.join(_MOST)}, each once, as {NAME}:width=16,depth=3. "
                    f"Found: {part!r}.{hint}"
                )
            values[key] = _number(key, value)
        member = cls(**{key: value if key == "dropout" else int(value) for key, value in values.items()})  # type: ignore[arg-type]
        if member.image < 2**member.depth:
            raise BadInput(
                f"{text}: images should have a side of at least {2**member.depth} pixels, as each of {member.depth} "
                f"blocks halves it. Found: image={member.image}."
            )
        return member

    def build(self) -> keras.Model:
        """(batch, image, image, 3) -> (batch, units), before the classifier; the weights are drawn by who trains it."""
        import keras
        from keras import layers

        x = images = keras.Input((self.image, self.image, 3), name="images")
        for block in range(1, self.depth + 1):
            for number in range(1, self.convs + 1):
                x = layers.Conv2D(
                    self.width * 2 ** (block - 1),
                    3,
                    padding="same",
                    activation="relu",
                    kernel_initializer="he_normal",
                    name=f"block{block}_conv{number}",
                )(x)
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        x = layers.Flatten(name="flatten")(x)
        for number in range(1, self.dense + 1):
            x = layers.Dense(self.units, "relu", kernel_initializer="he_normal", name=f"fc{number}")(x)
            if self.dropout:
                x = layers.Dropout(self.dropout, name=f"dropout{number}")(x)
        return keras.Model(images, x, name=NAME)


def _number(key: str, text: str) -> float:
    least, most = (0 if key in ("dense", "dropout") else 1), _MOST[key]
    value = float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) else -1.0
    if not least <= value <= most or (key != "dropout" and value != int(value)):
        kind = "a number" if key == "dropout" else "a whole number"
        raise BadInput(f"{NAME}: {key} should be {kind} from {least} to {most}. Found: {text!r}.")
    return value
