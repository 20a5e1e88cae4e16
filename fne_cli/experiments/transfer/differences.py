"""What co-adaptation, specificity and transfer come to: differences of runs in pairs, and means of runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.experiments.transfer.config import BASE, RANDOM
from fne_cli.experiments.transfer.plan import Run, is_random
from fne_cli.numerics.evaluation.intervals import of_mean
from fne_cli.numerics.evaluation.paired import mcnemar

HALVES = "random halves"
"""All random divisions together."""

MEASURES = {
    "co-adaptation": (BASE, "BnB"),
    "specificity": ("BnB", "AnB"),
    "transfer gain": ("AnB+", "BnB+"),
    "random features": (BASE, RANDOM),
    "gain over scratch": ("AnB+", BASE),
    "frozen against scratch": ("AnB", BASE),
}
"""What is taken from what. The first four as in METHOD: what is lost because layers had learned together, because they
are of other classes, gained by starting from others, and lost where nothing was learned."""

_KEYS = {
    what: ("dataset", "network", "group", what, "copied", "source", "per_class") for what in ("treatment", "measure")
}


@dataclass(frozen=True)
class Measured:
    """A run and what came of it, in fractions of the test images.

    accuracy: of the epoch with the best validation accuracy; last: of the last epoch; best: the mean of the `best_of`
    best epochs by the test images themselves. right: which test images are, (images,) bool.
    """

    run: Run
    accuracy: float
    last: float
    best: float
    best_of: int
    validation: float
    epoch: int
    epochs: int
    images: Mapping[str, int]
    weights_sha256: str
    right: np.ndarray


@dataclass(frozen=True)
class Mean:
    """The mean accuracy of the runs of a treatment."""

    dataset: str
    network: str
    group: str
    treatment: str
    copied: int
    source: str
    per_class: int | None
    accuracy: float
    last: float
    best: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Pair:
    """The difference of two runs on the same test images, and its interval over these images."""

    division: str
    target: str
    seed: int
    difference: float
    low: float
    high: float
    p: float
    last: float
    best: float


@dataclass(frozen=True)
class Difference:
    """A measure at a number of copied layers: the mean over pairs of runs, and its 95 % interval over the pairs.

    low, high: None of a single pair. last, best: the same mean of the other two accuracies.
    """

    dataset: str
    network: str
    group: str
    measure: str
    copied: int
    source: str
    per_class: int | None
    difference: float
    low: float | None
    high: float | None
    last: float
    best: float
    pairs: Sequence[Pair]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "pairs": [vars(pair) for pair in self.pairs]}


def group_of(run: Run) -> str:
    """Random halves are one group; a division of the file is its own, by the classes that are judged."""
    if is_random(run.division):
        return HALVES
    return f"{run.division}, {run.target}"


def means(measured: Sequence[Measured]) -> list[Mean]:
    """Of all runs of a group that are treated in the same way; the interval is over runs, None of a single one."""
    found = []
    for key, members in _grouped(measured).items():
        low, high = of_mean([one.accuracy for one in members])
        accuracy, last, best = (
            float(np.mean([getattr(one, name) for one in members])) for name in ("accuracy", "last", "best")
        )
        named = dict(zip(_KEYS["treatment"], key, strict=True))
        found.append(Mean(**named, accuracy=accuracy, last=last, best=best, low=low, high=high, count=len(members)))
    return found


def _grouped(measured: Sequence[Measured]) -> dict[tuple[Any, ...], list[Measured]]:
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    for one in measured:
        run = one.run
        key = (
            run.dataset, run.network, group_of(run), run.treatment, run.copied, run.source, run.per_class
        )  # fmt: skip
        groups.setdefault(key, []).append(one)
    return groups


def differences(measured: Sequence[Measured]) -> list[Difference]:
    """All measures, and of other sources what they change."""
    by_pair: dict[tuple[Any, ...], list[Measured]] = {}
    for one in measured:
        by_pair.setdefault(one.run.pair, []).append(one)
    pairs: dict[tuple[Any, ...], list[Pair]] = {}
    for members in by_pair.values():
        for measure, first, second in _compared(members):
            run = first.run
            copied, source = max(run.copied, second.run.copied), run.source or second.run.source
            key = (run.dataset, run.network, group_of(run), measure, copied, source, run.per_class)
            pairs.setdefault(key, []).append(_pair(first, second))
    return [_difference(key, own) for key, own in pairs.items()]


def _compared(members: Sequence[Measured]) -> Iterator[tuple[str, Measured, Measured]]:
    """(measure, first, second) of the runs of one half, in the order of the measures and of the copied layers."""
    table = {(one.run.treatment, one.run.copied, one.run.source): one for one in members}
    copied = sorted({one.run.copied for one in members} - {0})
    sources = list(dict.fromkeys(one.run.source for one in members))

    def of(treatment: str, count: int, source: str) -> Measured | None:
        if treatment != BASE:
            return table.get((treatment, count, source))
        return table.get((BASE, 0, source)) or table.get((BASE, 0, ""))  # its own, where it has other layers

    for source in sources:
        for measure, (one, other) in MEASURES.items():
            for count in copied:
                first, second = of(one, count, source), of(other, count, source)
                if first is not None and second is not None:
                    yield measure, first, second
        if source:
            for treatment in ("AnB", "AnB+"):
                for count in copied:
                    first, second = of(treatment, count, source), of(treatment, count, "")
                    if first is not None and second is not None:
                        yield f"source, {treatment}", first, second


def _pair(first: Measured, second: Measured) -> Pair:
    """Over images: the normal interval of a mean of -1, 0 and 1, and McNemar's exact p."""
    values = first.right.astype(np.int8) - second.right.astype(np.int8)
    middle, count = float(values.mean()), len(values)
    half = 1.959963984540054 * math.sqrt(float(values.var()) / count)
    p = mcnemar(int((values > 0).sum()), int((values < 0).sum()))
    run = first.run
    return Pair(
        run.division, run.target, run.seed, middle, middle - half, middle + half, p,
        first.last - second.last, first.best - second.best,
    )  # fmt: skip


def _difference(key: tuple[Any, ...], pairs: Sequence[Pair]) -> Difference:
    values = [pair.difference for pair in pairs]
    low, high = of_mean(values)
    middle, last, best = (
        float(np.mean([getattr(pair, name) for pair in pairs])) for name in ("difference", "last", "best")
    )
    named = dict(zip(_KEYS["measure"], key, strict=True))
    return Difference(**named, difference=middle, low=low, high=high, last=last, best=best, pairs=pairs)
