"""What experiments say of their factors and of their ranking -> what a page shows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fne_cli.figures.experiments import FactorEffect, FactorGain, FactorTable, RankAgreement, Spent
from fne_cli.store.other.results import Experiment
from fne_cli.store.other.results.factors import Gain, Varied


def factor_tables(experiments: Sequence[Experiment]) -> list[FactorTable]:
    """One for each experiment that varies factors."""
    return [_table(each.name, each.factors) for each in experiments if each.factors is not None]


def agreements(experiments: Sequence[Experiment]) -> list[RankAgreement]:
    """All that the experiments say."""
    return [RankAgreement(one.where, one.of, one.count, one.taus) for each in experiments for one in each.agreement]


def costs(experiments: Sequence[Experiment]) -> list[Spent]:
    """What the rows of the experiments took, of those that say it."""
    return [
        Spent(one.where, one.name, one.per_class, one.figure, one.seconds, one.once, one.joules)
        for each in experiments
        for one in each.costs
    ]


def _table(name: str, varied: Varied) -> FactorTable:
    standard = next((gain.standard.setting for gain in varied.gains if gain.standard is not None), {})
    effects = [
        FactorEffect(
            one.dataset, one.factor, one.value, one.standard, one.mean, one.difference, one.spread, one.pairs
        )
        for one in varied.effects
    ]  # fmt: skip
    gains = [_gain(gain) for gain in varied.gains]
    return FactorTable(name, varied.names, _said(standard), varied.settings, varied.missing, gains, effects)


def _gain(gain: Gain) -> FactorGain:
    first: Mapping[str, str] = {} if gain.standard is None else gain.standard.setting
    best: Mapping[str, str] = {} if gain.optimised is None else gain.optimised.setting
    low, high = gain.interval or (None, None)
    return FactorGain(
        gain.dataset,
        gain.settings,
        gain.equal,
        None if gain.standard is None else gain.standard.test,
        None if gain.optimised is None else gain.optimised.test,
        [(factor, value) for factor, value in _said(best) if first.get(factor) != value],
        gain.difference,
        low,
        high,
        gain.p,
        gain.significant,
        gain.error_reduction,
        gain.drop,
        gain.evidence,
    )


def _said(setting: Mapping[str, str]) -> list[tuple[str, str]]:
    """The factors that make a difference, and their values."""
    return [(factor, value) for factor, value in setting.items() if value not in ("-", "")]
