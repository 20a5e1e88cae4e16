"""Which rows of a table differ image by image, and not by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fne_cli.figures.contents import Difference, Row, Size, Verdict
from fne_cli.numerics.evaluation.paired import compared, over_splits
from fne_cli.store.other.tested import Right, same_images

Rights = Mapping[tuple[str, str, bool, Size], Sequence[Right | None]]
"""By name, features, whether an embedding, and size: which test images of each split a row has right."""


def differences(
    rows: Sequence[Row], sizes: Sequence[Size], verdicts: Sequence[Verdict], of: Rights
) -> list[Difference]:
    """Every embedding beside the first one, then every embedding beside the best layer, size by size."""
    wholes = [row for row in rows if row.whole]
    pairs = [(size, row, wholes[0]) for size in sizes for row in wholes[1:]]
    pairs += [(one.size, one.row, one.best) for one in verdicts]
    found = (_difference(size, first, second, of) for size, first, second in pairs)
    return [one for one in found if one is not None]


def with_tests(verdicts: Sequence[Verdict], found: Sequence[Difference]) -> list[Verdict]:
    """The verdicts, each with its difference if that is among those found."""
    known = {(one.size, id(one.first), id(one.second)): one for one in found}
    return [replace(one, paired=known.get((one.size, id(one.row), id(one.best)))) for one in verdicts]


def _difference(size: Size, first: Row, second: Row, of: Rights) -> Difference | None:
    """None if the test images of the two are not the same in every split, or not known."""
    ours, theirs = (of.get((row.name, row.made, row.whole, size), ()) for row in (first, second))
    parts = [
        compared(one.right, other.right, one.of.truth)
        for one, other in zip(ours, theirs, strict=False)
        if one is not None and other is not None and same_images(one, other)
    ]
    if not parts or not len(parts) == len(ours) == len(theirs):
        return None
    found = parts[0] if len(parts) == 1 else over_splits(parts)
    return Difference(
        size, first, second, found.difference, found.low, found.high, found.only_first, found.only_second, found.p,
        found.significant,
    )  # fmt: skip
