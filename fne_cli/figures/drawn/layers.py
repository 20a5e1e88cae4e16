"""Behaviour by layer: how strongly features characterise classes, and how many pairs are more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fne_cli.figures.drawn.style import (
    ABSENCE,
    CHANCE,
    INK,
    PRESENCE,
    RANDOM,
    UNCHARACTERISTIC,
    first_last,
    name_columns,
    percent,
    sheet,
    width_for,
)


def s_by_layer(
    png: Path,
    svg: Path,
    *,
    layers: Sequence[str],
    edges: np.ndarray,
    counts: np.ndarray,
    quantiles: np.ndarray,
    random: np.ndarray,
    usual: float,
    chance: float,
) -> None:
    """The distribution of s over the pairs of each layer, and beside them that of random classes, as violins.

    edges: (b + 1,) in -1 ... 1. counts: (layers, b) numbers of pairs. quantiles: (layers, 2) of 0.05 and 0.95, NaN for
    a layer without pairs. random: (b,) shares of random pairs. usual: what |s| of a share `chance` of them exceeds.
    """
    places = np.arange(len(layers))
    middles = (edges[1:] + edges[:-1]) / 2
    with sheet(png, svg, 3.6, width_for(len(layers) + 1)) as figure:
        axes = figure.subplots()
        axes.axhspan(-usual, usual, color=RANDOM, linewidth=0, zorder=0)
        axes.axhline(0, color="white", linewidth=0.8, zorder=1)
        for place, table, colour in zip(
            [*places, len(layers)], [*counts, random], [*[PRESENCE] * len(layers), CHANCE], strict=True
        ):
            half = 0.44 * table / max(1e-300, float(table.max(initial=0)))
            axes.fill_betweenx(middles, place - half, place + half, color=colour, linewidth=0, zorder=2)
        for values in quantiles.T:
            axes.hlines(values, places - 0.3, places + 0.3, color=INK, linewidth=1.0, zorder=3)
        name_columns(axes, [*layers, "random classes"])
        axes.set_ylim(-1, 1)
        axes.set_ylabel("s  (absence < 0 < presence)")
        figure.legend(
            handles=[
                Patch(color=PRESENCE, label="pairs of a feature and a class"),
                Line2D([], [], color=INK, linewidth=1.0, label="their 5 % and 95 % quantiles"),
                Patch(color=RANDOM, label=f"{100 * (1 - chance):.3g} % of random classes"),
            ],
            loc="outside upper center",
            ncols=3,
        )


def shares_by_layer(png: Path, svg: Path, *, layers: Sequence[str], counts: np.ndarray, chance: float | None) -> None:
    """The share of pairs characteristic by presence and by absence, by layer.

    counts: (layers, 3) numbers of pairs: presence, absence, uncharacteristic. chance: the share that random classes
    would have, None if it is not known.
    """
    places = np.arange(len(layers))
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    with sheet(png, svg, 3.4, width_for(len(layers))) as figure:
        axes = figure.subplots()
        axes.bar(places, shares[:, 0], 0.8, color=PRESENCE, label="presence")
        axes.bar(places, shares[:, 1], 0.8, bottom=shares[:, 0], color=ABSENCE, label="absence")
        rest = 1 - shares[:, 0] - shares[:, 1]
        axes.bar(places, np.where(counts.sum(axis=1) > 0, rest, 0), 0.8, bottom=shares[:, 0] + shares[:, 1],
                 color=UNCHARACTERISTIC, alpha=0.5, label="uncharacteristic")  # fmt: skip
        if chance is not None:
            axes.axhline(
                chance, color=INK, linewidth=0.9, linestyle="--", label=f"random classes, {100 * chance:.3g} %"
            )
        name_columns(axes, list(layers))
        axes.set_ylim(0, 1)
        axes.set_ylabel("share of pairs")
        percent(axes, "y")
        figure.legend(*first_last(axes), loc="outside upper center", ncols=4)
