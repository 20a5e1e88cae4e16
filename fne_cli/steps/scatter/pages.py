"""The page of a map, with small pictures of some of its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.figures.scattered.contents import ScatterPage
from fne_cli.figures.scattered.page import render
from fne_cli.images.thumbnails import encoded, find, thumbnails
from fne_cli.progress import Progress
from fne_cli.steps.scatter.points import Points, Shown
from fne_cli.store.many.joined import JoinedFiles

if TYPE_CHECKING:
    from fne_cli.steps.scatter import Scattered, ScatterOptions

SIDE, PICTURES = 64, 2000  # pixels; pictures on a page if nobody says otherwise
_TOGETHER = 256  # pictures in memory as pixels

_METHODS = {"pca": "the first two principal components", "tsne": "t-SNE", "umap": "UMAP"}


def write_page(
    path: Path,
    points: Points,
    order: np.ndarray,
    facts: Sequence[tuple[str, str]],
    files: JoinedFiles,
    options: ScatterOptions,
    done: Scattered,
    progress: Progress,
) -> int:
    """Write the page; order: numbers of the images as they were drawn. Returns how many pictures it has."""
    shown = points.shown
    pictures = dict(_pictures(shown, order, files, options, progress))
    part = f"{done.images:,} images" if done.images == done.of else f"{done.images:,} of {done.of:,} images"
    lead = f"{part} as points, by {_METHODS[options.method]} of {done.embedding}. Near points are alike to the network."
    notes = []
    if options.method != "pca":
        notes.append("Distances between groups, and how large a group is, mean little here: only neighbours are kept.")
    if options.images is None:
        notes.append("Images are named but not shown. --images says where they are.")
    elif len(pictures) < done.images:
        notes.append(f"{len(pictures):,} of the images have a picture{', wrong ones first' if done.wrong else ''}.")
    if done.wrong is not None:
        judged = sum(one is not None for one in shown.right)
        facts = [*facts, ("predicted wrong", f"{done.wrong:,} of {judged:,}")]
    page = ScatterPage(
        f"Map of the images in {files.name}",
        lead,
        facts,
        notes,
        points.places,
        shown.path,
        shown.label,
        shown.split,
        shown.prediction,
        shown.predicted,
        shown.right,
        pictures,
    )
    path.write_bytes(render(page))
    return len(pictures)


def _pictures(
    shown: Shown, order: np.ndarray, files: JoinedFiles, options: ScatterOptions, progress: Progress
) -> Iterator[tuple[int, bytes]]:
    """The pictures of some images, by their places among all that are shown: wrong ones first, else as drawn.

    Raises BadInput if --images has none of them.
    """
    if options.images is None:
        return
    drawn = np.searchsorted(shown.numbers, order).tolist()
    drawn.sort(key=lambda place: shown.right[place] is not False)  # keeps the order else
    wanted = sorted(drawn[: PICTURES if options.thumbnails is None else options.thumbnails])
    settings = files.settings.get("activations", files.settings)
    resize: Literal["squash", "crop"] = "crop" if settings.get("resize") == "crop" else "squash"
    sha256 = files.images.sha256
    some, why = False, ""
    with progress.track(len(wanted), "pictures") as advance:
        found = find(options.images, [shown.path[place] for place in wanted], options.root)
        for start in range(0, len(wanted), _TOGETHER):
            places = wanted[start : start + _TOGETHER]
            digests = [sha256[int(shown.numbers[place])] for place in places]
            here = found.of(range(start, start + len(places)))
            for place, (pixels, reason) in zip(places, thumbnails(here, SIDE, resize, digests), strict=True):
                if pixels is not None:
                    some = True
                    yield place, encoded(pixels)
                else:
                    why = why or f"{shown.path[place]} {reason}"
            advance(len(places))
    if wanted and not some:
        raise BadInput(f"--images {options.images} should have the images of the file. Found: {why}.")
