"""Behaviour by class: who is characterised by how much, and who resembles whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection

from fne_cli.figures.drawn.style import ABSENCE, INK, PRESENCE, first_last, label, percent, sheet

MOST = 120  # classes in one figure
_ONE_COLUMN = 40


def shares_by_class(png: Path, svg: Path, *, classes: Sequence[str], counts: np.ndarray, chance: float | None) -> None:
    """The share of features characteristic of each class, the largest first.

    counts: (classes, 3) numbers of features: presence, absence, uncharacteristic; classes without any are left out. Of
    more than 120 classes, the 60 with the largest share and the 60 with the smallest. chance: as in shares_by_layer.
    """
    known = np.flatnonzero(counts.sum(axis=1))
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    order = known[np.argsort(-(shares[known, 0] + shares[known, 1]), kind="stable")]
    if len(order) > MOST:
        columns, names = np.split(order[np.r_[: MOST // 2, -MOST // 2 : 0]], 2), ["most", "least"]
        titles = [f"the {MOST // 2} {name} characterised of {len(order):,} classes" for name in names]
    else:
        columns = np.array_split(order, 2 if len(order) > _ONE_COLUMN else 1)
        titles = [""] * len(columns)
    tallest = max(len(column) for column in columns)
    longest = float((shares[order, 0] + shares[order, 1]).max(initial=0.01))
    with sheet(png, svg, 0.9 + 0.125 * tallest) as figure:
        for axes, column, title in zip(
            figure.subplots(1, len(columns), squeeze=False)[0], columns, titles, strict=True
        ):
            places = np.arange(len(column))
            axes.barh(places, shares[column, 0], 0.78, color=PRESENCE, label="presence")
            axes.barh(places, shares[column, 1], 0.78, left=shares[column, 0], color=ABSENCE, label="absence")
            if chance is not None:
                axes.axvline(chance, color=INK, linewidth=0.9, linestyle="--",
                             label=f"random classes, {100 * chance:.3g} %")  # fmt: skip
            axes.set_yticks(places, [label(classes[number]) for number in column], fontsize=6.5)
            axes.tick_params("y", length=0)
            axes.set_ylim(tallest - 0.4, -0.6)
            axes.set_xlim(0, min(1.0, 1.04 * longest))
            axes.set_xlabel("share of features")
            axes.set_title(title)
            percent(axes, "x")
        figure.legend(*first_last(axes), loc="outside upper center", ncols=3)


def dendrogram(png: Path, svg: Path, *, leaves: Sequence[str], lines: np.ndarray, distance: str) -> None:
    """A tree of classes, from leaves at the left to the root at the right.

    leaves: their names from top to bottom. lines: (merges, 4, 2) corners of the brackets: distance, and place among the
    leaves (0, 1, ...). distance: what the axis says of it.
    """
    with sheet(png, svg, 0.6 + max(0.09, 0.14 - 0.0006 * len(leaves)) * (len(leaves) + 1)) as figure:
        axes = figure.subplots()
        axes.add_collection(LineCollection(list(lines), colors=PRESENCE, linewidths=0.9))
        farthest = float(lines[..., 0].max(initial=0)) or 1.0
        axes.set_xlim(0, 1.02 * farthest)
        axes.set_ylim(len(leaves) - 0.4, -0.6)
        axes.set_yticks(range(len(leaves)), [label(name, 40) for name in leaves])
        axes.tick_params("y", length=0, labelsize=7 if len(leaves) <= 60 else 5.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(distance)
