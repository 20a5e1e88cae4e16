"""A contact sheet: the images that excite chosen features most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fne_cli.figures.drawn.style import RANDOM, WIDTH, label, sheet


@dataclass(frozen=True)
class Strip:
    """One feature: its name, what it says of some classes (name and s), and its images, the most exciting first.

    images: (height, width, 3) uint8 each, None for one that cannot be shown. captions: a line below each.
    """

    feature: str
    classes: Sequence[tuple[str, float]]
    images: Sequence[np.ndarray | None]
    captions: Sequence[str]


def exemplars(png: Path, svg: Path, *, strips: Sequence[Strip]) -> None:
    """Draw the strips below each other."""
    columns = max(4, *(len(strip.images) for strip in strips))
    with sheet(png, svg, len(strips) * (WIDTH / columns + 0.26), tight=True) as figure:
        for part, strip in zip(figure.subfigures(len(strips), 1, squeeze=False)[:, 0], strips, strict=True):
            part.suptitle(_heading(strip), fontsize=7, x=0.01, horizontalalignment="left")
            for number, axes in enumerate(part.subplots(1, columns, squeeze=False)[0]):
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                axes.set_box_aspect(1)
                axes.set_anchor("N")
                if number < len(strip.images):
                    image = strip.images[number]
                    axes.set_xlabel(label(strip.captions[number], 20), fontsize=5.5, labelpad=2)
                    if image is None:
                        axes.set_facecolor(RANDOM)
                    else:
                        axes.imshow(image, interpolation="none", aspect="auto")


def _heading(strip: Strip) -> str:
    said = [f"{'presence' if s > 0 else 'absence'} of {label(name, 24)} ({_signed(s)})" for name, s in strip.classes]
    return f"{label(strip.feature, 40)}   {', '.join(said)}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
