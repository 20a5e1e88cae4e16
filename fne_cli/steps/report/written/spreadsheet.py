"""Every figure of a page as CSV: a line for each embedding and layer at each number of training images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from fne_cli.figures.contents import Group, Row, Size
from fne_cli.figures.tables.configurations import beside, standard
from fne_cli.measures import MEASURES
from fne_cli.store.other.cells import as_cell

_FIRST = ("dataset", "network", "pooling", "protocol", "images_per_class", "name", "is", "best_layer", "features")
_COSTS = ("seconds", "trials")
_COMPARED = ("compared_with", "difference", "difference_low_95", "difference_high_95", "p", "significant")


def comma_separated(groups: Sequence[Group]) -> str:
    """Figures are fractions; those that nothing has are left out. Names are as `as_cell` writes them."""
    lines = [line for group in groups for line in _lines(group)]
    figures = [key for name in MEASURES for key in (name, f"{name}_std")]
    known = [key for key in (*figures, "low_95", "high_95") if any(key in line for line in lines)]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIRST, *known, *_COSTS, *_COMPARED], restval="", lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({key: as_cell(value) if isinstance(value, str) else value for key, value in line.items()})
    return text.getvalue()


def _lines(group: Group) -> Iterator[dict[str, Any]]:
    for size in group.sizes:
        for row in group.rows:
            if size in row.points:
                yield _line(group, row, size)


def _line(group: Group, row: Row, size: Size) -> dict[str, Any]:
    point, best = row.points[size], group.best_layer(size)
    found: dict[str, Any] = {
        "dataset": group.dataset,
        "network": group.network,
        "pooling": group.pooling,
        "protocol": group.protocol,
        "images_per_class": "" if size is None else size,
        "name": row.title,
        "is": "embedding" if row.whole else "layer",
        "best_layer": "yes" if row is best else "",
        "features": row.features,
        **point.figures,
        **{f"{key}_std": value for key, value in point.spreads.items()},
        "seconds": "" if point.seconds is None else round(point.seconds, 3),
        "trials": point.trials,
    }
    if point.interval is not None:
        found |= {"low_95": point.interval[0], "high_95": point.interval[1]}
    first, difference = standard(group), beside(group, row, size)
    if difference is not None and first is not None:
        same = difference.first is row
        low, high = (difference.low, difference.high) if same else (-difference.high, -difference.low)
        values = (first.title, difference.value if same else -difference.value, low, high, difference.p)
        found |= dict(zip(_COMPARED, (*values, "yes" if difference.significant else "no"), strict=True))
    return found
