"""What a page shows of whole experiments, as plain values: factors, rankings, transfer; numbers are fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FactorEffect:
    """A value of a factor less the standard one, in fractions: mean and spread over `pairs` of settings."""

    dataset: str
    factor: str
    value: str
    standard: str
    mean: float
    difference: float
    spread: float | None
    pairs: int


@dataclass(frozen=True)
class FactorGain:
    """The standard and the best setting of a dataset on its test images, in fractions; None for what is not known.

    equal: how many settings are as good as the best, itself among them. setting: what the best one has that the
    standard has not. drop: the last layer below the best one.
    """

    dataset: str
    settings: int
    equal: int
    standard: float | None
    optimised: float | None
    setting: Sequence[tuple[str, str]]
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    significant: bool | None
    error_reduction: float | None
    drop: float | None
    evidence: float | None

    @property
    def side(self) -> str:
        """As of a verdict."""
        if not self.significant or self.difference is None:
            return "quiet"
        return "over" if self.difference > 0 else "under"


@dataclass(frozen=True)
class FactorTable:
    """What an experiment with factors found. names: of the factors, in their order."""

    experiment: str
    names: Sequence[str]
    standard: Sequence[tuple[str, str]]
    settings: int
    missing: int
    gains: Sequence[FactorGain]
    effects: Sequence[FactorEffect]


@dataclass(frozen=True)
class RankAgreement:
    """Weighted Kendall's tau of the figures of fne rank with what was measured, over `count` layers or sources."""

    where: str
    of: str
    count: int
    taus: Mapping[str, float | None]


@dataclass(frozen=True)
class TransferMean:
    """Networks that were treated in one way: mean accuracy, its 95 % interval over the runs, and each of them."""

    treatment: str
    copied: int
    value: float
    last: float
    best: float
    low: float | None
    high: float | None
    count: int
    singles: Sequence[float]


@dataclass(frozen=True)
class TransferGap:
    """A measure of so many copied layers: mean over pairs of runs, and its 95 % interval over these.

    Of a single pair it is over test images. pairs: what each compares, the difference and its interval over test
    images.
    """

    measure: str
    copied: int
    value: float
    low: float | None
    high: float | None
    count: int
    pairs: Sequence[tuple[str, float, float, float]]


@dataclass(frozen=True)
class TransferPanel:
    """All that was judged on the same classes. group: which these are. variant: few images, or another source."""

    dataset: str
    network: str
    group: str
    variant: str
    means: Sequence[TransferMean]
    gaps: Sequence[TransferGap]


@dataclass(frozen=True)
class TransferTable:
    """What an experiment of fne transfer found. missing: networks that could not be trained."""

    experiment: str
    panels: Sequence[TransferPanel]
    missing: int


@dataclass(frozen=True)
class Spent:
    """What an embedding or a tuning took, seconds and joules, at a number of training images per class if any."""

    where: str
    name: str
    per_class: int | None
    figure: float | None
    seconds: float
    once: float | None
    joules: float | None
