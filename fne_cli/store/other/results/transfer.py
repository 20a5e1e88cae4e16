"""What the results.json of fne transfer says, looked at before it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fne_cli.store.other.objects import Claim

_MOST = 100_000  # runs, means or differences of one file


@dataclass(frozen=True)
class Trained:
    """A network: what it was judged on, what it copied, and its accuracy, None if it could not be trained."""

    dataset: str
    network: str
    division: str
    target: str
    group: str
    treatment: str
    copied: int
    source: str
    per_class: int | None
    accuracy: float | None
    file: Path | None
    error: str


@dataclass(frozen=True)
class TreatedMean:
    """The mean accuracy of the networks that were treated in one way. group: what they were judged on."""

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
class PairedRuns:
    """The difference of two networks on the same test images, with the 95 % interval over these."""

    division: str
    target: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class TreatmentDifference:
    """A measure, such as specificity, of so many copied layers; the interval is over the pairs."""

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
    pairs: Sequence[PairedRuns]


@dataclass(frozen=True)
class Transferred:
    """An experiment of fne transfer."""

    path: Path
    name: str
    software: Mapping[str, str]
    commands: Sequence[str]
    runs: Sequence[Trained]
    means: Sequence[TreatedMean]
    differences: Sequence[TreatmentDifference]


def read_transferred(path: Path, claim: Claim) -> Transferred:
    """The experiment of a document that is whole. Raises DamagedFile."""
    for key in ("runs", "means", "differences", "commands"):
        if len(claim.listed(key)) > _MOST:
            raise claim.wrong(key, f"at most {_MOST:,} entries", claim.listed(key))
    commands = claim.listed("commands")
    if not all(isinstance(command, str) for command in commands):
        raise claim.wrong("commands", "texts", commands)
    return Transferred(
        path,
        claim.text("name", path.parent.name),
        claim.texts("software"),
        commands,
        [_run(part) for part in claim.parts("runs")],
        [_mean(part) for part in claim.parts("means")],
        [_difference(part) for part in claim.parts("differences")],
    )


def _run(part: Claim) -> Trained:
    return Trained(
        part.text("dataset"), part.text("network"), part.text("division"), part.text("target"), part.text("group"),
        part.text("treatment"), part.count("copied"), part.text("source", ""), _size(part), part.share("accuracy"),
        part.below("file"), part.text("error", ""),
    )  # fmt: skip


def _mean(part: Claim) -> TreatedMean:
    accuracy, last, best = (part.share(key) for key in ("accuracy", "last", "best"))
    if accuracy is None or last is None or best is None:
        raise part.wrong("accuracy", "a number in 0 ... 1", accuracy)
    return TreatedMean(
        part.text("dataset"), part.text("network"), part.text("group"), part.text("treatment"), part.count("copied"),
        part.text("source", ""), _size(part), accuracy, last, best, part.signed("low", 100), part.signed("high", 100),
        part.count("count"),
    )  # fmt: skip


def _difference(part: Claim) -> TreatmentDifference:
    pairs = []
    for one in part.parts("pairs"):
        values = [one.signed(key, 100) for key in ("difference", "low", "high")]
        difference, low, high = (0.0 if value is None else value for value in values)
        pairs.append(PairedRuns(one.text("division"), one.text("target"), difference, low, high))
    difference_of_all = part.signed("difference", 1)
    if difference_of_all is None:
        raise part.wrong("difference", "a number in -1 ... 1", None)
    return TreatmentDifference(
        part.text("dataset"), part.text("network"), part.text("group"), part.text("measure"), part.count("copied"),
        part.text("source", ""), _size(part), difference_of_all, part.signed("low", 100), part.signed("high", 100),
        pairs,
    )  # fmt: skip


def _size(part: Claim) -> int | None:
    return None if part.value.get("per_class") is None else part.count("per_class")
