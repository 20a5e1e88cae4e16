"""What all figures share: sizes and colours for print, names that cannot command the typesetter, the two files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine

from fne_cli.figures.names import without_middle
from fne_cli.unprintable import UNPRINTABLE

# Okabe and Ito's colours, of which these also differ in lightness, for readers without colour.
PRESENCE, ABSENCE, UNCHARACTERISTIC = "#0072B2", "#E69F00", "#BBBBBB"
RANDOM, CHANCE, INK = "#D9D9D9", "#777777", "#222222"
WIDTH = 7.0  # inches, two columns of a journal
_NARROW = 5.0  # inches below which a figure is one column wide
DPI = 200

_FONT = "DejaVu Sans"  # comes with matplotlib, so that a figure is the same everywhere
_STYLE: dict[str, Any] = {
    "font.family": _FONT,
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.usetex": False,
    "text.parse_math": False,  # names have dollars in them
    "axes.unicode_minus": True,
    "svg.hashsalt": "fne",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType: many publishers refuse the default, Type 3
}


@contextmanager
def sheet(
    png: Path, svg: Path, height: float, width: float = WIDTH, tight: bool = False, pdf: Path | None = None
) -> Iterator[Figure]:
    """A figure of that many inches to draw on; on leaving it is written to all files, of the same bytes every time.

    tight: with little room between the parts.
    """
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="matplotlib")
        layout = ConstrainedLayoutEngine(h_pad=0.01, hspace=0) if tight else ConstrainedLayoutEngine()
        figure = Figure(figsize=(width, height), layout=layout)
        yield figure
        with open(png, "wb") as file:
            figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
        figure.set_layout_engine("none")  # it stands, the same in both
        with open(svg, "wb") as file:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        if pdf is not None:
            with open(pdf, "wb") as file:
                silent = dict.fromkeys(("CreationDate", "Creator", "Producer"))
                figure.savefig(file, format="pdf", metadata=silent)


def label(name: str, length: int = 32) -> str:
    """A name as one short line: what cannot be printed is escaped, the middle of a long one left out."""
    known = _characters()
    shown = "".join(
        character
        if ord(character) in known and character.isprintable() and not UNPRINTABLE.match(character)
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in name[: 4 * length] + name[4 * length :][-4 * length :]
    )
    return shown if len(shown) <= length else without_middle(shown, length)


@cache
def _characters() -> frozenset[int]:
    """The code points that the font can draw."""
    return frozenset(get_font(findfont(_FONT)).get_charmap())


def legend_columns(width: float) -> int:
    """How many names stand side by side above a figure of so many inches."""
    return 1 if width < _NARROW else 2


def percent(axes: Axes, axis: str) -> None:
    """Show an axis of shares (0 ... 1) in percent."""
    which = axes.xaxis if axis == "x" else axes.yaxis
    which.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def first_last(axes: Axes) -> tuple[list[Any], list[str]]:
    """Handles and labels for a legend in which the line, which matplotlib lists before the bars, comes last."""
    handles, labels = axes.get_legend_handles_labels()
    bars = sum(isinstance(handle, Container) for handle in handles)
    return handles[-bars:] + handles[:-bars], labels[-bars:] + labels[:-bars]


def name_columns(axes: Axes, names: list[str]) -> None:
    """Names below the columns 0, 1, 2 ..., upright; every n-th where there is no room for all."""
    step = -(-len(names) // 160)
    places = range(0, len(names), step)
    axes.set_xticks(list(places), [label(names[place], 24) for place in places], rotation=90)
    axes.tick_params("x", length=2, pad=2, labelsize=7 if len(names) <= 60 else 5)
    margin = max(0.6, 4 - len(names) / 2)
    axes.set_xlim(-margin, len(names) - 1 + margin)


def width_for(columns: int) -> float:
    """Inches for so many named columns: a page, or more where names would touch."""
    return min(14.0, max(WIDTH, 0.7 + 0.13 * columns)) if columns <= 60 else min(14.0, max(8.5, 0.7 + 0.088 * columns))
