"""A vocabulary, ready to encode images by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fne_cli.descriptors.sift import DenseSift
from fne_cli.errors import BadInput
from fne_cli.numerics.vocabulary.fisher import FisherVectors
from fne_cli.numerics.vocabulary.words import BagOfWords
from fne_cli.store.format.reader import open_file

CHOICES = ("descriptor", "patches", "step", "assign")
"""Settings of a vocabulary that change what an image becomes, beside its arrays."""


class Encoder(Protocol):
    """What makes the vectors of an image's cells of its descriptors."""

    columns: int

    def blank(self) -> np.ndarray:
        """Sums before the first descriptor."""

    def add(self, sums: np.ndarray, descriptors: np.ndarray, atoms: np.ndarray) -> None:
        """Add descriptors, (n, 128) float32, each in an atom of the image."""

    def row(self, sums: np.ndarray, layer: str) -> np.ndarray:
        """The vectors of a layer's cells, side by side: (features,) float32."""

    def bytes_at_work(self) -> int:
        """What one image takes while it is encoded."""


@dataclass(frozen=True)
class Vocabulary:
    """model: fisher or bow. arrays and settings as the file has them."""

    model: str
    arrays: Mapping[str, np.ndarray]
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, path: str, model: str) -> Vocabulary:
        """From a file. Raises BadInput, WrongFile or DamagedFile."""
        with open_file(Path(path), "vocabulary") as file:
            found = file.vocabulary()
        if found.model != model:
            raise BadInput(
                f"{path} should be a vocabulary for --model {model}. Found: one for {found.model}.\n"
                f"Give --model {found.model}, or learn one: fne vocabulary IMAGES VOCABULARY.h5 --model {model}"
            )
        return cls(model, found.arrays, found.settings)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that it was learned from."""
        height, width = self.settings["image_size"]
        return height, width

    def sha256(self) -> str:
        """SHA-256 over shape, type and bytes of all arrays, in order, as it is of a network's weights."""
        digest = hashlib.sha256()
        for values in self.arrays.values():
            digest.update(f"{values.shape} {values.dtype}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def choices(self) -> dict[str, Any]:
        """Those of CHOICES that it has."""
        return {name: self.settings[name] for name in CHOICES if name in self.settings}

    def encoder(self) -> Encoder:
        """The function from descriptors to vectors."""
        return (
            FisherVectors(self.arrays) if self.model == "fisher" else BagOfWords(self.arrays, self.settings["assign"])
        )

    def sift(self, height: int, width: int) -> DenseSift:
        """The descriptors that it is of, in images of one size. Raises BadInput."""
        settings = self.settings
        return DenseSift(height, width, settings["patches"], settings["step"], settings["descriptor"])
