"""What a page with a map of images shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScatterPage:
    """A title, what is shown in a line, facts (name, value) and notes.

    points: (n, 2), where each image lies. path, label, split, prediction: of each, "" for none; predicted: whether
    there are predictions at all; right: of each, or None for one without label or prediction. pictures: JPEG files by
    the numbers of images.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    points: np.ndarray
    path: Sequence[str]
    label: Sequence[str]
    split: Sequence[str]
    prediction: Sequence[str]
    predicted: bool
    right: Sequence[bool | None]
    pictures: Mapping[int, bytes]
