"""The charts of a page of results as files for print, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator, NullLocator

from fne_cli.figures.contents import Group, Point, Row, Size
from fne_cli.figures.drawn.style import INK, UNCHARACTERISTIC, WIDTH, label, legend_columns, percent, sheet
from fne_cli.figures.names import distinct
from fne_cli.measures import MEASURES

# Okabe and Ito's; those of embeddings also differ in their dashes.
_WHOLES = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1)))
_BEST = "#D55E00"
_RIGHT = LinearSegmentedColormap.from_list("right", ["#FFFFFF", "#0072B2"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#FFFFFF", "#D55E00"])
_ONE_COLUMN, _MOST = 40, 120
_LONG_NETWORK = 60


def _point(row: Row, size: Size, figure: str) -> Point | None:
    point = row.points.get(size)
    return point if point is not None and figure in point.figures else None


def _known(group: Group, whole: bool, size: Size) -> list[tuple[Row, float, float]]:
    """The embeddings, or the layers, with their figure and its spread."""
    found = []
    for row in group.rows:
        point = _point(row, size, group.figure)
        if row.whole == whole and point is not None:
            found.append((row, point.figures[group.figure], point.spreads.get(group.figure, 0.0)))
    return found


def by_layer(png: Path, svg: Path, pdf: Path, group: Group, width: float = WIDTH) -> None:
    """Every single layer in the order of the network, from top to bottom; the embeddings as lines."""
    size = group.sizes[-1]
    layers = _known(group, False, size)
    names = list(dict.fromkeys(row.name for row, _, _ in layers))
    best = group.best_layer(size)
    close = len(names) > _LONG_NETWORK
    with sheet(png, svg, 0.9 + (0.09 if close else 0.15) * len(names), width, pdf=pdf) as figure:
        axes = figure.subplots()
        for row, value, spread in layers:
            colour = _BEST if row is best else "#777777"
            place = names.index(row.name)
            axes.errorbar(value, place, xerr=spread or None, fmt="o", color=colour, markersize=4, elinewidth=1)
        for number, (row, value, _) in enumerate(_known(group, True, size)):
            kind = number % len(_WHOLES)
            text = f"{label(row.title, 48)}, {100 * value:.2f} %"
            axes.axvline(value, color=_WHOLES[kind], linestyle=_DASHES[kind], label=text, zorder=1)
        axes.set_yticks(range(len(names)), distinct(names, 32, label))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params("y", length=0, labelsize=5 if close else 7)
        axes.grid(axis="x", color="#E4E4E4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(MEASURES[group.figure])
        percent(axes, "x")
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper center", ncols=legend_columns(width))


def learning_curve(png: Path, svg: Path, pdf: Path, group: Group, width: float = WIDTH) -> None:
    """Figures over training images per class, embeddings and the best layer at each size with their spread."""
    sizes = [size for size in group.sizes if size]
    wholes, best = [row for row in group.rows if row.whole], group.best_title()
    with sheet(png, svg, 3.4 if legend_columns(width) > 1 else 2.9, width, pdf=pdf) as figure:
        axes = figure.subplots()
        for number, layer in enumerate(row for row in group.rows if not row.whole):
            at, values, _ = _line(group, dict.fromkeys(sizes, layer))
            axes.plot(at, values, color=UNCHARACTERISTIC, linewidth=0.7, zorder=1,
                      label=None if number else "single layers")  # fmt: skip
        lines = [
            (_WHOLES[number % len(_WHOLES)], _DASHES[number % len(_DASHES)], row.title, dict.fromkeys(sizes, row))
            for number, row in enumerate(wholes)
        ]
        lines += [(_BEST, "-", best, {size: row for size in sizes if (row := group.best_layer(size))})] if best else []
        for colour, dashes, text, rows in lines:
            at, values, spread = _line(group, rows)
            axes.fill_between(at, values - spread, values + spread, color=colour, alpha=0.18, linewidth=0)
            axes.plot(at, values, color=colour, linestyle=dashes, marker="o", markersize=3.5, label=label(text, 48))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(size) for size in sizes])
        axes.grid(axis="y", color="#E4E4E4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("training images per class (logarithmic)")
        axes.set_ylabel(MEASURES[group.figure])
        percent(axes, "y")
        figure.legend(loc="outside upper center", ncols=legend_columns(width))


def _line(group: Group, rows: Mapping[int, Row]) -> tuple[list[int], np.ndarray, np.ndarray]:
    """The sizes at which the row of each was measured, the figures there, and their spreads."""
    points = {size: point for size, row in rows.items() if (point := _point(row, size, group.figure))}
    values = np.array([point.figures[group.figure] for point in points.values()])
    return list(points), values, np.array([point.spreads.get(group.figure, 0.0) for point in points.values()])


def confusion(png: Path, svg: Path, pdf: Path, group: Group, width: float = WIDTH) -> None:
    """Shares of each true class, confused classes side by side; blue is right, orange wrong.

    In a width that is too small for the names of the classes these are left out.
    """
    found = group.confusion
    view = next((view for view in group.views if view.confusion is not None), None)
    if found is None or view is None or view.confusion is None:
        return
    order = list(found.alike)
    table = view.confusion[np.ix_(order, order)]
    share = table / np.maximum(1, view.confusion[order].sum(axis=1, keepdims=True))
    shade = np.where(table > 0, 0.12 + 0.88 * np.sqrt(share), 0.0)  # so that few images can be seen, too
    right = np.eye(len(order), dtype=bool)
    side = min(14.0, max(0.45 * WIDTH, 1.2 + (0.115 if len(order) > 25 else 0.24) * len(order)))
    named = width == WIDTH or 72 * (width - 1.2) / len(order) > 5  # points for each class
    side = side if width == WIDTH else min(side, width)
    with sheet(png, svg, side, side, pdf=pdf) as figure:
        axes = figure.subplots()
        for cells, colours in ((right, _RIGHT), (~right, _WRONG)):
            axes.imshow(np.ma.masked_array(shade, ~cells), cmap=colours, vmin=0, vmax=1, interpolation="none")
        names = distinct([group.classes[number] for number in order], 24, label)
        small = 5 if len(order) > 25 else 7
        axes.set_yticks(range(len(order)) if named else [], names if named else None, fontsize=small)
        axes.set_xticks(range(len(order)) if named else [], names if named else None, fontsize=small, rotation=90)
        axes.xaxis.set_ticks_position("top")
        axes.xaxis.set_label_position("top")
        axes.tick_params(length=0, pad=2)
        axes.set_xlabel("classified as")
        axes.set_ylabel("true class")
        if len(order) <= (25 if width == WIDTH else 12):
            for row, column in zip(*table.nonzero(), strict=True):
                dark = shade[row, column] > 0.7
                axes.text(column, row, f"{table[row, column]}", ha="center", va="center", fontsize=6,
                          color="white" if dark else INK)  # fmt: skip


def by_class(png: Path, svg: Path, pdf: Path, group: Group, width: float = WIDTH) -> None:
    """Every class, the hardest first: the embedding beside the best single layer.

    Of more than 120 classes (in one column, of more than 60), half of these from each end.
    """
    views = [group.views[0], *group.views[-1:]] if len(group.views) > 1 else list(group.views)
    first = [np.nan if value is None else value for value in views[0].values]
    order = np.argsort(first, kind="stable")
    order = order[~np.isnan(np.array(first)[order])]
    titles, wide = ["", ""], legend_columns(width) > 1
    most = _MOST if wide else _MOST // 2
    if len(order) > most:
        titles = [f"the {most // 2} {end} of {len(order):,} classes" for end in ("hardest", "easiest")]
        titles = titles if wide else [f"the {most // 2} hardest and easiest of {len(order):,} classes"]
        order = order[np.r_[: most // 2, -most // 2 : 0]]
    columns = np.array_split(order, 2 if len(order) > _ONE_COLUMN and wide else 1)
    tallest = max(1, *(len(column) for column in columns))
    with sheet(png, svg, 0.9 + 0.125 * tallest, width, pdf=pdf) as figure:
        drawn = figure.subplots(1, len(columns), squeeze=False)[0]
        for axes, column, title in zip(drawn, columns, titles, strict=False):
            places = np.arange(len(column))
            for view, (colour, marker) in zip(views, (("#0072B2", "o"), (_BEST, "D")), strict=False):
                values = [np.nan if view.values[number] is None else view.values[number] for number in column]
                axes.plot(values, places, marker, color=colour, markersize=3.5, label=label(view.row.title, 48),
                          linestyle="none")  # fmt: skip
            axes.set_yticks(places, distinct([group.classes[number] for number in column], 28, label), fontsize=6.5)
            axes.tick_params("y", length=0)
            axes.set_ylim(tallest - 0.4, -0.6)
            axes.set_xlim(-0.02, 1.02)
            axes.set_title(title)
            axes.grid(color="#E4E4E4", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.set_xlabel("average precision" if group.figure == "mean_average_precision" else "accuracy")
            percent(axes, "x")
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=legend_columns(width))
