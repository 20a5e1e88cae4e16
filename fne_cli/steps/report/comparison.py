"""Evaluations on the same images by the same protocol -> one table: embeddings beside single layers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fne_cli.figures.contents import Group, NetworkDifference, Point, Row, Size, Verdict, best_layer
from fne_cli.numerics.embedding import embedding, names
from fne_cli.steps.report.classes import confused, together, views
from fne_cli.steps.report.differences import between_networks, differences, with_tests
from fne_cli.steps.report.facts import facts, few_layers
from fne_cli.steps.report.protocols import TUNING, agreeing, called, cost_name, costs_of, kind_of
from fne_cli.steps.report.records import seconds_of
from fne_cli.steps.report.sources import Evaluated, extraction, poolings
from fne_cli.store.other.results import Results
from fne_cli.store.other.results.entries import Entry

_EMBEDDING = "embedding"


def grouped(evaluated: Sequence[Evaluated]) -> list[tuple[Group, list[Evaluated]]]:
    """What can be compared with each other, in the order of first appearance, and what each was made of."""
    alike: dict[str, list[Evaluated]] = {}
    frozen: dict[str, str] = {}  # a tuned network stands beside the first frozen one on its task
    for each in evaluated:
        if not _is_tuned(each):
            frozen.setdefault(_task(each), _key(each))
    for each in evaluated:
        key = _key(each)
        alike.setdefault(frozen.get(_task(each), key) if _is_tuned(each) else key, []).append(each)
    unnamed = {
        _made(each.results) for each in evaluated for _, whole in _entries(each.results) if whole and not each.embedding
    }
    names = called(list(alike.values()))
    found = zip(alike.values(), names, strict=True)
    return _briefly([(_group(members, name, len(unnamed) > 1), members) for members, name in found])


def networks(found: Sequence[tuple[Group, list[Evaluated]]]) -> list[NetworkDifference]:
    """What differs between the networks of the groups, by the test images that each has right."""
    rights = [
        (group, {key: [one.right for one in parts] for key, parts in _by_row(members).items()})
        for group, members in found
    ]
    return between_networks(rights)


def _briefly(found: list[tuple[Group, list[Evaluated]]]) -> list[tuple[Group, list[Evaluated]]]:
    """The groups; a learning curve is not shown class by class too, where its network is with all training images."""

    def home(group: Group) -> tuple[str, str, str]:
        return group.dataset, group.network, group.pooling

    whole = {home(group) for group, _ in found if list(group.sizes) == [None]}
    shorter = []
    for group, members in found:
        again = list(group.sizes) != [None] and home(group) in whole
        shorter.append((replace(group, views=[], confusion=None) if again else group, members))
    return shorter


def _is_tuned(each: Evaluated) -> bool:
    return each.results.settings.get("parts") == TUNING


def _key(each: Evaluated) -> str:
    """The same for evaluations of one network on one task by one protocol."""
    made = extraction(each.results)
    network = [made.get(name) for name in ("network", "weights", "weights_sha256", "image_size", "crops")]
    return _digest([network, sorted(poolings(made)), _task(each)])


def _task(each: Evaluated) -> str:
    """The same for evaluations on one task by one protocol, whatever network learns on or does not."""
    results = each.results
    kind = kind_of(results)
    images = results.images
    counts = [images.get(name) for name in (("test",) if kind == "per_class" else ("training", "test"))]
    split = [source for source in results.sources if isinstance(source, dict) and source.get("kind") == "split"]
    if each.splits:
        counts, split = [], []
    parts = [
        (each.dataset, each.network, each.pooling, each.splits or each.protocol),
        (kind, agreeing(results), counts, split),
        results.entries[0].classes,
        results.entries[0].several,
    ]
    return _digest(parts)


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "backslashreplace")).hexdigest()


def _group(members: Sequence[Evaluated], protocol: str, several: bool) -> Group:
    """several: whether embeddings without a name are told apart by what they are made of."""
    first = members[0]
    made = extraction(first.results)
    entry = first.results.entries[0]
    order = _layer_order(members)
    splits = _by_row(members)
    entries = {key: together(parts) for key, parts in splits.items()}
    rows: dict[tuple[str, str, bool], Row] = {}
    wholes = {(name, how) for name, how, whole, _ in entries if whole}
    named = Counter(name for name, _ in wholes)
    for (name, how, whole, size), found in entries.items():
        place = -1 if whole else order.get(name, len(order))
        alone = not whole or (named[name] == 1 and not (several and name == _EMBEDDING))
        title = name if alone else f"{name} ({how})"
        if (there := len(splits[name, how, whole, size])) < first.of_splits:
            title += f" ({there} of {first.of_splits} splits)"
        row = rows.setdefault((name, how, whole), Row(name, how, whole, place, found.features, {}, title))
        rows[name, how, whole] = replace(row, points={**row.points, size: _point(found)})
    table = sorted(rows.values(), key=lambda row: (not row.whole, row.place))
    sizes: list[Size] = sorted({size for row in table for size in row.points}, key=lambda size: size or 0)
    figure = "mean_average_precision" if entry.several else "mean_per_class_accuracy"
    verdicts = judged(table, sizes, figure)
    paired = differences(table, sizes, verdicts, {key: [one.right for one in parts] for key, parts in splits.items()})
    shown = _shown(table, sizes, figure)
    seen = views([(row, sizes[-1], entries[row.name, row.made, row.whole, sizes[-1]]) for row in shown])
    return Group(
        dataset=first.dataset,
        network=first.network or str(made.get("network", "")),
        pooling=first.pooling or ", ".join(sorted(poolings(made))),
        protocol=protocol,
        facts=facts(members),
        figure=figure,
        sizes=sizes,
        rows=table,
        verdicts=with_tests(verdicts, paired),
        differences=paired,
        classes=entry.classes,
        views=seen,
        confusion=confused(seen),
        chosen=len(costs_of(first.results)) > 1,
        cost_name=cost_name(first.results),
    )


def _by_row(members: Sequence[Evaluated]) -> dict[tuple[str, str, bool, Size], list[Entry]]:
    """The entries by name, features, whether an embedding, and size; one of each split."""
    found: dict[tuple[str, str, bool, Size], dict[str, Entry]] = {}
    others = _other_layers(members)
    for each in members:
        seconds = seconds_of(each.results.path)
        for read, whole in _entries(each.results):
            entry = replace(read, seconds=seconds.get((read.name, read.per_class)))
            name = each.embedding if whole and each.embedding else entry.name
            how = _made(each.results) + others.get(_layers(each.results), "") * whole
            split = each.protocol if each.splits else ""
            path = each.results.path
            for made in (how, f"{how}, {path.name}", f"{how}, {path}"):
                parts = found.setdefault((name, made, whole, entry.per_class), {})
                if split not in parts:
                    break
            parts.setdefault(split, entry)
    return {key: list(parts.values()) for key, parts in found.items()}


def _entries(results: Results) -> list[tuple[Entry, bool]]:
    """Each entry, and whether it is an embedding of all layers rather than one layer alone."""
    parts = results.settings.get("parts")
    alone = parts == "each layer" or (parts is None and not results.of_codes)
    return [(entry, parts == TUNING or (not alone and entry.name == _EMBEDDING)) for entry in results.entries]


def _made(results: Results) -> str:
    kind = results.settings.get("embedding", "codes" if results.of_codes else "l2")
    kind = "fne" if kind == "codes" else str(kind)
    return "chosen by training images" if kind == "auto" else embedding(kind).title if kind in names() else kind


def _layers(results: Results) -> tuple[str, ...]:
    """Those that an embedding is made of."""
    listed = results.settings.get("layers")
    return tuple(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else ()


def _other_layers(members: Sequence[Evaluated]) -> dict[tuple[str, ...], str]:
    """How embeddings that are made alike, but of other layers, are told apart: ", 2 layers: fc1, fc2"."""
    sets: dict[tuple[str, str], dict[tuple[str, ...], None]] = {}
    for each in members:
        if any(whole for _, whole in _entries(each.results)):
            sets.setdefault((each.embedding, _made(each.results)), {})[_layers(each.results)] = None
    mixed = [layers for found in sets.values() if len(found) > 1 for layers in found if layers]
    longest = max((len(layers) for layers in mixed), default=0)
    return {
        layers: f", {few_layers(layers)}" if len(layers) < longest else f", {len(layers)} layers" for layers in mixed
    }


def _point(entry: Entry) -> Point:
    return Point(entry.figures, entry.spreads, entry.interval, entry.trials, entry.costs, entry.seconds)


def judged(rows: Sequence[Row], sizes: Sequence[Size], figure: str) -> list[Verdict]:
    """Every embedding beside the best single layer, at every size where both were measured."""
    found = []
    for row in rows:
        for size in sizes:
            value, best = _value(row, size, figure), best_layer(rows, size, figure)
            if row.whole and value is not None and best is not None:
                found.append(Verdict(size, row, value, best, best.points[size].figures[figure]))
    return found


def _value(row: Row, size: Size, figure: str) -> float | None:
    return row.points[size].figures.get(figure) if size in row.points else None


def _shown(rows: Sequence[Row], sizes: Sequence[Size], figure: str) -> list[Row]:
    """The rows to show class by class: the embeddings, and the best single layer."""
    last = sizes[-1]
    wholes = [row for row in rows if row.whole and last in row.points]
    best = best_layer(rows, last, figure)
    return wholes if best is None else [*wholes, best]


def _layer_order(members: Sequence[Evaluated]) -> dict[str, int]:
    """The layers' places in the network: settings list them in its order."""
    names: list[str] = []
    for each in members:
        listed = each.results.settings.get("layers")
        given = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        names = given if len(given) > len(names) else names
    for each in members:
        names += [entry.name for entry in each.results.entries if entry.name not in names]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}
