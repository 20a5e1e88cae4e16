"""What the ternary codes of a class have in common, and how far classes are apart by that."""

from __future__ import annotations

import numpy as np

from fne_cli.compiled import compiled


class Counts:
    """How often each feature of some rows is +1 (high) and -1 (low) in each class, (classes, features) int64."""

    def __init__(self, classes: int, features: int) -> None:
        self.high = np.zeros((classes, features), np.int64)
        self.low = np.zeros((classes, features), np.int64)

    def add(self, codes: np.ndarray, labels: np.ndarray) -> None:
        """Add codes, (rows, features) int8, of labels (rows,) int, -1 for none, or (rows, classes) with 1 for one."""
        row, label = (np.flatnonzero(labels >= 0), labels) if labels.ndim == 1 else np.nonzero(labels == 1)
        _count(codes, row, label[row] if labels.ndim == 1 else label, self.high, self.low)

    def prototypes(self, rows: np.ndarray, share: float) -> np.ndarray:
        """Codes of the classes, (classes, features) int8: what more than a share (0.5 or more) of the rows have, or 0.

        rows: (classes,) how many each has.
        """
        least = share * rows[:, None]
        return (self.high > least).astype(np.int8) - (self.low > least).astype(np.int8)


def differing(prototypes: np.ndarray) -> np.ndarray:
    """In how many features each two prototypes differ, (classes, classes) int64, from (classes, features) int8."""
    alike = np.zeros((len(prototypes), len(prototypes)), np.int64)
    for start in range(0, prototypes.shape[1], 1 << 12):
        part = prototypes[:, start : start + (1 << 12)]
        for code in (-1, 0, 1):
            own = (part == code).astype(np.float32)
            alike += np.rint(own @ own.T).astype(np.int64)
    return prototypes.shape[1] - alike


@compiled()
def _count(codes: np.ndarray, rows: np.ndarray, labels: np.ndarray, high: np.ndarray, low: np.ndarray) -> None:
    for place in range(len(rows)):
        row, c = codes[rows[place]], labels[place]
        for j in range(len(row)):
            high[c, j] += row[j] > 0
            low[c, j] += row[j] < 0
