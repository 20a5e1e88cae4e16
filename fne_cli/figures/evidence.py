"""What a page shows of maps of evidence: contact sheets, what they show, and how well maps find objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MapShown:
    """One map of a sheet: of which image and class, what is true and said, and the decision value."""

    path: str
    class_name: str
    truth: str
    said: str
    decision: float


@dataclass(frozen=True)
class MapSheet:
    """A contact sheet: `wrong` of images that are wrong; the picture as a JPEG file of that many pixels."""

    wrong: bool
    shown: Sequence[MapShown]
    picture: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Pointing:
    """How well maps find the objects of a class, in shares of the images that show it; None if unknown."""

    class_name: str
    images: int
    pointing: float | None
    centre: float | None
    area: float | None
    corloc: float | None


@dataclass(frozen=True)
class MapsView:
    """What fne map wrote into a folder. images, wrong: how many there are. pointing: class by class, of boxes."""

    folder: str
    images: int
    wrong: int
    sheets: Sequence[MapSheet]
    pointing: Sequence[Pointing] = ()
