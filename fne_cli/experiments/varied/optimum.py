"""Which setting of the factors is best on images held out, what that gains on test images, what each factor does."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import DamagedFile, FneError
from fne_cli.experiments.plan import LAYERS, Cell, Plan, Tried
from fne_cli.experiments.varied.factors import Factors, told
from fne_cli.experiments.varied.grid import is_standard, test_of
from fne_cli.experiments.written.config import FACTORS, FIGURES, Experiment
from fne_cli.store.other import results as stored
from fne_cli.store.other.cells import as_cell
from fne_cli.store.other.results.entries import Entry
from fne_cli.store.other.results.tested import same_images

NETWORK = "network"
_DIGITS = 12  # beyond them two scores that are equal may differ by rounding


@dataclass(frozen=True)
class Scored:
    """A setting, and its figure on the images held out: mean per-class accuracy or mean average precision."""

    tried: Tried
    score: float

    def value(self, factor: str) -> str:
        """Of a factor, the network among them, as a person reads it."""
        return self.tried.cell.network if factor == NETWORK else self.tried.setting.told(factor)


def scored(plan: Plan, failed: Mapping[Path, Any]) -> list[Scored]:
    """The settings that were measured, in the order of the plan. Raises DamagedFile."""
    found = []
    for one in plan.tried:
        path = one.cell.job.output
        if path in failed:
            continue
        figure = _figure(_entry(path))
        if figure is not None:
            found.append(Scored(one, figure))
    return found


def best(found: Sequence[Scored]) -> dict[str, Tried]:
    """Of each dataset the setting with the best score; of equal ones the first, which is nearest to the standard."""
    chosen: dict[str, Scored] = {}
    for one in found:
        dataset = one.tried.cell.dataset
        if dataset not in chosen or round(one.score, _DIGITS) > round(chosen[dataset].score, _DIGITS):
            chosen[dataset] = one
    return {dataset: one.tried for dataset, one in chosen.items()}


def summary(
    experiment: Experiment, factors: Factors, plan: Plan, failed: Mapping[Path, Any], ranks: Mapping[Path, float]
) -> dict[str, Any]:
    """What results.json says of the factors. ranks: the evidence of all layers, by activations."""
    found = scored(plan, failed)
    names = [NETWORK, *FACTORS]
    chosen = best(found)
    gains = [
        _gain(
            experiment, factors, plan, [one for one in found if one.tried.cell.dataset == dataset], tried, failed, ranks
        )
        for dataset, tried in chosen.items()
    ]
    gains.sort(key=lambda one: (one["drop"] is None, one["drop"] or 0.0))
    effects = [
        effect
        for dataset in chosen
        for effect in _effects([one for one in found if one.tried.cell.dataset == dataset], factors, experiment)
    ]
    return {
        "names": names,
        "settings": len(found),
        "missing": len(plan.tried) - len(found),
        "datasets": gains,
        "effects": effects,
    }


def _gain(
    experiment: Experiment,
    factors: Factors,
    plan: Plan,
    found: Sequence[Scored],
    chosen: Tried,
    failed: Mapping[Path, Any],
    ranks: Mapping[Path, float],
) -> dict[str, Any]:
    """The standard against the best setting of a dataset."""
    standard = next((one for one in found if is_standard(experiment, factors, one.tried)), None)
    optimised = next(one for one in found if one.tried is chosen)
    equal = sum(round(one.score, _DIGITS) == round(optimised.score, _DIGITS) for one in found)
    row: dict[str, Any] = {"dataset": chosen.cell.dataset, "settings": len(found), "equal": equal}
    row |= _distance(plan, chosen, failed)
    row["evidence"] = None if standard is None else ranks.get(standard.tried.cell.activations)
    entries = []
    for name, one in (("standard", standard), ("optimised", optimised)):
        cell = None if one is None else test_of(plan, factors, one.tried)
        entry = None if cell is None or cell.job.output in failed else _entry(cell.job.output)
        entries.append(entry)
        row[name] = None if one is None else {
            "setting": {factor: one.value(factor) for factor in (NETWORK, *FACTORS)},
            "embedding": one.tried.setting.embedding,
            "held_out": one.score,
            "test": None if entry is None else _figure(entry),
        }  # fmt: skip
    return row | _difference(*entries)


def _difference(standard: Entry | None, optimised: Entry | None) -> dict[str, Any]:
    """Of the optimised less the standard on the test images, {} if that is not known."""
    if standard is None or optimised is None:
        return {}
    figure = next((key for key in FIGURES if key in standard.figures and key in optimised.figures), None)
    if figure is None:
        return {}
    before, after = standard.figures[figure], optimised.figures[figure]
    row: dict[str, Any] = {"figure": figure, "difference": after - before}
    row["error_reduction"] = (after - before) / (1 - before) if before < 1 else None
    if standard.right is not None and optimised.right is not None and same_images(optimised.right, standard.right):
        from fne_cli.numerics.evaluation import paired  # brings SciPy

        test = paired.compared(optimised.right.right, standard.right.right, optimised.right.of.truth)
        row |= {
            "difference_95": [test.low, test.high],
            "mcnemar_p": None if test.only_first is None else test.p,
            "significant": test.significant,
        }
    return row


def _distance(plan: Plan, chosen: Tried, failed: Mapping[Path, Any]) -> dict[str, Any]:
    """How far the last layer of the first network is below its best one, on the images held out: None if unknown."""
    cell = _layers_of(plan, chosen.cell.dataset)
    if cell is None or cell.job.output in failed:
        return {"drop": None}
    entries = _results(cell.job.output).entries
    values = [_figure(entry) or 0.0 for entry in entries]
    top = max(range(len(values)), key=lambda place: values[place])
    return {"drop": values[top] - values[-1], "best_layer": entries[top].name, "last_layer": entries[-1].name}


def _layers_of(plan: Plan, dataset: str) -> Cell | None:
    """The single layers of the first network."""
    return next((cell for cell in plan.cells if cell.dataset == dataset and cell.embedding == LAYERS), None)


def _effects(found: Sequence[Scored], factors: Factors, experiment: Experiment) -> Iterator[dict[str, Any]]:
    """Of each value of each factor: its score less that of the standard value, over all other settings that have both.

    Means and standard deviations (n - 1) over pairs of settings that differ in this factor alone.
    """
    scores = {_key(one): one for one in found}
    standard: dict[str, Any] = {factor: values[0] for factor, values in factors.values.items()}
    standard[NETWORK] = next(iter(experiment.named["networks"]))
    values: dict[str, Sequence[Any]] = {NETWORK: list(experiment.named["networks"]), **factors.values}
    for factor in (NETWORK, *FACTORS):
        for value in values[factor]:
            members = [one for one in found if dict(_key(one))[factor] == value and one.value(factor) != "-"]
            others = (scores.get(_with(_key(one), factor, standard[factor])) for one in members)
            pairs = [one.score - other.score for one, other in zip(members, others, strict=True) if other is not None]
            if value == standard[factor] or not pairs:
                continue
            yield {
                "dataset": found[0].tried.cell.dataset,
                "factor": factor,
                "value": value if factor == NETWORK else told(value),
                "standard": standard[factor] if factor == NETWORK else told(standard[factor]),
                "mean": statistics.fmean(one.score for one in members),
                "difference": statistics.fmean(pairs),
                "difference_std": statistics.stdev(pairs) if len(pairs) > 1 else None,
                "pairs": len(pairs),
            }


def _key(one: Scored) -> tuple[tuple[str, Any], ...]:
    setting = one.tried.setting
    return ((NETWORK, one.tried.cell.network), *((factor, getattr(setting, factor)) for factor in FACTORS))


def _with(key: tuple[tuple[str, Any], ...], factor: str, value: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((name, value if name == factor else own) for name, own in key)


def settings_csv(experiment: Experiment, factors: Factors, plan: Plan, failed: Mapping[Path, Any]) -> str:
    """A line for each setting that was measured: the value of every factor, and the figure on the images held out."""
    found = scored(plan, failed)
    chosen = best(found)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("dataset", NETWORK, *FACTORS, "embedding", "held_out", "standard", "optimised"))
    for one in found:
        cell = one.tried.cell
        values = (one.value(factor).removeprefix("-") for factor in (NETWORK, *FACTORS))
        said = (cell.dataset, *values, one.tried.setting.embedding)
        standard = is_standard(experiment, factors, one.tried)
        writer.writerow((*map(as_cell, said), one.score, standard, chosen[cell.dataset] is one.tried))
    return text.getvalue()


def effects_csv(found: Mapping[str, Any]) -> str:
    """A line for each effect of a summary."""
    columns = ("dataset", "factor", "value", "standard", "difference", "difference_std", "pairs", "mean")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for one in found["effects"]:
        writer.writerow(as_cell(value) if isinstance(value := one[key], str) else value for key in columns)
    return text.getvalue()


def _figure(entry: Entry) -> float | None:
    return next((entry.figures[key] for key in FIGURES if key in entry.figures), None)


def _entry(path: Path) -> Entry:
    return _results(path).entries[0]


def _results(path: Path) -> stored.Results:
    try:
        found = stored.read_results(path)
    except FneError as error:
        raise DamagedFile(f"{error}\nRemove {path}, and run again.") from error
    if not isinstance(found, stored.Results):
        raise DamagedFile(f"{path} should be what fne evaluate writes. Found: a table of fne run. Remove it.")
    return found
