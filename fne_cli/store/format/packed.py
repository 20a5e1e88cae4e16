"""Packed codes: a layer as two bit planes, (rows, 2, bytes) uint8; docs/format.md has three lines that read them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.store.format import claims

PACKING = "bit planes"


def packed_features(path: Path, dataset: h5py.Dataset) -> int:
    """How many codes a row of a packed layer has. Raises DamagedFile if its header contradicts itself."""
    packing, features = (claims.attribute(path, dataset, name) for name in ("packing", "features"))
    told = packing == PACKING and type(features) is int and features > 0
    if not told or dataset.shape[1:] != (2, -(-features // 8)):
        raise DamagedFile(
            f"{path}: {dataset.name.lstrip('/')} should be {PACKING} of its features, (rows, 2, features / 8). "
            f"Found: {str(packing)[:60]}, {str(features)[:60]} features, shape {dataset.shape}."
        )
    return features


def unpack(planes: np.ndarray, features: int) -> np.ndarray:
    """Codes, (rows, features) int8, of planes, (rows, 2, bytes) uint8."""
    bits = np.unpackbits(planes, axis=2, count=features, bitorder="little").view(np.int8)
    codes: np.ndarray = np.subtract(bits[:, 0], bits[:, 1])
    return codes


def impossible(planes: np.ndarray, features: int) -> bool:
    """Whether a code is both -1 and 1, or a bit behind the last feature is set."""
    both = (planes[:, 0] & planes[:, 1]).any()
    behind = planes[:, :, -1] >> (features - 1) % 8 >> 1
    return bool(both or behind.any())
