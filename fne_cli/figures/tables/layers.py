"""Every single layer of a network in one table, whatever it was measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fne_cli.figures.contents import Group, Row, Size

Measured = tuple[Row, Size]
"""A layer of a group, and a size at which it was measured."""


@dataclass(frozen=True)
class LayerTable:
    """The layers of a network. homes: number of each group, what it is called but for the network, and its sizes.

    lines: name, what its features are, how many (0 where groups differ), and by group and size what it reached.
    """

    network: str
    homes: Sequence[tuple[int, Sequence[str], Sequence[Size]]]
    lines: Sequence[tuple[str, str, int, Mapping[tuple[int, Size], Row]]]


def layer_tables(groups: Sequence[Group]) -> list[LayerTable]:
    """A table for each network of which several groups measured layers; one alone shows its own."""
    of: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        if any(not row.whole for row in group.rows):
            of.setdefault(group.network, []).append(number)
    return [_table(network, places, groups) for network, places in of.items() if len(places) > 1]


def _table(network: str, places: Sequence[int], groups: Sequence[Group]) -> LayerTable:
    homes, lines = [], dict[tuple[str, str], dict[tuple[int, Size], Row]]()
    for place in places:
        group = groups[place]
        called = [part for part in (group.dataset, group.pooling, group.protocol) if part]
        homes.append((place + 1, called, group.sizes))
        for row in group.rows:
            if not row.whole:
                own = lines.setdefault((row.name, row.made), {})
                own |= {(place + 1, size): row for size in group.sizes if size in row.points}
    return LayerTable(network, homes, [(*key, _features(rows), rows) for key, rows in lines.items()])


def _features(rows: Mapping[tuple[int, Size], Row]) -> int:
    found = {row.features for row in rows.values()}
    return found.pop() if len(found) == 1 else 0
