"""A projection file: an embedding that has been fitted, layer by layer, and which layers it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.store.format import claims
from fne_cli.store.format.schema import PROJECTION

_DEVIATIONS, _EXPLAINED = "deviations", "explained"


def sound_settings(settings: Mapping[str, Any]) -> bool:
    """Whether the settings say what the steps rely on."""
    layers = settings.get("layers")
    return (
        isinstance(settings.get("embedding"), str)
        and isinstance(settings.get("rows"), str)
        and isinstance(settings.get("activations"), dict)
        and settings.get("pool", "avg") == "avg"
        and isinstance(layers, list)
        and bool(layers)
        and all(isinstance(name, str) for name in layers)
    )


class StoredProjection:
    """What the file has. layers: names and features, in the order of the network; rows: that it was fitted to.

    state: the arrays of the embedding, finite float64, of all layers side by side: (features,), `axes` (columns,
    features), `deviations` (columns,). explained: (components,), the share of the variance that each has.
    """

    def __init__(self, path: Path, file: h5py.File, names: list[str], settings: Mapping[str, Any]) -> None:
        def table(name: str, dimensions: int) -> np.ndarray:
            values = claims.values(path, claims.dataset(path, file, name, "f8", dimensions))
            if not np.isfinite(values).all():
                raise DamagedFile(f"{path}: {name} should have finite numbers. Found: others.")
            return values

        self.path, self.embedding = path, str(settings["embedding"])
        groups = [claims.group(path, file, f"layers/{name}") for name in names]
        parts = [name for name in PROJECTION if groups and name in groups[0]]
        by_layer = {name: [table(f"layers/{layer}/{name}", PROJECTION[name]) for layer in names] for name in parts}
        self.rows = sorted({str(claims.attribute(path, group, "rows")) for group in groups})
        self.explained = table(_EXPLAINED, 1)
        widths = {tuple(values.shape[-1] for values in arrays) for arrays in by_layer.values()}
        columns = {len(values) for values in by_layer.get("axes", ())}
        deviations = {_DEVIATIONS: table(_DEVIATIONS, 1)} if _DEVIATIONS in file else {}
        sound = {
            "layers that are not those of its settings": names == settings["layers"],
            "no axes": "axes" in parts and "centre" in parts,
            "arrays of different lengths": len(widths) == len(columns) == 1
            and all(len(values) in columns for values in deviations.values()),
            "no features, or no columns": 0 not in {*columns, *(width for one in widths for width in one)},
            "different numbers of rows": len(self.rows) == 1 and self.rows[0].isdigit() and self.rows[0] != "0",
            "deviations that are not above 0": all((values > 0).all() for values in deviations.values()),
            "negative deviations": all((values >= 0).all() for values in by_layer.get("std", ())),
            "shares of the variance outside 0 ... 1": bool(
                (self.explained >= 0).all() and self.explained.sum() <= 1 + 1e-9 and len(self.explained)
            ),
        }
        if problem := next((problem for problem, is_so in sound.items() if not is_so), ""):
            raise DamagedFile(f"{path} should be a projection as fne reduce writes it. Found: {problem}.")
        self.layers = dict(zip(names, widths.pop(), strict=True))
        self.state = {name: np.concatenate(arrays, axis=-1) for name, arrays in by_layer.items()} | deviations

    @property
    def count(self) -> int:
        """How many rows it was fitted to."""
        return int(self.rows[0])

    @property
    def columns(self) -> int:
        """Of a row that it has made."""
        return len(self.state["axes"])
