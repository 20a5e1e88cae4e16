"""What results.json says of the factors of an experiment, and of its ranking, looked at before it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fne_cli.measures import RANK_MEASURES
from fne_cli.store.other.objects import Claim

_MOST = 10_000  # effects, or lines, of one file


@dataclass(frozen=True)
class Optimised:
    """A setting: the values of the factors as texts, and its figures, held out and on test images."""

    setting: Mapping[str, str]
    embedding: str
    held_out: float | None
    test: float | None


@dataclass(frozen=True)
class Gain:
    """The standard and the best setting of a dataset; fractions, None for what is not known.

    equal: how many settings are as good as the best, itself among them. drop: how far the last layer of the first
    network is below the best one. evidence: of all its layers.
    """

    dataset: str
    settings: int
    equal: int
    standard: Optimised | None
    optimised: Optimised | None
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None
    significant: bool | None
    error_reduction: float | None
    drop: float | None
    evidence: float | None


@dataclass(frozen=True)
class Effect:
    """A value of a factor less the standard one, over `pairs` of settings that differ in nothing else."""

    dataset: str
    factor: str
    value: str
    standard: str
    mean: float
    difference: float
    spread: float | None
    pairs: int


@dataclass(frozen=True)
class Agreement:
    """Weighted Kendall's tau of figures of fne rank with what was measured, over `count` layers or sources."""

    where: str
    of: str
    count: int
    taus: Mapping[str, float | None]


@dataclass(frozen=True)
class Varied:
    """names: of the factors. gains: in the order of the datasets' distance from the source."""

    names: Sequence[str]
    settings: int
    missing: int
    gains: Sequence[Gain]
    effects: Sequence[Effect]


def read_factors(claim: Claim) -> Varied | None:
    """What the file says of factors, None if it does not vary any. Raises DamagedFile."""
    if "factors" not in claim.value:
        return None
    part = Claim(claim.path, "factors", claim.value["factors"])
    names = _texts(part, "names")
    gains = [_gain(one, names) for one in part.parts("datasets")]
    effects = [_effect(one) for one in part.parts("effects")]
    if max(len(names), len(gains), len(effects)) > _MOST:
        raise part.wrong("effects", f"at most {_MOST:,} effects", part.value["effects"])
    return Varied(names, part.count("settings"), part.count("missing"), gains, effects)


def read_agreement(claim: Claim) -> list[Agreement]:
    """How a ranking agrees with what was measured, [] without one. Raises DamagedFile."""
    found = []
    for part in claim.parts("agreement"):
        keys = ("dataset", "network", "pooling", "embedding", "protocol")
        where = [text for key in keys if (text := part.text(key, ""))]
        if part.value.get("per_class") is not None:
            where.append(f"{part.count('per_class')} per class")
        taus = {measure: part.signed(measure) for measure in RANK_MEASURES}
        found.append(Agreement(", ".join(where), part.text("of"), part.count("count"), taus))
    return found[:_MOST]


def _gain(part: Claim, names: Sequence[str]) -> Gain:
    interval = part.value.get("difference_95")
    ends = None
    if interval is not None:
        if not isinstance(interval, list) or len(interval) != 2:
            raise part.wrong("difference_95", "two numbers", interval)
        low, high = (Claim(part.path, part.place, {"difference_95": end}).signed("difference_95") for end in interval)
        ends = None if low is None or high is None else (low, high)
    significant = part.value.get("significant")
    if significant is not None and not isinstance(significant, bool):
        raise part.wrong("significant", "true or false", significant)
    return Gain(
        part.text("dataset"),
        part.count("settings"),
        part.count("equal"),
        _optimised(part, "standard", names),
        _optimised(part, "optimised", names),
        part.signed("difference"),
        ends,
        part.share("mcnemar_p"),
        significant,
        part.signed("error_reduction", 1e6),
        part.share("drop"),
        part.signed("evidence", 1e9),
    )


def _optimised(part: Claim, key: str, names: Sequence[str]) -> Optimised | None:
    if part.value.get(key) is None:
        return None
    own = Claim(part.path, f"{part.place}.{key}", part.value[key])
    setting = own.texts("setting")
    return Optimised(
        {name: setting.get(name, "") for name in names},
        own.text("embedding", ""),
        own.share("held_out"),
        own.share("test"),
    )


def _effect(part: Claim) -> Effect:
    difference, mean = part.signed("difference"), part.share("mean")
    if difference is None or mean is None:
        raise part.wrong("difference", "a number", difference)
    return Effect(
        part.text("dataset"), part.text("factor"), part.text("value"), part.text("standard"), mean, difference,
        part.signed("difference_std", 2), part.count("pairs"),
    )  # fmt: skip


def _texts(part: Claim, key: str) -> list[str]:
    found = part.listed(key)
    if not all(isinstance(text, str) for text in found):
        raise part.wrong(key, "texts", found)
    return found
