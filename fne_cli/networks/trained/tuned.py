"""A network that is to learn on from what it has learned elsewhere: which of its layers do, and its new classifier."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.networks import graph
from fne_cli.networks.catalog import Precision
from fne_cli.networks.trained.building import Start, Trainable, build
from fne_cli.networks.trained.family import Family
from fne_cli.networks.trained.parts import weight_layers
from fne_cli.options import meant

ALL = ("*",)


@dataclass(frozen=True)
class Tuned:
    """The network; the options of `fne tune` of these names, which mean what they mean to `fne extract`.

    learn: names or globs of the weight layers that learn on, beside the new classifier. scratch: all weights are drawn
    anew, and all learn.
    """

    model: str = "vgg16"
    weights: str | None = None
    preprocess: str | None = None
    image_size: tuple[int, int] | None = None
    precision: Precision = "float32"
    learn: Sequence[str] = ALL
    scratch: bool = False

    def check(self) -> None:
        """Raises WrongOptions for what does not go together."""
        if self.scratch and tuple(self.learn) != ALL:
            raise WrongOptions("--scratch has all layers learn. Leave --learn out.")
        if not self.scratch and Family.parse(self.model) is not None:
            raise WrongOptions(f"{self.model} has no weights to begin with. Give --scratch, or another --model.")
        if self.scratch and Family.parse(self.model) is not None and self.weights is not None:
            raise WrongOptions(f"{self.model} takes no --weights. Leave them out.")

    def start(self, seed: int) -> Start:
        """Where its training begins."""
        own = {"seed": seed, "preprocess": self.preprocess, "image_size": self.image_size, "precision": self.precision}
        if not self.scratch:
            return Start(source=self.model, weights=self.weights, **own)  # type: ignore[arg-type]
        if self.weights is not None and os.path.isfile(self.weights):
            # the file says which layers there are: none is copied
            return Start(source=self.model, weights=self.weights, copy=0, **own)  # type: ignore[arg-type]
        return Start(model=self.model, **own)  # type: ignore[arg-type]


def tunable(tuned: Tuned, classes: int, seed: int) -> Trainable:
    """Build it for so many classes. Raises BadInput for what cannot be built, and for layers that there are not.

    Batch normalisation stays as it was learned, in the layers that learn, too: small sets of images would spoil its
    statistics, and what they are multiplied by belongs to them. From scratch it learns.
    """
    tuned.check()
    trainable = build(tuned.start(seed), classes)
    if tuned.scratch:
        return trainable
    layers = weight_layers(trainable.model)[:-1]
    names = [layer.name for layer in layers]
    learning: set[str] = set()
    for pattern in tuned.learn:
        found = meant(pattern, names)
        if not found:
            raise BadInput(
                f"--learn should be some of the weight layers of {tuned.model}: {', '.join(names)}. Found: {pattern!r}."
            )
        learning |= found
    for layer in layers:
        for member in layer.members:
            fixed = type(member).__name__ == "BatchNormalization"
            member.trainable = layer.name in learning and not fixed
    frozen = next((place for place, name in enumerate(names) if name in learning), len(names))
    return replace(trainable, frozen=frozen)


def scale_of(classes: int) -> float:
    """What margins are multiplied by to become logits: an image on its margin then has probability 0.9.

    It has 1 of its own class and -1 of the others: e^s / (e^s + (classes - 1) e^-s) = 0.9.
    """
    return 0.5 * math.log(9 * max(1, classes - 1))


def set_head(
    trainable: Trainable, classes: np.ndarray, weights: np.ndarray, intercepts: np.ndarray, mean: np.ndarray,
    deviation: np.ndarray,
) -> None:  # fmt: skip
    """Make hyperplanes the classifier: weights (k, features), intercepts (k,) of features less `mean`, by `deviation`.

    classes: (k,) numbers of the classes that they are of; the others are as good as impossible.
    """
    head: Any = graph.call_of(trainable.logits).operation
    count, scale = head.kernel.shape[1], scale_of(len(classes))
    kernel = np.zeros(head.kernel.shape)
    bias = np.full(count, -2.0 * scale)
    own = weights / deviation
    kernel[:, classes] = scale * own.T
    bias[classes] = scale * (intercepts - own @ mean)
    head.kernel.assign(kernel)
    head.bias.assign(bias)
