"""How alike layers and files are: their linear CKA as a matrix of shades."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from fne_cli.figures.drawn.style import INK, UNCHARACTERISTIC, label, sheet
from fne_cli.figures.names import distinct

_SHADES = LinearSegmentedColormap.from_list("alike", ["#FFFFFF", "#56B4E9", "#0072B2", "#00263B"])
_FEW = 16  # members whose values are written into the matrix


def cka(png: Path, svg: Path, *, files: Sequence[str], names: Sequence[str], matrix: np.ndarray) -> None:
    """A shade for each pair, darker the more alike; lines where another file begins.

    files, names: of each member. matrix: (members, members), NaN where nothing varies, which is grey.
    """
    count = len(names)
    several = len(set(files)) > 1
    own = list(dict.fromkeys(files))
    stems = dict(zip(own, distinct([Path(file).stem for file in own], 20, label), strict=True))
    shown = [f"{stems[file]}: {name}" if several else name for file, name in zip(files, names, strict=True)]
    side = min(14.0, 2.2 + (0.28 if count <= _FEW else 0.15) * count)
    with sheet(png, svg, side, side + 0.6) as figure:
        axes = figure.subplots()
        shades = _SHADES.with_extremes(bad=UNCHARACTERISTIC)
        image = axes.imshow(np.ma.masked_invalid(matrix), cmap=shades, vmin=0, vmax=1, interpolation="none")
        small = 7 if count <= 40 else 5
        ticks = distinct(shown, 40, label)
        axes.set_yticks(range(count), ticks, fontsize=small)
        axes.set_xticks(range(count), ticks, fontsize=small, rotation=90)
        axes.xaxis.set_ticks_position("top")
        axes.tick_params(length=0, pad=2)
        place = 0
        for _, members in groupby(files):
            place += len(list(members))
            if place < count:
                axes.axhline(place - 0.5, color=INK, linewidth=0.6)
                axes.axvline(place - 0.5, color=INK, linewidth=0.6)
        if count <= _FEW:
            for row, column in np.ndindex(*matrix.shape):
                value = matrix[row, column]
                if np.isfinite(value):
                    colour = "white" if value > 0.55 else INK
                    axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=5.5, color=colour)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, pad=0.02)
        bar.set_label("linear CKA")
        bar.outline.set_linewidth(0.6)
