"""How accuracy goes with the number of copied layers, and what it comes to, for print; the paper's numbers in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fne_cli.figures import published
from fne_cli.figures.charted.transfer import FORMULAS, MEASURES, SAID, by_treatment, main_panels
from fne_cli.figures.drawn.style import CHANCE, INK, label, sheet
from fne_cli.figures.experiments import TransferMean, TransferPanel, TransferTable

# Okabe and Ito's; the treatments also differ in their marks.
_STYLES: Mapping[str, tuple[str, str, str]] = {
    "base": (INK, "o", "none"),
    "BnB": ("#0072B2", "o", "-"),
    "BnB+": ("#56B4E9", "^", "-"),
    "AnB": ("#D55E00", "s", "-"),
    "AnB+": ("#E69F00", "D", "-"),
    "random": (CHANCE, "x", ":"),
}
_GREY = "#999999"
_GREYS = {"base": "none", "BnB": "-", "BnB+": "-.", "AnB": "--", "AnB+": ":"}


def accuracies(png: Path, svg: Path, pdf: Path, table: TransferTable) -> None:
    """A panel for each group of classes: accuracy by copied layers. The last is the paper's, in grey."""
    panels = main_panels(table)
    columns = 2 if len(panels) in (1, 3) else 3
    rows = -(-(len(panels) + 1) // columns)
    with sheet(png, svg, 0.5 + 2.4 * rows, pdf=pdf) as figure:
        places = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        for axes, panel in zip(places, panels, strict=False):
            _treated(axes, panel)
        _published(places[len(panels)])
        for axes in places[len(panels) + 1 :]:
            axes.set_axis_off()
        handles, labels = places[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)


def decomposition(png: Path, svg: Path, pdf: Path, table: TransferTable) -> None:
    """A column for each measure, in points: ours by group of classes, and below them the paper's in grey."""
    panels = [panel for panel in main_panels(table) if panel.gaps]
    measures = [name for name in MEASURES if any(one.measure == name for panel in panels for one in panel.gaps)]
    colours = [style[0] for name, style in _STYLES.items() if name not in ("base", "random")]
    marks = "os^D"
    paper = published.differences()
    with sheet(png, svg, 4.6, pdf=pdf) as figure:
        grid = figure.subplots(2, len(measures), squeeze=False)
        for column, measure in enumerate(measures):
            axes = grid[0, column]
            for number, panel in enumerate(panels):
                own = sorted((one for one in panel.gaps if one.measure == measure), key=lambda one: one.copied)
                shift = 0.12 * (number - (len(panels) - 1) / 2)
                values = [100 * one.value for one in own]
                spreads = [0.0 if one.high is None else 100 * (one.high - one.value) for one in own]
                axes.errorbar(
                    [one.copied + shift for one in own], values, yerr=spreads, color=colours[number % len(colours)],
                    marker=marks[number % len(marks)], markersize=3.5, elinewidth=0.9, label=_called(panel, panels),
                )  # fmt: skip
            axes.set_title(f"{measure}\n{FORMULAS[measure]}")
            below = grid[1, column]
            row = paper[measure]
            below.plot(list(row), [100 * value for value in row.values()], color=_GREY, marker="o", markersize=3)
            for one in (axes, below):
                _finish(one)
                one.axhline(0, color=CHANCE, linewidth=0.8, zorder=0)
            below.set_xlabel("copied layers")
        grid[0, 0].set_ylabel("points")
        grid[1, 0].set_ylabel(f"points\n{published.NAME}", color=_GREY)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)


def _treated(axes: Axes, panel: TransferPanel) -> None:
    base = [one for one in panel.means if one.treatment == "base"]
    for one in base:
        axes.axhline(100 * one.value, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
    for name, means in by_treatment(panel).items():
        colour, mark, line = _STYLES[name]
        for one in means:
            axes.plot(
                [one.copied] * len(one.singles), [100 * single for single in one.singles], color=colour, marker=mark,
                markersize=2, alpha=0.35, linestyle="none",
            )  # fmt: skip
        axes.plot(
            [one.copied for one in means], [100 * one.value for one in means], color=colour, marker=mark,
            markersize=4, linestyle=line, label=SAID[name],
        )  # fmt: skip
    axes.set_title(label(f"{panel.dataset}, {panel.group}", 40) + _runs(base or panel.means))
    axes.set_xlabel("copied layers")
    axes.set_ylabel("accuracy, %")
    _finish(axes)


def _runs(means: Sequence[TransferMean]) -> str:
    count = max(one.count for one in means)
    return f" (means of {count})" if count > 1 else ""


def _published(axes: Axes) -> None:
    for name, line in _GREYS.items():
        row = published.ACCURACIES[name]
        axes.plot(
            list(row), [100 * value for value in row.values()], color=_GREY, linestyle=line,
            marker=_STYLES[name][1], markersize=3,
        )  # fmt: skip
        copied = max(row)
        if copied:
            lower = {"BnB": -3, "BnB+": 3}.get(name, 0)  # their lines end beside each other
            place = (copied, 100 * row[copied])
            axes.annotate(name, place, (5, lower), "data", "offset points", color=_GREY, va="center")
    axes.set_title(published.NAME, color=_GREY)
    axes.set_xlabel("copied layers", color=_GREY)
    axes.tick_params(colors=_GREY)
    _finish(axes)
    axes.set_xlim(right=8.2)


def _finish(axes: Axes) -> None:
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _called(panel: TransferPanel, panels: Sequence[TransferPanel]) -> str:
    """What tells a panel from the others."""
    parts = [panel.dataset] if len({one.dataset for one in panels}) > 1 else []
    parts += [panel.network] if len({one.network for one in panels}) > 1 else []
    return label(", ".join([*parts, panel.group]), 40)
