"""What was measured as a line for each configuration and a column for each protocol and number of training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fne_cli.figures.contents import Difference, Group, Point, Row, Size
from fne_cli.measures import MEASURES

BEST = "best layer"


@dataclass(frozen=True, order=True)
class Column:
    """What the figures of a column were measured by. place: of the protocol among all, to sort by."""

    place: int
    size: int
    protocol: str = field(compare=False)
    measure: str = field(compare=False)

    @property
    def head(self) -> str:
        """The training images per class, or that all are used."""
        return str(self.size) if self.size else "all"


@dataclass(frozen=True)
class Cell:
    """A row of a group at one size. beside: how it differs from the first embedding, if that is known."""

    group: Group
    row: Row
    size: Size
    beside: Difference | None

    @property
    def point(self) -> Point:
        """What the row reached."""
        return self.row.points[self.size]

    @property
    def value(self) -> float:
        """The figure that counts, a fraction."""
        return self.point.figures[self.group.figure]

    @property
    def spread(self) -> float | None:
        """Its standard deviation over trials."""
        return self.point.spreads.get(self.group.figure)

    @property
    def side(self) -> str:
        """Where it is significant: over, or under, the first embedding; else an empty text."""
        if self.beside is None or not self.beside.significant:
            return ""
        above = (self.beside.value > 0) == (self.beside.first is self.row)
        return "over" if above else "under"


@dataclass(frozen=True)
class Configuration:
    """An embedding, or the best layer at each size, of one network and pooling on one dataset."""

    dataset: str
    network: str
    name: str
    whole: bool
    cells: dict[Column, Cell]

    @property
    def features(self) -> list[int]:
        """Of each row that is among its cells, ascending."""
        return sorted({cell.row.features for cell in self.cells.values()})

    @property
    def seconds(self) -> float | None:
        """Of the longest training with its measurement."""
        return max((cell.point.seconds for cell in self.cells.values() if cell.point.seconds is not None), default=None)


def configurations(groups: Sequence[Group]) -> tuple[list[Configuration], list[Column]]:
    """The lines, those of one dataset together, and all columns in their order."""
    protocols = list(dict.fromkeys((group.protocol, MEASURES[group.figure]) for group in groups))
    lines: dict[tuple[str, str, str, bool], dict[Column, Cell]] = {}
    for group in groups:
        place = protocols.index((group.protocol, MEASURES[group.figure]))
        home = group.dataset, ", ".join(part for part in (group.network, group.pooling) if part)
        for name, whole, rows in _rows(group):
            for size, row in rows.items():
                cell = Cell(group, row, size, beside(group, row, size))
                cells = lines.setdefault((*home, name, whole), {})
                # two groups that differ in what no column says are lines of their own
                number = 1
                while (column := Column(place, size or 0, *protocols[place])) in cells:
                    number += 1
                    cells = lines.setdefault((*home, f"{name} ({number})", whole), {})
                cells[column] = cell
    order = list(dict.fromkeys(key[0] for key in lines))
    found = [Configuration(*key, cells) for key, cells in lines.items()]
    found.sort(key=lambda one: order.index(one.dataset))
    return found, sorted({column for one in found for column in one.cells})


def standard(group: Group) -> Row | None:
    """The embedding that all others of a group are held against."""
    return next((row for row in group.rows if row.whole), None)


def _rows(group: Group) -> list[tuple[str, bool, dict[Size, Row]]]:
    found: list[tuple[str, bool, dict[Size, Row]]] = [
        (row.title, True, {size: row for size in group.sizes if _has(group, row, size)})
        for row in group.rows
        if row.whole
    ]
    best = {size: row for size in group.sizes if (row := group.best_layer(size)) is not None}
    return [*found, (BEST, False, best)]


def _has(group: Group, row: Row, size: Size) -> bool:
    return size in row.points and group.figure in row.points[size].figures


def beside(group: Group, row: Row, size: Size) -> Difference | None:
    """How a row and the first embedding of its group differ, in either order."""
    first = standard(group)
    for one in group.differences:
        if one.size == size and any(one.first is a and one.second is b for a, b in ((row, first), (first, row))):
            return one
    return None
