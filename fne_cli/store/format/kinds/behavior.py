"""A behavior file: s, z and label of every feature and class, the noise they were judged by, and the thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fne_cli.errors import BadInput, DamagedFile
from fne_cli.store.format import claims
from fne_cli.store.format.columns import TextColumn
from fne_cli.store.format.schema import BEHAVIOR, LAYER_TEXTS, NOISE, SETS


def sound_settings(settings: Mapping[str, Any]) -> bool:
    """Whether the settings say what the steps rely on."""
    alpha = settings.get("alpha")
    return (
        isinstance(settings.get("rows"), str)
        and isinstance(settings.get("activations"), dict)
        and type(alpha) is float
        and 0 < alpha < 1
        and type(settings.get("fdr")) is bool
        and all(type(settings.get(name)) is int for name in ("images", "random_classes", "seed"))
    )


class BehaviorLayer:
    """One layer; each reading gives (features, classes), NaN in `s` and `z` for a class that was not compared."""

    def __init__(self, path: Path, file: h5py.File, name: str, classes: int) -> None:
        self.name = name
        self._path = path
        self._columns = {
            part: claims.dataset(
                path, file, f"layers/{name}/{part}", np.dtype(dtype).kind + str(np.dtype(dtype).itemsize), 2
            )
            for part, dtype in BEHAVIOR.items()
        }
        shapes = {column.shape for column in self._columns.values()}
        self.features: int = self._columns["s"].shape[0]
        if shapes != {(self.features, classes)}:
            raise DamagedFile(
                f"{path}: layer {name} should have {', '.join(BEHAVIOR)} of shape (features, {classes}). "
                f"Found: {sorted(shapes)}."
            )
        group = claims.group(path, file, f"layers/{name}")
        self.attrs = {key: claims.attribute(path, group, key) for key in LAYER_TEXTS if key in group.attrs}

    def s(self) -> np.ndarray:
        """The signed statistic, float32."""
        return self._read("s")

    def z(self) -> np.ndarray:
        """The class means of z-scores, float32."""
        return self._read("z")

    def label(self) -> np.ndarray:
        """1 presence, -1 absence, 0 uncharacteristic, int8."""
        return self._read("label")

    def _read(self, part: str) -> np.ndarray:
        with claims.doubted(self._path):
            return claims.values(self._path, self._columns[part])


@dataclass(frozen=True)
class Random:
    """|s| of random classes: sizes (m,), levels (q,), quantiles (m, q); threshold (k,) is what |s| must exceed."""

    sizes: np.ndarray
    levels: np.ndarray
    quantiles: np.ndarray
    threshold: np.ndarray


class Behavior:
    """An open behavior file. classes: k names; counts: (k,) int64 images; layers in network order.

    low and high may be NaN (none could be found). edges (b + 1,) and the three histograms (b,) of `sets` are of z.
    """

    def __init__(self, path: Path, file: h5py.File, names: list[str]) -> None:
        def table(name: str, types: str, dimensions: int) -> np.ndarray:
            return claims.values(path, claims.dataset(path, file, name, types, dimensions))

        self.path = path
        self.classes: list[str] = list(TextColumn.of(path, claims.dataset(path, file, "classes", "S", 1)))
        self.counts = table("counts", "i8", 1)
        kinds = {"sizes": ("i8", 1), "quantiles": ("f8", 2)}
        self.random = Random(**{name: table(f"null/{name}", *kinds.get(name, ("f8", 1))) for name in NOISE})
        self.edges = table("thresholds/edges", "f8", 1)
        self.sets = {name: table(f"thresholds/{name}", "i8", 1) for name in SETS}
        group = claims.group(path, file, "thresholds")
        self.low, self.high = (claims.attribute(path, group, name) for name in ("low", "high"))
        self.layers = {name: BehaviorLayer(path, file, name, len(self.classes)) for name in names}
        if problem := self._contradiction():
            raise DamagedFile(f"{path} should be a behavior file as fne analyze writes it. Found: {problem}.")

    @property
    def compared(self) -> np.ndarray:
        """(k,) bool: the classes that have images, and others that they were compared with."""
        return ~np.isnan(self.random.threshold)

    def _contradiction(self) -> str:
        """What cannot be, in few words, or nothing."""
        random, k = self.random, len(self.classes)
        checks = {
            "counts or thresholds for another number of classes": len(self.counts) == len(random.threshold) == k,
            "a negative number of images": (self.counts >= 0).all(),
            "quantiles that do not fit sizes and levels": random.quantiles.shape
            == (len(random.sizes), len(random.levels)),
            "sizes that do not ascend from 1": _ascending(random.sizes, 1, math.inf),
            "levels that do not ascend from 0 to 1": _ascending(random.levels, 0, 1),
            "quantiles outside 0 ... 1": _within(random.quantiles),
            "a threshold outside 0 ... 1": _within(random.threshold[~np.isnan(random.threshold)]),
            "edges that do not ascend": _ascending(self.edges, -math.inf, math.inf) and len(self.edges) > 0,
            "histograms that do not fit their edges": all(
                len(part) == len(self.edges) - 1 for part in self.sets.values()
            ),
            "low or high that is no number": type(self.low) is type(self.high) is float
            and not (math.isinf(self.low) or math.isinf(self.high)),
            "no layer": bool(self.layers),
        }
        return next((problem for problem, sound in checks.items() if not sound), "")

    def thresholds(self) -> tuple[float, float]:
        """Low and high. Raises BadInput if the file has none that make codes."""
        if not self.low <= self.high:
            raise BadInput(
                f"{self.path} should have thresholds, low below high. Found: low {self.low:g}, high {self.high:g} "
                "(nan: too few characteristic pairs).\nAnalyze more images, or give --thresholds LOW,HIGH."
            )
        return self.low, self.high


def _ascending(values: np.ndarray, least: float, most: float) -> bool:
    inside = np.isfinite(values).all() and (values >= least).all() and (values <= most).all()
    return bool(inside and (values[1:] > values[:-1]).all())


def _within(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())
