"""What experiments of fne transfer say -> what a page shows of them."""

from __future__ import annotations

from collections.abc import Sequence

from fne_cli.figures.charted.transfer import TREATMENTS
from fne_cli.figures.experiments import TransferGap, TransferMean, TransferPanel, TransferTable
from fne_cli.store.other.results.transfer import Trained, Transferred, TreatedMean, TreatmentDifference

_Key = tuple[str, str, str, str]


def transfer_tables(experiments: Sequence[Transferred]) -> list[TransferTable]:
    """One for each of them."""
    return [_table(one) for one in experiments]


def _table(experiment: Transferred) -> TransferTable:
    keys = list(dict.fromkeys([*map(_key, experiment.means), *map(_key, experiment.differences)]))
    panels = []
    for key in sorted(keys, key=lambda one: (one[3] != "", keys.index(one))):  # those of all images come first
        means = [
            _mean(one, experiment.runs)
            for one in experiment.means
            if _key(one) == key and one.treatment in TREATMENTS
        ]  # fmt: skip
        gaps = [_gap(one) for one in experiment.differences if _key(one) == key]
        if means or gaps:
            panels.append(TransferPanel(*key, means, gaps))
    return TransferTable(experiment.name, panels, sum(one.accuracy is None for one in experiment.runs))


def _key(one: TreatedMean | TreatmentDifference) -> _Key:
    parts = [f"source {one.source}"] if one.source else []
    parts += [] if one.per_class is None else [f"{one.per_class:,} training images per class"]
    return one.dataset, one.network, one.group, ", ".join(parts)


def _mean(one: TreatedMean, runs: Sequence[Trained]) -> TransferMean:
    return TransferMean(
        one.treatment, one.copied, one.accuracy, one.last, one.best, one.low, one.high, one.count,
        [run.accuracy for run in runs if run.accuracy is not None and _is_of(run, one)],
    )  # fmt: skip


def _is_of(run: Trained, mean: TreatedMean) -> bool:
    """Whether a network is one of those of a mean."""
    same = (run.dataset, run.network, run.treatment, run.copied, run.source, run.per_class) == (
        mean.dataset, mean.network, mean.treatment, mean.copied, mean.source, mean.per_class
    )  # fmt: skip
    return same and mean.group == run.group


def _gap(one: TreatmentDifference) -> TransferGap:
    pairs = [
        (f"{pair.division}, {pair.target}", pair.difference, pair.low, pair.high) for pair in one.pairs
    ]  # fmt: skip
    low, high = one.low, one.high
    if low is None and len(pairs) == 1:
        _, _, low, high = pairs[0]
    return TransferGap(one.measure, one.copied, one.difference, low, high, len(one.pairs), pairs)
