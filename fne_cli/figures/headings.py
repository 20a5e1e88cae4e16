"""What the groups of a page are called, so that no two are called the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fne_cli.figures.contents import Group
from fne_cli.figures.names import shown

LENGTH = 40  # of a part
_FIRST = ("protocol's name", "classes")  # the facts that say most plainly what differs


def headings(groups: Sequence[Group]) -> list[list[str]]:
    """The parts of each heading: dataset, network, pooling, the protocol where it is needed, and facts that differ."""
    found = []
    for group in groups:
        home = _home(group)
        others = {one.protocol for one in groups if _home(one) == home}
        told = group.protocol if group.protocol != "given split" or len(others) > 1 else ""
        found.append([part for part in (group.dataset, group.network or "network", group.pooling, told) if part])
    facts = [dict(group.facts) for group in groups]
    names = dict.fromkeys([*_FIRST, *(name for table in facts for name in table)])
    for name in names:
        for alike in _alike(found):
            values = [facts[place].get(name, "") for place in alike]
            if len(set(values)) > 1:
                for place, value in zip(alike, values, strict=True):
                    found[place].append(f"{name} {value or '–'}")
    for alike in _alike(found):
        for number, place in enumerate(alike, 1):
            found[place].append(f"no. {number}")
    return found


def _home(group: Group) -> tuple[str, str, str]:
    return group.dataset, group.network, group.pooling


def _alike(found: Sequence[Sequence[str]]) -> list[list[int]]:
    """The places of headings that read the same, by what is seen of them."""
    read = [tuple(shown(part, LENGTH) for part in parts) for parts in found]
    return [[place for place, one in enumerate(read) if one == text] for text, n in Counter(read).items() if n > 1]
