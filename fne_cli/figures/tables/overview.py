"""The table at the head of a page: every embedding beside the best layer; above it what is the same all through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fne_cli.figures.contents import Group, Row, Size, Verdict
from fne_cli.measures import MEASURES

# One of these names a row; behind it come the figures, so that a phone shows both, then what else varies.
_LEADS = ("embedding", "dataset", "network", "protocol", "measure", "best layer", "images per class")
_AFTER = ("best layer", "dataset", "network", "protocol", "measure")


@dataclass(frozen=True)
class Line:
    """An embedding at one size. verdict: None without a single layer beside it. texts: its names, by the columns'."""

    figure: str
    row: Row
    size: Size
    verdict: Verdict | None
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Overview:
    """One line for each embedding and size. said: what has one value all through, and the value. lead: names a row.

    sizes: whether a column says the training images per class. after: the columns behind the figures.
    """

    lines: Sequence[Line]
    said: Sequence[tuple[str, str]]
    lead: str
    sizes: bool
    after: Sequence[str]

    @property
    def verdicts(self) -> list[Verdict]:
        """Of the lines that have one."""
        return [line.verdict for line in self.lines if line.verdict is not None]


def overview(groups: Sequence[Group]) -> Overview | None:
    """None for fewer than two lines."""
    lines = [line for group in groups for line in _lines(group)]
    if len(lines) < 2:
        return None
    values = {name: list(dict.fromkeys(line.texts[name] for line in lines)) for name in lines[0].texts}
    several = [name for name, found in values.items() if len(found) > 1]
    lead = next((name for name in _LEADS if name in several), "embedding")
    said = [(name, found[0]) for name, found in values.items() if len(found) == 1 and found[0] and name != lead]
    sizes = "images per class" in several and lead != "images per class"
    return Overview(lines, said, lead, sizes, [name for name in _AFTER if name in several and name != lead])


def _lines(group: Group) -> list[Line]:
    """Those of a group, in the order of its rows."""
    verdicts = {(id(one.row), one.size): one for one in group.verdicts}
    found = []
    for row in group.rows:
        for size in group.sizes:
            if row.whole and size in row.points and group.figure in row.points[size].figures:
                verdict = verdicts.get((id(row), size))
                found.append(Line(group.figure, row, size, verdict, _texts(group, row, size, verdict)))
    return found


def _texts(group: Group, row: Row, size: Size, verdict: Verdict | None) -> dict[str, str]:
    return {
        "dataset": group.dataset,
        "network": ", ".join(part for part in (group.network, group.pooling) if part),
        "embedding": row.title,
        "protocol": group.protocol,
        "images per class": str(size or ""),
        "measure": MEASURES[group.figure],
        "best layer": verdict.best.name if verdict else "",
    }
