"""Goes through the images of a file: what each shows, what is said of it, and which cells say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.images.lists.annotated.annotations import Objects
from fne_cli.numerics.localization import places
from fne_cli.steps.map.chosen import Choice, Shown
from fne_cli.steps.map.located import Located
from fne_cli.steps.map.measured import Found, Tally, found
from fne_cli.steps.map.pictures import Pictures
from fne_cli.store.format.reader import Reader
from fne_cli.store.many.gather import gathered
from fne_cli.store.other.cells import as_cell

COLUMNS = (
    "path", "class", "truth", "prediction", "decision", "intercept", "without_place", "peak", "peak_x", "peak_y",
    "x0", "y0", "x1", "y1", "hit", "overlap",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What determines what is drawn and measured, as fne map describes the options of these names."""

    rows: str
    class_name: str | None
    only: Sequence[str]
    per_class: int
    wrong: int


class Work:
    """Goes through the images, and then through those that are drawn."""

    def __init__(
        self,
        source: Reader,
        located: Located,
        options: Options,
        numbers: np.ndarray,
        objects: Mapping[int, Objects] | None,
        pictures: Pictures,
    ) -> None:
        self.images, self.located, self.numbers = source.images, located, numbers
        self.objects, self.pictures = objects, pictures
        self.classes = located.classifier.classes
        self._place = {name: number for number, name in enumerate(self.classes)}
        only = None if options.class_name is None else self._place[options.class_name]
        self.choice = Choice(options.only, options.per_class, options.wrong, only)
        self.tally = Tally(self.classes)
        self.wrong = self.missing = 0

    def lines(self, advance: Callable[[int], object]) -> Iterator[tuple[Any, ...]]:
        """A line of the table for each image and class that something is said of."""
        known = len(self.images.classes) > 0
        for span, rows in gathered(self.located.layers, 1, self.numbers):
            decisions = self.located.decisions(rows)
            for row, own, number in zip(rows, decisions, self.numbers[span].tolist(), strict=True):
                truth, said = self.truth(number), self._said(own)
                labelled = known and bool(truth or self.images.label.ndim == 2)
                self.wrong += labelled and set(truth) != set(said)
                self.choice.add(number, self.images.path[number], truth, said, own, labelled)
                yield from self._lines(number, row, truth, said)
                advance(1)

    def truth(self, number: int) -> list[int]:
        """The classes that an image shows, of those that the classifier knows."""
        label = self.images.label[number]
        own = [int(label)] if np.ndim(label) == 0 else np.flatnonzero(label == 1).tolist()
        names = [self.images.classes[one] for one in own if one >= 0]
        return [self._place[name] for name in names if name in self._place]

    def _said(self, decisions: np.ndarray) -> list[int]:
        if self.located.classifier.several:
            return np.flatnonzero(decisions > 0).tolist()
        return [int(decisions.argmax())]

    def _lines(self, number: int, row: np.ndarray, truth: list[int], said: list[int]) -> Iterator[tuple[Any, ...]]:
        objects = None if self.objects is None else self.objects.get(number)
        annotated = [] if objects is None else [self._place[n] for n in objects.classes if n in self._place]
        wanted = self.choice.classes(truth, said)
        if self.choice.class_number is None:
            wanted = list(dict.fromkeys([*wanted, *sorted(annotated)]))
        part = self.pictures.part(number)
        self.missing += part is None
        for one in wanted:
            evidence = self.located.evidence(row, one)
            at, box = places.peak(evidence.map), places.box(evidence.map)
            where: list[Any] = [""] * 8
            if part is not None:
                peak = places.within(at, part)
                corners = None if box is None else places.within(box, part)
                where[:2] = peak.tolist()
                where[2:6] = [""] * 4 if corners is None else corners.tolist()
                if objects is not None and (measured := self._measured(one, objects, peak, corners, part)):
                    where[6:] = [int(measured.hit), measured.overlap]
            names = (self.images.path[number], self.classes[one], self._named(truth), self._named(said))
            numbers = (evidence.decision, evidence.intercept, evidence.without_place, float(evidence.map.max()))
            yield (*(as_cell(name) for name in names), *numbers, *where)

    def _measured(
        self, one: int, objects: Objects, peak: np.ndarray, box: np.ndarray | None, part: tuple[float, ...]
    ) -> Found | None:
        """Of images that show the class in an object that is not difficult."""
        boxes, difficult = objects.of(self.classes[one])
        if not len(boxes) or difficult.all():
            return None
        measured = found(peak, box, boxes[~difficult], part)  # type: ignore[arg-type]  # four numbers
        self.tally.add(one, measured)
        return measured

    def _named(self, numbers: list[int]) -> str:
        return ";".join(self.classes[number] for number in numbers)

    def described(self, shown: Sequence[Shown]) -> list[dict[str, Any]]:
        """The maps of what is drawn, for JSON."""
        entries = []
        for one in shown:
            evidence = self.located.evidence(self.located.row(one.image), one.class_number)
            entries.append(
                {
                    "path": self.images.path[one.image],
                    "class": self.classes[one.class_number],
                    "truth": [self.classes[number] for number in self.truth(one.image)],
                    "prediction": [self.classes[n] for n in self._said_of(one.image)],
                    "decision": evidence.decision,
                    "intercept": evidence.intercept,
                    "without_place": evidence.without_place,
                    "map": evidence.map.tolist(),
                }
            )
        return entries

    def _said_of(self, number: int) -> list[int]:
        return self._said(self.located.decisions(self.located.row(number)[None])[0])
