"""Packed codes: a layer as two bit planes, (rows, 2, bytes) uint8; docs/format.md has three lines that read them."""

from __future__ import annotations

import h5py
import numpy as np

PACKING = "bit planes"


def packed_features(dataset: h5py.Dataset) -> int | None:
    """How many codes a row of a packed layer has; None if it is not packed, 0 if its header contradicts itself."""
    if "packing" not in dataset.attrs:
        return None
    packing, features = dataset.attrs["packing"], dataset.attrs.get("features", 0)
    told = packing == PACKING and isinstance(features, int | np.integer)
    fits = told and dataset.dtype == np.uint8 and dataset.shape[1:] == (2, -(-features // 8))
    return int(features) if fits and features > 0 else 0


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
