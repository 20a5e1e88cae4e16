"""Behaviour of all pairs of a feature and a class: against noise, and as the source of the thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fne_cli.figures.drawn.style import ABSENCE, INK, PRESENCE, UNCHARACTERISTIC, percent, sheet

_SHOWN = 0.995  # share of every set that the axis of z spans


def surviving(
    png: Path,
    svg: Path,
    *,
    at: np.ndarray,
    above: np.ndarray,
    random: np.ndarray,
    levels: np.ndarray,
    beyond: np.ndarray,
    chance: float,
) -> None:
    """How many pairs remain as the demand rises.

    Left: shares of pairs with s > t and with s < -t, `above` (2, t), and of random pairs with |s| > t, `random` (t,),
    for every t in `at`. Right: shares of pairs beyond the quantile of |s| of random classes at each of `levels` (q,) in
    0 ... 1, `beyond` (2, q). chance: the share of random pairs beyond the thresholds that the labels were given with.
    """
    with sheet(png, svg, 3.0) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        left.plot(at, above.sum(axis=0), color=INK, label="both")
        left.plot(at, above[0], color=PRESENCE, label="presence")
        left.plot(at, above[1], color=ABSENCE, linestyle="--", label="absence")
        left.plot(at, random, color=INK, linestyle=":", label="random classes")
        left.set_xlim(0, 1)
        left.set_xlabel("t")
        left.set_ylabel("share of pairs with |s| > t")
        left.set_ylim(0, 1.02)
        percent(left, "y")
        inner = (levels > 0) & (levels < 1)
        rest = 1 - levels[inner]
        right.plot(rest, beyond[:, inner].sum(axis=0), color=INK)
        right.plot(rest, beyond[0, inner], color=PRESENCE)
        right.plot(rest, beyond[1, inner], color=ABSENCE, linestyle="--")
        right.plot(rest, rest, color=INK, linestyle=":")
        if chance > 0:
            right.axvline(chance, color=UNCHARACTERISTIC, linewidth=0.9, zorder=0)
            right.text(chance, 1.0, " used for the labels", ha="left", va="top", fontsize=7)
        right.set_xscale("log")
        least = max(1e-9, float(rest.min(initial=0.01)))
        right.set_xlim(0.6, least)
        ticks = [0.5, *(10.0**power for power in range(-1, -10, -1) if 10.0**power >= 0.999 * least)]
        right.set_xticks(ticks, [f"{100 * (1 - tick):.10g} %" for tick in ticks])
        right.set_xticks([], minor=True)
        right.set_xlabel("noise level: share of random pairs that |s| must exceed")
        figure.legend(loc="outside upper center", ncols=4)


def z_sets(
    png: Path,
    svg: Path,
    *,
    edges: np.ndarray,
    counts: Mapping[str, np.ndarray],
    found: tuple[float, float],
    published: tuple[float, float],
) -> None:
    """The mean standardised value over a class, of the pairs of each set, with both pairs of thresholds.

    edges: (b + 1,). counts: (b,) numbers of pairs for "absence", "uncharacteristic" and "presence". found: low and high
    from these data, NaN where there is none.
    """
    colours = {"uncharacteristic": UNCHARACTERISTIC, "absence": ABSENCE, "presence": PRESENCE}
    with sheet(png, svg, 3.2) as figure:
        axes = figure.subplots()
        first, last = _span(list(counts.values()))
        shown = edges[first : last + 1]
        for name, colour in colours.items():
            total = int(counts[name].sum())
            density = counts[name][first:last] / max(1, total) / np.diff(shown)
            axes.stairs(density, shown, fill=True, color=colour, alpha=0.35)
            axes.stairs(density, shown, color=colour, linewidth=1.2, label=f"{name}, {total:,} pairs")
        for values, line, text in ((found, "-", "from these data"), (published, "--", "published")):
            for value in values:
                if np.isfinite(value):
                    axes.axvline(value, color=INK, linewidth=0.9, linestyle=line)
            low, high = (f"{value:.3g}".replace("-", "−") if np.isfinite(value) else "none" for value in values)
            axes.plot([], color=INK, linewidth=0.9, linestyle=line, label=f"{text}: {low} and {high}")
        axes.set_xlim(min(shown[0], published[0] - 0.1), max(shown[-1], published[1] + 0.1))
        axes.set_ylim(0)
        axes.set_xlabel("mean standardised value z of the feature over the class")
        axes.set_ylabel("density")
        handles, names = axes.get_legend_handles_labels()
        order = [1, 3, 0, 4, 2]  # columns of the legend: sets above, thresholds below
        figure.legend([handles[n] for n in order], [names[n] for n in order], loc="outside upper center", ncols=3)


def _span(tables: list[np.ndarray]) -> tuple[int, int]:
    """The first and the last bin (exclusive) that hold nearly all of each table."""
    spans = []
    for table in tables:
        summed = np.cumsum(table) / max(1, table.sum())
        if table.sum():
            spans.append(np.searchsorted(summed, ((1 - _SHOWN) / 2, (1 + _SHOWN) / 2)))
    firsts, lasts = zip(*spans, strict=True) if spans else ((0,), (len(tables[0]) - 1,))
    return int(min(firsts)), int(max(lasts)) + 1
