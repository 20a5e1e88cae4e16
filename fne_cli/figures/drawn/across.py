"""Accuracy across networks, datasets and protocols, and against what it costs, as figures for print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from fne_cli.figures.charted.across import BEST_TITLE, LAYERS_TITLE, Mark, series_of
from fne_cli.figures.drawn.style import UNCHARACTERISTIC, WIDTH, label, legend_columns, percent, sheet
from fne_cli.figures.names import distinct

# Okabe and Ito's; embeddings also differ in their marks.
_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "v", "P")
_OWN = {BEST_TITLE: ("#D55E00", "D"), LAYERS_TITLE: (UNCHARACTERISTIC, ".")}


def accuracy(png: Path, svg: Path, pdf: Path, found: Sequence[Mark], width: float = WIDTH) -> None:
    """A row for each measurement; a mark for each embedding and the best layer, with its interval or spread."""
    series, rows = series_of(found), list(dict.fromkeys(one.where for one in found))
    step = 0.7 / max(1, len(series))
    with sheet(png, svg, 0.9 + (0.1 + 0.07 * len(series)) * len(rows), width, pdf=pdf) as figure:
        axes = figure.subplots()
        for number, title in enumerate(series):
            own = [one for one in found if one.series == title]
            places = [rows.index(one.where) + step * (number - (len(series) - 1) / 2) for one in own]
            ends = [[max(0.0, one.value - one.low) for one in own], [max(0.0, one.high - one.value) for one in own]]
            colour, mark = _style(series, title)
            axes.errorbar([one.value for one in own], places, xerr=ends, fmt=mark, color=colour, markersize=3.5,
                          elinewidth=0.9, label=label(title, 40))  # fmt: skip
        axes.set_yticks(range(len(rows)), distinct(rows, 40 if legend_columns(width) > 1 else 28, label))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params("y", length=0)
        axes.set_xlabel(", ".join(dict.fromkeys(one.measure for one in found)))
        percent(axes, "x")
        _finish(axes, "x")
        figure.legend(loc="outside upper center", ncols=1 + legend_columns(width))


def features(png: Path, svg: Path, pdf: Path, found: Sequence[Mark], width: float = WIDTH) -> None:
    """Accuracy against how long the vectors are."""
    costs = [float(one.features) for one in found]
    _costs((png, svg, pdf), found, costs, "features (logarithmic)", width)


def seconds(png: Path, svg: Path, pdf: Path, found: Sequence[Mark], width: float = WIDTH) -> None:
    """Accuracy against what a training and its measurement took."""
    costs = [one.seconds or 0.0 for one in found]
    of = " of a training and its measurement" if legend_columns(width) > 1 else ""
    _costs((png, svg, pdf), found, costs, f"seconds{of} (logarithmic)", width)


def _costs(
    files: tuple[Path, Path, Path], found: Sequence[Mark], costs: Sequence[float], title: str, width: float
) -> None:
    series = series_of(found)
    png, svg, pdf = files
    with sheet(png, svg, 3.2 if legend_columns(width) > 1 else 2.7, width, pdf=pdf) as figure:
        axes = figure.subplots()
        for name in reversed(series):  # the layers below all else
            own = [(cost, one.value) for cost, one in zip(costs, found, strict=True) if one.series == name]
            colour, mark = _style(series, name)
            axes.plot(
                *zip(*own, strict=True), mark, color=colour, markersize=4, linestyle="none", label=label(name, 40)
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(title)
        axes.set_ylabel(", ".join(dict.fromkeys(one.measure for one in found)))
        percent(axes, "y")
        _finish(axes, "y")
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], names[::-1], loc="outside upper center", ncols=1 + legend_columns(width))


def _style(series: Sequence[str], title: str) -> tuple[str, str]:
    number = series.index(title)
    return _OWN.get(title, (_COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]))


def _finish(axes: Axes, axis: Literal["x", "y"]) -> None:
    axes.grid(axis=axis, color="#E4E4E4", linewidth=0.6)
    axes.set_axisbelow(True)
