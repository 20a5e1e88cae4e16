"""Which rows of a table differ image by image, and not by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fne_cli.figures.contents import Difference, Row, Size, Verdict
from fne_cli.numerics.evaluation.paired import compared
from fne_cli.store.other.tested import Right, same_images

Rights = Mapping[tuple[str, str, bool, Size], Right | None]
"""By name, features, whether an embedding, and size: which test images a row has right."""


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
    """None if the test images of the two are not the same, or not known."""
    ours, theirs = (of.get((row.name, row.made, row.whole, size)) for row in (first, second))
    if ours is None or theirs is None or not same_images(ours, theirs):
        return None
    found = compared(ours.right, theirs.right, ours.of.truth)
    return Difference(
        size, first, second, found.difference, found.low, found.high, found.only_first, found.only_second, found.p,
        found.significant,
    )  # fmt: skip
