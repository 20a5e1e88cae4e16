"""A vocabulary file: what was learned from the descriptors of training images, and how descriptors are taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.store.format import claims
from fne_cli.store.format.schema import VOCABULARY

DIMENSIONS = 128
MAX_WORDS = 65_536
_MAX_SIDE = 65_535
_SUM = 1e-6  # that the weights of a mixture may be off 1 together


def sound_settings(settings: Mapping[str, Any]) -> bool:
    """Whether the settings say what the steps rely on."""

    def count(value: Any, most: int = _MAX_SIDE) -> bool:
        return type(value) is int and 1 <= value <= most

    size, patches = settings.get("image_size"), settings.get("patches")
    return (
        settings.get("model") in VOCABULARY
        and settings.get("descriptor") in ("rootsift", "sift")
        and (settings.get("assign") in ("hard", "soft") or settings["model"] != "bow")
        and isinstance(size, list)
        and len(size) == 2
        and all(map(count, size))
        and isinstance(patches, list)
        and 1 <= len(patches) <= 16
        and all(count(patch, min(size)) for patch in patches)
        and count(settings.get("step"))
        and isinstance(settings.get("rows"), str)
    )


class StoredVocabulary:
    """What the file has: settings, and arrays of finite float64 by name, in the order of the format.

    fisher: centre (128,), axes (components, 128), weights (words,), means and variances (words, components).
    bow: words (words, 128), spread (1,).
    """

    def __init__(self, path: Path, file: h5py.File, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, dict(settings)
        self.model = str(settings["model"])
        self.arrays: dict[str, np.ndarray] = {}
        for name, dimensions in VOCABULARY[self.model].items():
            column = claims.dataset(path, file, f"vocabulary/{name}", "f8", dimensions)
            values = self.arrays[name] = claims.values(path, column)
            if not np.isfinite(values).all():
                raise DamagedFile(f"{path}: vocabulary/{name} should have finite numbers. Found: others.")
        if problem := next((problem for problem, is_so in self._sound() if not is_so), ""):
            raise DamagedFile(f"{path} should be a vocabulary as fne vocabulary writes it. Found: {problem}.")

    @property
    def words(self) -> int:
        """How many words, or Gaussians, it has."""
        return len(self.arrays["words" if self.model == "bow" else "means"])

    def _sound(self) -> list[tuple[str, bool]]:
        arrays = self.arrays
        fits = [
            ("no words", 0 not in [size for values in arrays.values() for size in values.shape]),
            (f"more than {MAX_WORDS:,} words", self.words <= MAX_WORDS),
        ]
        if self.model == "bow":
            return [
                *fits,
                ("arrays of other lengths", arrays["words"].shape[1] == DIMENSIONS and arrays["spread"].shape == (1,)),
                ("a spread that is not above 0", bool((arrays["spread"] > 0).all())),
            ]
        axes, means = arrays["axes"].shape, arrays["means"].shape
        lengths = (
            axes[1] == len(arrays["centre"]) == DIMENSIONS
            and axes[0] == means[1]
            and axes[0] <= DIMENSIONS
            and means == arrays["variances"].shape
            and means[0] == len(arrays["weights"])
        )
        weights = arrays["weights"]
        return [
            *fits,
            ("arrays of other lengths", lengths),
            ("weights that are no shares", bool((weights > 0).all() and abs(weights.sum() - 1) < _SUM)),
            ("variances that are not above 0", bool((arrays["variances"] > 0).all())),
        ]
