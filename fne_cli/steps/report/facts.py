"""What was run, in words: network, images, thresholds, solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fne_cli.steps.report.sources import Evaluated, extraction, poolings
from fne_cli.store.other.results import Results
from fne_cli.store.other.results.entries import Entry


def facts(members: Sequence[Evaluated]) -> list[tuple[str, str]]:
    """Pairs of words and values. Values that differ stand side by side, each with the embedding or split it is of."""
    found: dict[str, list[tuple[Evaluated, str]]] = {}
    for each in members:
        for name, value in _of(each):
            if text := told(value):
                found.setdefault(name, []).append((each, text))
    return [(name, _together(values)) for name, values in found.items()]


def _of(each: Evaluated) -> list[tuple[str, Any]]:
    results, made = each.results, extraction(each.results)
    settings, images = results.settings, results.images
    layers = settings.get("layers")
    curve = [entry.per_class for entry in results.entries if entry.per_class is not None]
    return [
        ("protocol's name", each.splits or each.protocol),
        ("network", made.get("network")),
        ("weights", made.get("weights")),
        ("weights, SHA-256", made.get("weights_sha256")),
        ("preprocessing", made.get("preprocess")),
        ("image size", told(made.get("image_size")).replace(", ", " × ")),
        ("resizing", made.get("resize")),
        ("decoding", made.get("decode")),
        ("crops", made.get("crops")),
        ("pooling", each.pooling or sorted(poolings(made))),
        ("layers", few_layers([name for name in layers if isinstance(name, str)]) if isinstance(layers, list) else ""),
        ("precision", made.get("precision")),
        ("thresholds", settings.get("thresholds", results.made_from.get("thresholds"))),
        ("moments from", results.made_from.get("moments_rows")),
        ("training images per class", sorted(set(curve))),
        ("training images", None if curve else images.get("training")),
        ("validation images", images.get("validation")),
        ("test images", images.get("test")),
        ("classes", len(results.entries[0].classes)),
        ("recipe", settings.get("recipe")),
        ("recipe chosen", [", ".join(entry.recipes) + _size(entry) for entry in results.entries if entry.recipes]),
        ("classifier", settings.get("classifier")),
        ("C", settings.get("C")),
        ("unit of C", "1 / the rows' mean squared distance from their mean" if settings.get("relative_cost") else None),
        ("penalty", settings.get("penalty")),
        ("shrinkage", settings.get("shrinkage")),
        ("temperature", settings.get("temperature")),
        ("solver", settings.get("solver")),
        ("tolerance", settings.get("tolerance")),
        ("seed", settings.get("seed")),
        ("without training images", images.get("classes_without_training_images")),
        ("without test images", images.get("classes_without_test_images")),
    ]


def few_layers(names: Sequence[str]) -> str:
    """How many, and the first and last of them."""
    few = names if len(names) <= 3 else [names[0], "…", names[-1]]
    return f"{len(names)} layer{'s' if len(names) != 1 else ''}: {', '.join(few)}" if names else ""


def _size(entry: Entry) -> str:
    return "" if entry.per_class is None else f" (with {entry.per_class:,} images per class)"


def _together(values: Sequence[tuple[Evaluated, str]]) -> str:
    """The value, or all of them, named by what they differ with."""
    texts = list(dict.fromkeys(text for _, text in values))
    if len(texts) == 1:
        return texts[0]
    names: tuple[Callable[[Evaluated], str], ...] = (_embedding, lambda each: each.protocol)
    for name in names:
        of: dict[str, list[str]] = {}
        for each, text in values:
            if text not in of.setdefault(name(each), []):
                of[name(each)].append(text)
        if len(of) > 1 and all(len(own) == 1 for own in of.values()):
            owners = [", ".join(owner for owner, own in of.items() if text in own) for text in texts]
            said = zip(owners, texts, strict=True)
            return "; ".join(text if owner == text else f"{owner}: {text}" for owner, text in said)
    return "; ".join(texts)


def _embedding(each: Evaluated) -> str:
    return each.embedding or each.results.path.name


def told(value: Any) -> str:
    """A setting in words, "" for what has none."""
    if isinstance(value, bool) or value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return ", ".join(told(one) for one in value)
    return f"{value:,}" if type(value) is int else f"{value:g}" if isinstance(value, float) else str(value)


def left_out(results: Sequence[Results]) -> list[str]:
    """What to note of test images that were not measured because they are training images."""
    counts = [one.images.get("test_images_left_out_as_copies") for one in results]
    return [
        f"{count:,} test images that are training images byte for byte are left out (--without-leaks)."
        for count in dict.fromkeys(counts)
        if type(count) is int and count > 0
    ]
