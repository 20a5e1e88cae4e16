"""Maps over images: what each cell says for a class, or what a feature is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.patches import Rectangle

from fne_cli.figures.drawn.style import INK, WIDTH, label, sheet

COLUMNS = 4
_AGAINST, _FOR = "#B35806", "#542788"  # orange and purple are told apart by those who confuse red and green
_STRONGEST = 0.75  # of the colour over the image, where a value is the largest


@dataclass(frozen=True)
class Panel:
    """An image with a map over it, and the lines above it.

    image: (height, width, 3) uint8, None for one that is not shown, and why. map: (rows, columns). peak: x and y as
    shares of the image, None for none. boxes: (n, 4) x0, y0, x1, y1, shares too; found: one that was found, or None.
    """

    lines: Sequence[str]
    image: np.ndarray | None
    wrong: str
    map: np.ndarray
    peak: tuple[float, float] | None = None
    boxes: np.ndarray | None = None
    found: tuple[float, float, float, float] | None = None


def maps(
    png: Path, svg: Path, *, panels: Sequence[Panel], signed: bool, meaning: str, largest: float | None = None
) -> None:
    """Draw panels, four in a row.

    signed: whether values below 0 have a colour of their own. meaning: of the colour, for the legend. largest: the
    value with the strongest colour; None for that of each map, as decision values of classes differ.
    """
    rows = -(-len(panels) // COLUMNS)
    side = WIDTH / COLUMNS
    heights = [
        side * min(2.0, max(_proportion(panel) for panel in panels[start : start + COLUMNS])) + 0.36
        for start in range(0, len(panels), COLUMNS)
    ]
    with sheet(png, svg, sum(heights) + 0.55) as figure:
        if not panels:
            figure.text(0.5, 0.5, "none", ha="center", va="center")
            return
        drawn = figure.subplots(rows, COLUMNS, squeeze=False, height_ratios=heights)
        for number, axes in enumerate(drawn.ravel()):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.set_anchor("N")
            if number < len(panels):
                _draw(axes, panels[number], signed, largest)
            else:
                axes.set_axis_off()
        low = -1.0 if signed else 0.0
        scale = ScalarMappable(Normalize(-1, 1), LinearSegmentedColormap.from_list("evidence", [_AGAINST, "w", _FOR]))
        bar = figure.colorbar(scale, ax=drawn, location="bottom", shrink=0.5, aspect=40, pad=0.02, boundaries=None)
        bar.ax.set_xlim(low, 1)
        ends = ["against", "nothing", "for"] if signed else ["nothing", "largest"]
        bar.set_ticks([low, 0.0, 1.0] if signed else [0.0, 1.0], labels=ends)
        bar.set_label(meaning, fontsize=7)
        bar.outline.set_linewidth(0.4)


def _proportion(panel: Panel) -> float:
    """Height by width."""
    return 1.0 if panel.image is None else panel.image.shape[0] / panel.image.shape[1]


def _draw(axes: Any, panel: Panel, signed: bool, largest: float | None) -> None:
    axes.set_title("\n".join(label(line, 42) for line in panel.lines), fontsize=5.5, loc="left", pad=2)
    height, width = (1, 1) if panel.image is None else panel.image.shape[:2]
    axes.set_aspect("equal" if panel.image is not None else 1)
    if panel.image is None:
        axes.text(0.5, 0.5, label(panel.wrong, 30), ha="center", va="center", fontsize=6, transform=axes.transAxes)
    else:
        grey = panel.image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
        axes.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="none", extent=(0, width, height, 0))
    if largest is None:
        largest = float(np.abs(panel.map).max() if signed else panel.map.max())
    shares = panel.map / largest if largest > 0 else np.zeros(panel.map.shape)
    if not signed:
        shares = np.maximum(shares, 0)
    colours = np.where(shares[..., None] > 0, to_rgba(_FOR), to_rgba(_AGAINST))
    colours[..., 3] = _STRONGEST * np.abs(shares)
    axes.imshow(colours, interpolation="none", extent=(0, width, height, 0))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    if panel.image is None:
        return
    for box in () if panel.boxes is None else panel.boxes:
        axes.add_patch(_rectangle(box, width, height, "white", 1.6, "-"))
        axes.add_patch(_rectangle(box, width, height, INK, 0.7, "-"))
    if panel.found is not None:
        axes.add_patch(_rectangle(panel.found, width, height, "white", 1.6, "-"))
        axes.add_patch(_rectangle(panel.found, width, height, INK, 0.9, (0, (2, 2))))
    if panel.peak is not None:
        x, y = panel.peak
        axes.plot([x * width], [y * height], "+", color="white", markersize=7, markeredgewidth=2.2)
        axes.plot([x * width], [y * height], "+", color=INK, markersize=6, markeredgewidth=1.0)


def _rectangle(box: Sequence[float] | np.ndarray, width: int, height: int, colour: str, line: float, style: Any) -> Any:
    x0, y0, x1, y1 = (float(value) for value in box)
    return Rectangle(
        (x0 * width, y0 * height), (x1 - x0) * width, (y1 - y0) * height, fill=False, edgecolor=colour, linewidth=line,
        linestyle=style,
    )  # fmt: skip
