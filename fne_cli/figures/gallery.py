"""What pages of small pictures show: queries with their neighbours, and pairs that are the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shot:
    """An image: its path, label and split, "" for none; a JPEG file, or None and why there is none."""

    path: str
    label: str
    split: str
    picture: bytes | None
    why: str = ""


@dataclass(frozen=True)
class Near:
    """A neighbour, how far it is, and whether it has the query's class; None if one of them has no label.

    anchor: the number of the query that it is itself on the page, 0 for none.
    """

    shot: Shot
    distance: float
    same: bool | None
    anchor: int = 0


@dataclass(frozen=True)
class Query:
    """A query and its neighbours, the nearest first."""

    shot: Shot
    neighbours: Sequence[Near]


@dataclass(frozen=True)
class Pair:
    """Two images that may be the same picture: why (bytes, pixels, near), how far, and whether their splits differ."""

    kind: str
    distance: float
    across: bool
    first: Shot
    second: Shot


@dataclass(frozen=True)
class Gallery:
    """A page: its title, what it shows in a line, facts (name, value), and notes; then queries or pairs."""

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    queries: Sequence[Query] = ()
    pairs: Sequence[Pair] = ()
