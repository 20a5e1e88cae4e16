"""What a page about results shows, as plain values: names as they are in the files, numbers as fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fne_cli.figures.evidence import MapsView
from fne_cli.figures.experiments import FactorTable, RankAgreement, Spent, TransferTable

# By size: training images per class of a learning curve, None of any other protocol.
Size = int | None
CLOSE = 1e-9  # below it figures are the same


@dataclass(frozen=True)
class Point:
    """What one row reached: figures and their standard deviations over `trials`, by name.

    seconds: of one training and its measurement, as a run record has them, None if there is none.
    """

    figures: Mapping[str, float]
    spreads: Mapping[str, float]
    interval: tuple[float, float] | None
    trials: int
    costs: Sequence[float]
    seconds: float | None = field(default=None, metadata={"recorded": True})


@dataclass(frozen=True)
class Row:
    """An embedding (`whole`) or a single layer. made: what its features are. place: of a layer in the network.

    name: of an embedding the one that an experiment gave it, or "embedding". title: what it is called everywhere.
    """

    name: str
    made: str
    whole: bool
    place: int
    features: int
    points: Mapping[Size, Point]
    title: str


@dataclass(frozen=True)
class Difference:
    """Two rows on the same test images, the first less the second, in fractions.

    low, high: the 95 % interval of the difference by a paired bootstrap. only_first, only_second: images that one row
    alone has right; None after several trainings. p: McNemar's of them, or of the signs of several trainings.
    """

    size: Size
    first: Row
    second: Row
    value: float
    low: float
    high: float
    only_first: int | None
    only_second: int | None
    p: float
    significant: bool

    @property
    def side(self) -> str:
        """As of a verdict."""
        return ("over" if self.value > 0 else "under") if self.significant else "quiet"


@dataclass(frozen=True)
class Verdict:
    """An embedding beside the layer that is best at the same size. paired: image by image, None if not known."""

    size: Size
    row: Row
    value: float
    best: Row
    best_value: float
    paired: Difference | None = None

    @property
    def difference(self) -> float:
        """How far the embedding is above the layer, in fractions."""
        return self.value - self.best_value

    @property
    def unclear(self) -> bool:
        """Whether the difference may be luck: all that no paired test of the test images calls significant."""
        return self.paired is None or not self.paired.significant

    @property
    def side(self) -> str:
        """What the difference is shown as: "over", "under", or "quiet" if it is too small for either."""
        if self.unclear or abs(self.difference) < CLOSE:
            return "quiet"
        return "over" if self.difference > 0 else "under"


@dataclass(frozen=True)
class ClassView:
    """How a row does class by class. values: accuracy or average precision, None where there is no test image.

    confusion: (k, k) counts, rows are true classes; None with several labels per image.
    """

    row: Row
    size: Size
    values: Sequence[float | None]
    training: Sequence[int]
    test: Sequence[int]
    confusion: np.ndarray | None


@dataclass(frozen=True)
class Confusion:
    """Classes that are taken for others: `chosen` of all of them, and two orders of these.

    pairs: (true, predicted, images, share of the true class) of the first view, the most frequent first.
    """

    chosen: Sequence[int]
    alike: Sequence[int]
    pairs: Sequence[tuple[int, int, int, float]]


@dataclass(frozen=True)
class Wrong:
    """An image that is confidently wrong: decision values of its truth and of what was said instead.

    image: a JPEG file, None if there is none to show, for the reason `why`.
    """

    path: str
    truth: str
    said: str
    margin: float
    image: bytes | None
    why: str


@dataclass(frozen=True)
class Group:
    """Rows that were measured on the same images by the same protocol, with one network.

    facts: what was run. sizes: ascending; (None,) without a learning curve. figure: the name of the one that counts.
    chosen: whether each C, or whatever `cost_name` calls it, is one of several. differences: of every embedding and the
    first one, and of every embedding and the best layer, where their test images are known.
    """

    dataset: str
    network: str
    pooling: str
    protocol: str
    facts: Sequence[tuple[str, str]]
    figure: str
    sizes: Sequence[Size]
    rows: Sequence[Row]
    verdicts: Sequence[Verdict]
    classes: Sequence[str]
    views: Sequence[ClassView]
    confusion: Confusion | None
    chosen: bool = False
    cost_name: str = "C"
    wrong: Sequence[Wrong] = ()
    wrong_of: str = ""
    notes: Sequence[str] = ()
    differences: Sequence[Difference] = ()

    def best_layer(self, size: Size) -> Row | None:
        """The best single layer at a size."""
        return best_layer(self.rows, size, self.figure)

    def best_at(self, row: Row) -> list[Size]:
        """The sizes at which a layer is the best one."""
        return [size for size in self.sizes if self.best_layer(size) is row]

    def best_title(self) -> str:
        """What the line of the best layers of a learning curve is called: "" without any, one name if it is one."""
        names = dict.fromkeys(row.name for size in self.sizes if (row := self.best_layer(size)) is not None)
        return "" if not names else "best layer at each size" if len(names) > 1 else f"{next(iter(names))}, best layer"


def best_layer(rows: Sequence[Row], size: Size, figure: str) -> Row | None:
    """The single layer with the best figure at a size, the first of equals: what "best layer" means everywhere.

    Another size may have another one. None where no layer was measured.
    """
    known = [row for row in rows if not row.whole and size in row.points and figure in row.points[size].figures]
    return max(known, key=lambda row: row.points[size].figures[figure], default=None)


@dataclass(frozen=True)
class NetworkDifference:
    """The same embedding, or the best layer, of two networks on the same test images. networks: what each is called."""

    dataset: str
    protocol: str
    name: str
    networks: tuple[str, str]
    difference: Difference


@dataclass(frozen=True)
class Bad:
    """An image without features, and why."""

    file: str
    path: str
    status: str
    message: str


@dataclass(frozen=True)
class Timing:
    """How long an output took, as its run record says. images: 0 if they were not counted."""

    output: str
    started: str
    seconds: float
    images: int
    device: str


@dataclass(frozen=True)
class Page:
    """Everything. failed: (cell, message) of an experiment. bad_unlisted: how many there are beyond those in `bad`.

    untimed: the outputs that have no timing.
    """

    title: str
    groups: Sequence[Group]
    failed: Sequence[tuple[str, str]] = ()
    bad: Sequence[Bad] = ()
    bad_unlisted: int = 0
    bad_known: bool = False
    timings: Sequence[Timing] = ()
    untimed: Sequence[str] = ()
    commands: Sequence[str] = ()
    software: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    factors: Sequence[FactorTable] = ()
    agreement: Sequence[RankAgreement] = ()
    costs: Sequence[Spent] = ()
    transfers: Sequence[TransferTable] = ()
    networks: Sequence[NetworkDifference] = ()
    maps: Sequence[MapsView] = ()
