"""How alike all layers of all files are, and the files as wholes: linear CKA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.transferability.alignment import aligned, dependence
from fne_cli.progress import Progress
from fne_cli.steps.rank.sources import WHOLE, Part, Source

_BATCH_BYTES = 1 << 25


@dataclass(frozen=True)
class Likeness:
    """files, names: of each member: every layer, then every file as a whole that has several layers. matrix: their CKA.

    None where nothing varies.
    """

    files: list[str]
    names: list[str]
    matrix: list[list[float | None]]


def likeness(sources: Sequence[Source], progress: Progress) -> Likeness:
    """Of sources with the same images in the same order."""
    members = [(source, Part(layer.name, (layer,))) for source in sources for layer in source.layers]
    count = len(members)
    dependences = np.zeros((count, count))
    with progress.track(count * (count + 1) // 2, "pairs of layers") as advance:
        for down in range(count):
            for across in range(down, count):
                found = dependence(_side_by_side(members[down], members[across]))
                dependences[down, across] = dependences[across, down] = found
                advance(1)
    files = np.array([number for number, source in enumerate(sources) for _ in source.layers])
    wholes = [number for number, source in enumerate(sources) if len(source.layers) > 1]
    matrix = aligned(dependences, [np.flatnonzero(files == number) for number in wholes])
    shown = [[None if np.isnan(value) else float(value) for value in row] for row in matrix]
    paths = [str(source.path) for source, _ in members] + [str(sources[number].path) for number in wholes]
    return Likeness(paths, [part.name for _, part in members] + [WHOLE] * len(wholes), shown)


def _side_by_side(first: tuple[Source, Part], second: tuple[Source, Part]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    (source, part), (other, others) = first, second
    step = max(1, _BATCH_BYTES // (8 * source.file.crops * max(part.features, others.features)))
    for start in range(0, len(source.images), step):
        stop = min(start + step, len(source.images))
        ours = np.concatenate([rows for _, rows in source.read(part, start, stop)])
        if source is other and part.layers == others.layers:
            yield ours, ours
        else:
            yield ours, np.concatenate([rows for _, rows in other.read(others, start, stop)])
