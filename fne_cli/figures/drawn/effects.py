"""What each factor does, as a figure for print."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fne_cli.figures.charted.factors import datasets_of, values_of
from fne_cli.figures.drawn.style import CHANCE, label, sheet
from fne_cli.figures.experiments import FactorTable
from fne_cli.figures.names import distinct

# Okabe and Ito's; datasets also differ in their marks.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = "osD^vPX"


def effects(png: Path, svg: Path, pdf: Path, factors: FactorTable) -> None:
    """A row for each value of each factor; a mark for each dataset, with the standard deviation over the settings."""
    rows, datasets = values_of(factors), datasets_of(factors)
    names = distinct([f"{factor}: {value}" for factor, value in rows], 44, label)
    with sheet(png, svg, 0.9 + (0.16 + 0.07 * len(datasets)) * len(rows), pdf=pdf) as figure:
        axes = figure.subplots()
        step = 0.7 / max(1, len(datasets))
        for number, dataset in enumerate(datasets):
            own = [one for one in factors.effects if one.dataset == dataset]
            places = [rows.index((one.factor, one.value)) + step * (number - (len(datasets) - 1) / 2) for one in own]
            axes.errorbar(
                [100 * one.difference for one in own], places, xerr=[100 * (one.spread or 0.0) for one in own],
                fmt=_MARKERS[number % len(_MARKERS)], color=_COLOURS[number % len(_COLOURS)], markersize=4,
                elinewidth=0.9, label=label(dataset),
            )  # fmt: skip
        for place in np.flatnonzero([rows[i][0] != rows[i - 1][0] for i in range(1, len(rows))]):
            axes.axhline(place + 0.5, color="#E4E4E4", linewidth=0.6)
        axes.axvline(0, color=CHANCE, linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params("y", length=0)
        axes.grid(axis="x", color="#E4E4E4", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_xlabel("points more than the standard value, on images held out: mean, standard deviation")
        if len(datasets) > 1:
            figure.legend(loc="outside upper center", ncols=min(4, len(datasets)))
