"""The table at the head of a page: every embedding beside the best layer; above it what is the same all through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fne_cli.figures.contents import Group, Verdict
from fne_cli.measures import MEASURES

# One of these names a row; behind it come the figures, so that a phone shows both, then what else varies.
_LEADS = ("embedding", "dataset", "network", "protocol", "measure", "best layer", "images per class")
_AFTER = ("best layer", "dataset", "network", "protocol", "measure")


@dataclass(frozen=True)
class Line:
    """A row. texts: its names, by those of the columns."""

    figure: str
    verdict: Verdict
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Overview:
    """Lines, one for each verdict. said: what has one value all through, and the value. lead: what names a row.

    sizes: whether a column says the training images per class. after: the columns behind the figures.
    """

    lines: Sequence[Line]
    said: Sequence[tuple[str, str]]
    lead: str
    sizes: bool
    after: Sequence[str]


def overview(groups: Sequence[Group]) -> Overview | None:
    """None for fewer than two verdicts."""
    lines = [Line(group.figure, one, _texts(group, one)) for group in groups for one in group.verdicts]
    if len(lines) < 2:
        return None
    values = {name: list(dict.fromkeys(line.texts[name] for line in lines)) for name in lines[0].texts}
    several = [name for name, found in values.items() if len(found) > 1]
    lead = next((name for name in _LEADS if name in several), "embedding")
    said = [(name, found[0]) for name, found in values.items() if len(found) == 1 and found[0] and name != lead]
    sizes = "images per class" in several and lead != "images per class"
    return Overview(lines, said, lead, sizes, [name for name in _AFTER if name in several and name != lead])


def _texts(group: Group, verdict: Verdict) -> dict[str, str]:
    return {
        "dataset": group.dataset,
        "network": ", ".join(part for part in (group.network, group.pooling) if part),
        "embedding": verdict.row.title,
        "protocol": group.protocol,
        "images per class": str(verdict.size or ""),
        "measure": MEASURES[group.figure],
        "best layer": verdict.best.name,
    }
