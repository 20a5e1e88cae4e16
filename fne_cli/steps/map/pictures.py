"""Where the images of a file are, what a network saw of them, and the figures that show maps over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fne_cli.images.lists.annotated.annotations import Objects
from fne_cli.images.views import Seen, View, geometry_of
from fne_cli.numerics.localization import places
from fne_cli.store.format.reader import Reader
from fne_cli.store.other.drawings import Drawings

if TYPE_CHECKING:
    from fne_cli.figures.drawn.maps import Panel

_LONGEST = 320  # pixels of an image in a figure
MEANING = (
    "evidence of the cell, in shares of the largest of its map. + the largest; lines: objects, dashed: box of the map"
)


class Pictures(Seen):
    """The images of a file. images, root: where they are, as fne extract took them; None: nowhere."""

    def __init__(self, source: Reader, images: str | None, root: str | None) -> None:
        super().__init__(images, root, source.images.path, geometry_of(source.settings, str(source.path)))
        self._digests = source.images.sha256

    def shown(self, numbers: Sequence[int]) -> list[View]:
        """Some of them."""
        return self.views(numbers, _LONGEST, [self._digests[number] for number in numbers])


class Shows(Protocol):
    """What the figures are drawn of."""

    pictures: Pictures

    @property
    def objects(self) -> Mapping[int, Objects] | None:
        """By the number of their image; None without annotations."""


def draw(drawings: Drawings, name: str, entries: Sequence[dict[str, Any]], numbers: Sequence[int], work: Shows) -> None:
    """One figure of maps of images, which are given by their numbers."""
    from fne_cli.figures.drawn.maps import maps  # needs matplotlib

    panels = [
        _panel(entry, view, None if work.objects is None else work.objects.get(number))
        for entry, view, number in zip(entries, work.pictures.shown(numbers), numbers, strict=True)
    ]
    drawings.draw(name, maps, panels=panels, signed=True, meaning=MEANING)


def _panel(entry: Mapping[str, Any], view: View, objects: Objects | None) -> Panel:
    from fne_cli.figures.drawn.maps import Panel

    values = np.array(entry["map"])
    boxes = None
    if objects is not None and view.part is not None:
        boxes = _shares(objects.of(entry["class"])[0], view.part)
    said, true = ", ".join(entry["prediction"]) or "nothing", ", ".join(entry["truth"]) or "unknown"
    lines = (f"{entry['class']}: {_signed(entry['decision'])}", f"said: {said}", f"true: {true}")
    found = places.box(values) if boxes is not None else None
    return Panel(lines, view.pixels, view.wrong, values, places.peak(values), boxes, found)


def _shares(boxes: np.ndarray, part: tuple[float, float, float, float]) -> np.ndarray:
    """Boxes in pixels as shares of a part, cut at its edges."""
    low = np.array([part[0], part[1]] * 2)
    size = np.array([part[2] - part[0], part[3] - part[1]] * 2)
    return ((boxes - low) / size).clip(0, 1)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
