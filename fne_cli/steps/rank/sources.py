"""A file as a source of features: the rows of its training images, layer by layer, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.store.many.gather import JoinedLayer, gathered
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.pooled import Layer, averaged
from fne_cli.unprintable import plain

WHOLE = "all layers"
_BATCH_BYTES = 1 << 25  # of float64 rows


@dataclass(frozen=True)
class Part:
    """Some layers side by side, under a name."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def features(self) -> int:
        """Number of columns."""
        return sum(layer.features for layer in self.layers)


class Source:
    """The good, labelled images of some rows of a file. labels: of each of their rows, from 0, (count,) int64.

    Only classes that have images count. pool: avg for the averages over maps, of a file that has those over cells.
    """

    def __init__(self, file: JoinedFiles, layers: Sequence[str], rows: str | None, pool: str | None = None) -> None:
        self.file, self.path, self.name = file, file.paths[0], file.name
        stored = [JoinedLayer(file, name) for name in layers]
        self.layers: list[Layer] = list(stored) if pool is None else [averaged(layer) for layer in stored]
        self.rows, chosen = file.chosen(rows)
        label = file.column("label", 0, len(file))
        if label.ndim != 1:
            raise BadInput(f"{self.name} should have one label per image. Found: several. fne rank compares classes.")
        self.images = np.flatnonzero(chosen & (label >= 0))
        known, labels = np.unique(label[self.images], return_inverse=True)
        if len(known) < 2:
            raise BadInput(
                f"{self.name} should have good, labelled images of at least two classes among the rows {self.rows!r}. "
                f"Found: {len(self.images):,} of {len(known)}."
            )
        self.names = [file.classes[number] for number in known.tolist()]
        self.classes = len(known)
        self.labels = np.repeat(labels.astype(np.int64), file.crops)

    @property
    def count(self) -> int:
        """Number of rows: crops of images."""
        return len(self.labels)

    @property
    def network(self) -> str:
        """The name of the network."""
        made = self.file.settings.get("activations", self.file.settings)
        return str(made.get("network", "")) if isinstance(made, dict) else ""

    @cached_property
    def ids(self) -> list[tuple[str, str]]:
        """Of each image its id and the class."""
        path = self.file.images.path
        of = self.labels[:: self.file.crops].tolist()
        return [(path[place], self.names[label]) for place, label in zip(self.images.tolist(), of, strict=True)]

    def parts(self) -> list[Part]:
        """All layers, if there are several, and each alone."""
        alone = [Part(layer.name, (layer,)) for layer in self.layers]
        return alone if len(alone) == 1 else [Part(WHOLE, tuple(self.layers)), *alone]

    def batches(self, part: Part) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows, (rows, features of the part), with the places where they stand. Raises DamagedFile."""
        step = max(1, _BATCH_BYTES // (8 * part.features * self.file.crops))
        for start in range(0, len(self.images), step):
            yield from self.read(part, start, min(start + step, len(self.images)))

    def read(self, part: Part, start: int, stop: int) -> Iterator[tuple[slice, np.ndarray]]:
        """The rows of images start ... stop - 1, in one batch or more; they are finite. Raises DamagedFile."""
        crops = self.file.crops
        for span, rows in gathered(part.layers, crops, self.images[start:stop]):
            if not np.isfinite(rows).all():
                row = span.start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
                path = self.file.images.path[int(self.images[start + row // crops])]
                raise DamagedFile(
                    f"{self.name} should have finite features. Found: infinity or not a number in those of "
                    f"{plain(path)}.\nfne verify lists all such rows of a file."
                )
            yield slice(start * crops + span.start, start * crops + span.stop), rows


def check_same_task(sources: Sequence[Source], alike: bool) -> None:
    """Raises WrongFile unless all files have the same training images and classes; BadInput for a file given twice.

    alike: whether their rows are to be compared one by one, so that crops must agree, too.
    """
    first = sources[0]
    for place, other in enumerate(sources[1:], 1):
        if any(other.path.resolve() == one.path.resolve() for one in sources[:place]):
            raise BadInput(f"Every FILE should be another one. Found: {other.path} twice.")
        same_crops = not alike or other.file.crops == first.file.crops
        if other.rows != first.rows or other.ids != first.ids or not same_crops:
            what = _difference(first, other)
            shards = other.file.absent and first.file.absent
            way = "Make one file of the shards: fne merge." if shards else "Rank them one by one."
            raise WrongFile(
                f"{other.name} should have the training images of {first.name}, in their order: figures of other "
                f"images or classes cannot be compared. Found: {what}.\n{way}"
            )


def _difference(first: Source, other: Source) -> str:
    if other.rows != first.rows:
        return f"the rows {other.rows!r} instead of {first.rows!r}"
    if len(other.images) != len(first.images):
        return f"{len(other.images):,} instead of {len(first.images):,}"
    for (ours, our_class), (theirs, their_class) in zip(first.ids, other.ids, strict=True):
        if ours != theirs:
            return f"{plain(theirs)} instead of {plain(ours)}"
        if our_class != their_class:
            return f"{plain(theirs)} of class {plain(their_class)} instead of {plain(our_class)}"
    return f"{other.file.crops} crops instead of {first.file.crops}"
