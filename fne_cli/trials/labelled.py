"""Images with labels and splits, wherever they come from: what trials are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fne_cli.store.format.schema import Images
from fne_cli.store.many.leaks import ImageTable


class Labelled(ImageTable, Protocol):
    """A file of features, or a list of images that have been decoded. name: for errors. crops: rows of each image."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    @property
    def crops(self) -> int:
        """Rows of each image."""
        ...

    @property
    def images(self) -> Images:
        """All of them, in order."""
        ...


@dataclass(frozen=True)
class ListedImages:
    """Images of a list, one row each, after they have been decoded."""

    name: str
    images: Images
    crops: int = 1

    def __len__(self) -> int:
        return len(self.images)

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """As ImageTable has it."""
        texts = getattr(self.images, name)[start:stop]
        return np.array([text.encode("utf-8", "backslashreplace") for text in texts], object)
