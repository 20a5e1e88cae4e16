"""Which images are drawn, and for which classes."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np


@dataclass(frozen=True)
class Shown:
    """An image and a class, by number, and what decides about the order: the larger first."""

    image: int
    class_number: int
    weight: float


@dataclass
class Choice:
    """Chooses while images pass: all that fit `only`, else `per_class` of each class that are right; `wrong` ones.

    class_number: this class only, None for what an image shows and what is said of it.
    """

    only: Sequence[str]
    per_class: int
    wrong: int
    class_number: int | None
    named: list[Shown] = field(default_factory=list)
    best: dict[int, list[Shown]] = field(default_factory=dict)
    worst: list[list[Shown]] = field(default_factory=list)

    def classes(self, truth: Sequence[int], said: Sequence[int]) -> list[int]:
        """The classes that something is to be said of: what is said first, then what is true."""
        return list(dict.fromkeys([*said, *truth])) if self.class_number is None else [self.class_number]

    def add(
        self, image: int, path: str, truth: Sequence[int], said: Sequence[int], decisions: np.ndarray, known: bool
    ) -> None:
        """An image with the classes it shows and is said to show. known: whether what it shows is known."""
        if self.only:
            if any(path == name or fnmatchcase(path, name) for name in self.only):
                self.named += [Shown(image, one, 0.0) for one in self.classes(truth, said)]
        else:
            for one in said:
                if (one in truth or not known) and self.class_number in (None, one):
                    self._add_best(Shown(image, one, float(decisions[one])))
        if known and set(truth) != set(said) and (self.class_number is None or self.class_number in {*truth, *said}):
            self._add_wrong(image, truth, said, decisions)

    def _add_best(self, one: Shown) -> None:
        own = self.best.setdefault(one.class_number, [])
        own.append(one)
        own.sort(key=lambda other: -other.weight)
        del own[self.per_class :]

    def _add_wrong(self, image: int, truth: Sequence[int], said: Sequence[int], decisions: np.ndarray) -> None:
        """The classes that are said and not true, or true and not said, of which decisions are furthest off first."""
        if len(said) == 1 and len(truth) == 1:
            margin = float(decisions[said[0]] - decisions[truth[0]])
            self.worst.append([Shown(image, said[0], margin), Shown(image, truth[0], margin)])
        else:
            off = [Shown(image, one, abs(float(decisions[one]))) for one in sorted({*truth} ^ {*said})]
            self.worst.append([max(off, key=lambda one: one.weight)])
        if len(self.worst) > 4 * max(1, self.wrong):
            self.worst = self._wrongest()

    def _wrongest(self) -> list[list[Shown]]:
        return heapq.nsmallest(self.wrong, self.worst, key=lambda own: (-own[0].weight, own[0].image))

    @property
    def shown(self) -> list[Shown]:
        """What is drawn because it was named, or is right."""
        return self.named or [one for _, own in sorted(self.best.items()) for one in own]

    @property
    def wrongly(self) -> list[Shown]:
        """What is drawn because it is wrong: what was said, beside what is true."""
        return [one for own in self._wrongest() for one in own]
