"""What is compared: images, or all regions of one picture as one, with the rows that each of them has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import numpy as np

from fne_cli.numerics.neighbours.distances import between_groups
from fne_cli.store.many.joined import JoinedFiles

_BOX = re.compile(r"#[-+.,0-9e]+$")


def picture_of(name: str) -> str:
    """The id of the picture that a region is a part of: what stands before the box."""
    return _BOX.sub("", name)


def box_of(name: str) -> tuple[float, float, float, float] | None:
    """The box in the id of a region, x0, y0, x1, y1 in pixels; None if there is none."""
    try:
        x0, y0, x1, y1 = (float(value) for value in name[len(picture_of(name)) + 1 :].split(","))
    except ValueError:
        return None
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


@dataclass(frozen=True)
class Items:
    """Some images of files, as they are compared with others.

    images: ascending numbers, whose rows are read. names: of each item. first: the number of the first image of each
    item. order: which of the images' rows stand where, item by item; starts: where each begins there.
    """

    images: np.ndarray
    names: list[str]
    first: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, files: JoinedFiles, images: np.ndarray, regions: bool) -> Self:
        """Each image by itself, with its crops; or all `regions` of a picture together, wherever they stand."""
        path = files.images.path
        ids = [path[number] for number in images.tolist()]
        if not regions:
            starts = np.arange(len(images)) * files.crops
            return cls(images, ids, images, np.arange(len(images) * files.crops), starts)
        groups: dict[str, list[int]] = {}
        for place, name in enumerate(ids):
            groups.setdefault(picture_of(name), []).append(place)
        places = np.concatenate([np.array(members) for members in groups.values()])
        order = (places[:, None] * files.crops + np.arange(files.crops)).ravel()
        counts = np.array([len(members) for members in groups.values()]) * files.crops
        first = images[[members[0] for members in groups.values()]]
        return cls(images, list(groups), first, order, np.concatenate([[0], np.cumsum(counts)[:-1]]))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def rows(self) -> int:
        """How many rows they have together."""
        return len(self.order)

    @property
    def single(self) -> bool:
        """Whether each item has one row, in the order in which they are read."""
        return len(self) == self.rows and bool((self.order == np.arange(self.rows)).all())

    def chosen(self, places: np.ndarray) -> Items:
        """Those at some places, in this order."""
        ends = np.append(self.starts, self.rows)
        parts = [self.order[ends[place] : ends[place + 1]] for place in places.tolist()]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])[:-1]]).astype(np.int64)
        names = [self.names[place] for place in places.tolist()]
        return Items(self.images, names, self.first[places], np.concatenate(parts), starts)

    def rows_of(self, items: slice) -> np.ndarray:
        """The places of the rows of some items."""
        start, stop, _ = items.indices(len(self))
        ends = np.append(self.starts, self.rows)
        return self.order[ends[start] : ends[stop]]

    def together(self, distances: np.ndarray, items: slice, others: Items) -> np.ndarray:
        """(items, other items), of the distances of `rows_of(items)` to all rows of the others, as they are read."""
        starts = self.starts[items] - self.starts[items.start]
        ordered = distances if others.single else distances[:, others.order]
        return between_groups(ordered, starts, others.starts)
