"""How embeddings and layers do class by class, and which classes they take for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fne_cli.figures.contents import ClassView, Confusion, Row, Size
from fne_cli.numerics.evaluation.metrics import balanced
from fne_cli.numerics.statistics.hierarchy import average_linkage
from fne_cli.store.other.results.entries import Entry

MATRIX = 120  # classes beyond which a matrix shows those with most confusions only
PAIRS = 20


def views(measured: Sequence[tuple[Row, Size, Entry]]) -> list[ClassView]:
    """A view of each."""
    return [
        ClassView(
            row,
            size,
            [one.value for one in entry.each_class],
            [one.training for one in entry.each_class],
            [one.test for one in entry.each_class],
            entry.confusion,
        )
        for row, size, entry in measured
    ]


def together(entries: Sequence[Entry]) -> Entry:
    """Several splits as one: means, their standard deviations (n - 1), and the sums of images and confusions."""
    first = entries[0]
    if len(entries) == 1 or any(entry.classes != first.classes for entry in entries):
        return first
    figures = {key: [entry.figures[key] for entry in entries if key in entry.figures] for key in first.figures}
    rows = []
    for parts in zip(*(entry.each_class for entry in entries), strict=True):
        known = [part.value for part in parts if part.value is not None]
        rows.append(
            replace(
                parts[0],
                value=float(np.mean(known)) if known else None,
                training=round(float(np.mean([part.training for part in parts]))),
                test=sum(part.test for part in parts),
            )
        )
    tables = [entry.confusion for entry in entries if entry.confusion is not None]
    return replace(
        first,
        figures={key: float(np.mean(values)) for key, values in figures.items()},
        spreads={key: float(np.std(values, ddof=1)) for key, values in figures.items() if len(values) > 1},
        interval=None,
        trials=len(entries),
        costs=sorted({cost for entry in entries for cost in entry.costs}),
        each_class=rows,
        confusion=np.sum(tables, axis=0) if len(tables) == len(entries) else None,
        right=None,
        seconds=_mean([entry.seconds for entry in entries]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """None unless all are known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def confused(seen: Sequence[ClassView]) -> Confusion | None:
    """Which classes to show, in which order, and the pairs most confused, by the first view that has a matrix."""
    table = next((view.confusion for view in seen if view.confusion is not None), None)
    if table is None or not table.any():
        return None
    off = table.copy()
    np.fill_diagonal(off, 0)
    errors = off.sum(axis=0) + off.sum(axis=1)
    chosen = np.arange(len(table))
    if len(table) > MATRIX:
        chosen = np.sort(np.argsort(-errors, kind="stable")[:MATRIX])
    share = np.nan_to_num(balanced(table))
    part = share[np.ix_(chosen, chosen)]
    alike = part + part.T
    distances = alike.max() - alike
    np.fill_diagonal(distances, 0)
    order = [number for leaf in average_linkage(distances, MATRIX).leaves for number in leaf]
    places = np.argsort(-off, axis=None, kind="stable")[:PAIRS]
    pairs = []
    for truth, predicted in zip(*(part.tolist() for part in np.unravel_index(places, off.shape)), strict=True):
        if off[truth, predicted]:
            pairs.append((truth, predicted, int(off[truth, predicted]), float(share[truth, predicted])))
    pairs.sort(key=lambda pair: (-pair[2], -pair[3]))
    return Confusion(chosen.tolist(), chosen[order].tolist(), pairs)
