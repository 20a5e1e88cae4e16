"""Which rows of a table differ image by image, and not by chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fne_cli.figures.contents import Difference, Group, NetworkDifference, Row, Size, Verdict
from fne_cli.figures.tables.configurations import BEST
from fne_cli.numerics.evaluation.paired import compared, over_splits
from fne_cli.store.other.results.tested import Right, same_images

Rights = Mapping[tuple[str, str, bool, Size], Sequence[Right | None]]
"""By name, features, whether an embedding, and size: which test images of each split a row has right."""


def differences(
    rows: Sequence[Row], sizes: Sequence[Size], verdicts: Sequence[Verdict], of: Rights
) -> list[Difference]:
    """Every embedding beside the first one, then every embedding beside the best layer, size by size."""
    wholes = [row for row in rows if row.whole]
    pairs = [(size, row, wholes[0]) for size in sizes for row in wholes[1:]]
    pairs += [(one.size, one.row, one.best) for one in verdicts]
    found = (_difference(size, first, second, of, of) for size, first, second in pairs)
    return [one for one in found if one is not None]


def between_networks(found: Sequence[tuple[Group, Rights]]) -> list[NetworkDifference]:
    """Every embedding, and the best layer at each size, beside that of the first network of the same task."""
    firsts: dict[tuple[str, str, str, Size], tuple[Group, Row, Rights]] = {}
    differences = []
    for group, rights in found:
        for name, size, row in _named(group):
            key = (group.dataset, group.protocol, name, size)
            first = firsts.setdefault(key, (group, row, rights))
            if _called(first[0]) == _called(group) or list(first[0].classes) != list(group.classes):
                continue
            one = _difference(size, row, first[1], rights, first[2])
            if one is not None:
                called = _called(group), _called(first[0])
                differences.append(NetworkDifference(group.dataset, group.protocol, name, called, one))
    return differences


def _named(group: Group) -> Iterator[tuple[str, Size, Row]]:
    for size in group.sizes:
        for row in group.rows:
            if row.whole and size in row.points:
                yield row.title, size, row
        if (best := group.best_layer(size)) is not None:
            yield BEST, size, best


def _called(group: Group) -> str:
    return ", ".join(part for part in (group.network, group.pooling) if part)


def with_tests(verdicts: Sequence[Verdict], found: Sequence[Difference]) -> list[Verdict]:
    """The verdicts, each with its difference if that is among those found."""
    known = {(one.size, id(one.first), id(one.second)): one for one in found}
    return [replace(one, paired=known.get((one.size, id(one.row), id(one.best)))) for one in verdicts]


def _difference(size: Size, first: Row, second: Row, own: Rights, other: Rights) -> Difference | None:
    """None if the test images of the two are not the same in every split, or not known."""
    ours, theirs = (of.get((row.name, row.made, row.whole, size), ()) for row, of in ((first, own), (second, other)))
    parts = [
        compared(one.right, another.right, one.of.truth)
        for one, another in zip(ours, theirs, strict=False)
        if one is not None and another is not None and same_images(one, another)
    ]
    if not parts or not len(parts) == len(ours) == len(theirs):
        return None
    found = parts[0] if len(parts) == 1 else over_splits(parts)
    return Difference(
        size, first, second, found.difference, found.low, found.high, found.only_first, found.only_second, found.p,
        found.significant,
    )  # fmt: skip
