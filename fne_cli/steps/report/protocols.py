"""What a protocol is: which of its settings must agree for a comparison, and what it is called on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fne_cli.figures.names import places_of_equals
from fne_cli.steps.report.facts import told
from fne_cli.steps.report.sources import Evaluated, extraction
from fne_cli.store.other.results import Results

TUNING = "tuning"
_COSTS = {"ridge": "penalty", "lda": "shrinkage", "knn": "temperature", "centroid": ""}


def kind_of(results: Results) -> str:
    """per_class, cv or split."""
    if any(entry.per_class is not None for entry in results.entries):
        return "per_class"
    return "cv" if _said(results).get("cv") is not None else "split"


def agreeing(results: Results) -> dict[str, Any]:
    """The settings that must agree for a comparison, by their names; not those that change no figure.

    The sizes of a learning curve are not among them: its draws for one size are the same whatever the others are.
    """
    kind, said, settings = kind_of(results), _said(results), results.settings
    recipe = _has_its_own(results)
    costs, name = ([1.0], "C") if recipe else (costs_of(results), cost_name(results))
    found: dict[str, Any] = {"classifier": settings.get("classifier", "svm"), **({name: costs} if name else {})}
    if settings.get("relative_cost"):
        found["unit of C"] = "relative"
    if kind == "per_class":
        found["draws"] = said.get("draws")
    if said.get("without_leaks"):
        found["test images that are training images"] = "left out"
    if kind == "cv":
        found |= {"cv": said.get("cv"), "rows": said.get("rows")}
    if kind != "split" or (len(costs) > 1 and name != "penalty"):  # leave-one-out draws nothing
        found["seed"] = settings.get("seed")
    if extraction(results).get("crops") != 1:
        found["aggregate"] = settings.get("aggregate", "vote")
    if settings.get("regions"):
        found["regions"] = settings["regions"]
    return found


def costs_of(results: Results) -> list[Any]:
    """C, or what `cost_name` calls it, or all of those of which one was chosen; none if there is nothing to choose."""
    name = cost_name(results)
    given = results.settings.get(name, 1.0) if name else []
    return [float(one) if type(one) is int else one for one in (given if isinstance(given, list) else [given])]


def cost_name(results: Results) -> str:
    """What the classifier chooses, or is told: C, penalty, shrinkage; "" if there is nothing, or more."""
    if _has_its_own(results):
        return ""
    return _COSTS.get(str(results.settings.get("classifier", "svm")).partition(":")[0], "C")


def _has_its_own(results: Results) -> bool:
    """Whether it chooses all of its classifier, and stands beside what is published: the recipe auto, and a tuning."""
    return results.settings.get("recipe") == "auto" or results.settings.get("parts") == TUNING


def called(groups: Sequence[Sequence[Evaluated]]) -> list[str]:
    """What the protocol of each group is called; those that would be called the same say in what they differ."""
    firsts = [members[0] for members in groups]
    texts = [_described(first) for first in firsts]
    for alike in places_of_equals(texts):
        names = [firsts[place].protocol for place in alike]
        if len(set(names)) > 1 and not any(firsts[place].splits for place in alike):
            for place, name in zip(alike, names, strict=True):
                texts[place] = f"{name}, {texts[place]}" if name else texts[place]
    settings = [agreeing(first.results) | _of_recipe(first.results) for first in firsts]
    for key in dict.fromkeys(key for table in settings for key in table):
        for alike in places_of_equals(texts):
            values = [told(settings[place].get(key)) for place in alike]
            if len(set(values)) > 1:
                for place, value in zip(alike, values, strict=True):
                    texts[place] += f", {key} {value or '–'}"
    return texts


def _of_recipe(results: Results) -> dict[str, str]:
    """What a recipe has in the place of a classifier and its C."""
    return {"classifier": "by recipe", "C": "by recipe"} if results.settings.get("recipe") == "auto" else {}


def _said(results: Results) -> Mapping[str, Any]:
    settings = results.settings.get("protocol")
    return settings if isinstance(settings, dict) else {}


def _described(each: Evaluated) -> str:
    kind, said = kind_of(each.results), _said(each.results)
    if each.splits:
        return f"{each.splits}, {each.of_splits} splits"
    if kind == "per_class":
        return f"learning curve, {said.get('draws', each.results.entries[0].trials)} draws"
    return f"{said['cv']}-fold cross-validation" if kind == "cv" else "given split"
