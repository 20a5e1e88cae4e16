"""How well maps find objects: the pointing game and CorLoc, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fne_cli.numerics.evaluation.metrics import json_number, mean_of
from fne_cli.numerics.localization import places
from fne_cli.numerics.localization.detections import overlaps

Part = tuple[float, float, float, float]


@dataclass(frozen=True)
class Found:
    """In one image for one class: whether the peak lies in an object, and the largest overlap of the box with one."""

    hit: bool
    overlap: float
    centre: bool
    area: float


def found(peak: np.ndarray, box: np.ndarray | None, objects: np.ndarray, part: Part) -> Found:
    """All in pixels. part: of the image that was seen. centre: whether its middle lies in an object.

    area: the share of it that lies in objects, which is what pointing anywhere would hit.
    """
    middle = ((part[0] + part[2]) / 2, (part[1] + part[3]) / 2)
    best = 0.0 if box is None else float(overlaps(box[None], objects).max())
    return Found(places.hit(peak, objects), best, places.hit(middle, objects), _covered(objects, part))


def _covered(boxes: np.ndarray, part: Part, steps: int = 64) -> float:
    """The share of a part that boxes cover, by the middles of steps x steps cells."""
    at = (np.arange(steps) + 0.5) / steps
    x, y = part[0] + at * (part[2] - part[0]), part[1] + at * (part[3] - part[1])
    across = (boxes[:, :1] <= x) & (x <= boxes[:, 2:3])
    down = (boxes[:, 1:2] <= y) & (y <= boxes[:, 3:])
    return float((down[:, :, None] & across[:, None, :]).any(axis=0).mean())


@dataclass
class Tally:
    """What was found, for each class."""

    classes: Sequence[str]
    entries: dict[int, list[Found]] = field(default_factory=dict)

    def add(self, class_number: int, one: Found) -> None:
        """Of one image that shows the class."""
        self.entries.setdefault(class_number, []).append(one)

    def described(self) -> dict[str, Any]:
        """For JSON and people: shares of the images that show a class, and their means over classes."""
        rows = [
            {
                "class": self.classes[number],
                "images": len(own),
                "pointing": json_number(mean_of([float(one.hit) for one in own])),
                "centre": json_number(mean_of([float(one.centre) for one in own])),
                "area": json_number(mean_of([one.area for one in own])),
                "corloc": json_number(mean_of([float(one.overlap >= places.CORRECT) for one in own])),
            }
            for number, own in sorted(self.entries.items())
        ]
        means = {name: json_number(mean_of([row[name] for row in rows])) for name in _FIGURES}  # type: ignore[misc]
        return {**means, "per_class": rows}


_FIGURES = ("pointing", "centre", "area", "corloc")
