"""What a file says twice, or what follows from what it says: computed again, and compared.

A seal tells of changed bytes. This tells of numbers that cannot be, whoever has written them, and in files of version
1, which have no seal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.numerics.statistics.separation import Separation
from fne_cli.store.format.kinds.behavior import Behavior
from fne_cli.store.format.reader import Reader
from fne_cli.store.format.schema import LAYER_TEXTS, SETS
from fne_cli.vectors.projections import read_projection

_ROUNDED = 1e-12  # share of a number that rounding, here and there, may be off

_ROUNDED_FLOAT32 = 1e-4  # that a product of two axes may be off, which are learned in float32
_LENGTH = 1e-9  # that an axis may be longer or shorter than 1


def moments_problems(reader: Reader) -> tuple[int, list[str]]:
    """The number of features of a moments file, and what of its numbers cannot be."""
    table, rows, problems = reader.moments(), {}, []
    for name, part in table.items():
        rows[name] = reader.moments_rows(name)
        problems += [f"layer {name} has {problem}" for problem in _impossible_moments(part, rows[name])]
    if len(set(rows.values())) > 1:
        problems.append(f"the attribute rows should be the same of all layers, found {sorted(set(rows.values()))}")
    problems += _layers_problems(table, {}, reader.settings["activations"])
    return sum(len(part["mean"]) for part in table.values()), problems


def _impossible_moments(part: Mapping[str, np.ndarray], rows: int) -> Iterator[str]:
    mean, std, least, most, zeros = (part[name] for name in ("mean", "std", "minimum", "maximum", "zeros"))
    if not all(np.isfinite(values).all() for values in part.values()) or (std < 0).any():
        yield "moments that are not finite, or negative deviations"
        return
    slack = _ROUNDED * np.maximum(np.abs(least), np.abs(most))
    if not ((least - slack <= mean) & (mean <= most + slack)).all():
        yield "a mean that is not between minimum and maximum"
    # no sample deviates by more than half its range (Popoviciu 1935), and one without a range not at all
    if not (std <= (most - least) / 2 * (1 + _ROUNDED) + slack * (most > least)).all():
        yield "a deviation above half of maximum - minimum"
    if rows < 1 or not ((zeros >= 0) & (zeros <= rows) & (zeros == np.floor(zeros))).all():
        yield f"zeros that are no number of 0 ... {rows} rows"
    zero = (least == 0) & (most == 0)
    if ((zeros > 0) & ((least > 0) | (most < 0))).any() or ((zeros == rows) != zero).any():
        yield "a number of zeros that does not go with minimum and maximum"


def image_problems(reader: Reader) -> list[str]:
    """What of the image table, the layers' attributes and the settings of a file with rows contradicts itself."""
    reader.check_images()
    settings = reader.settings
    activations = settings.get("activations")
    problems = []
    if isinstance(activations, dict) and activations.get("crops") != settings["crops"]:
        problems.append(f"crops should be those of the activations. Found: {settings['crops']}")
    for key, attribute in (("thresholds", "thresholds"), ("packing", "packing")):
        if reader.kind != "codes" or key not in settings:
            continue
        for name, layer in reader.layers.items():
            found = layer.attrs.get(attribute) if key == "thresholds" else "bit planes" if layer.packed else None
            if found != settings[key]:
                problems.append(f"layer {name} should have {key} {settings[key]}, as the settings. Found: {found}")
    attrs = {name: layer.attrs for name, layer in reader.layers.items()}
    return problems + _layers_problems(
        reader.layers, attrs, settings if reader.kind == "activations" else activations or {}
    )


def _layers_problems(
    layers: Iterable[str], attrs: Mapping[str, Mapping[str, Any]], activations: Mapping[str, Any]
) -> list[str]:
    """Whether these are the layers, pooled as, that the settings of the extraction name."""
    named = activations.get("layers")
    if not isinstance(named, dict):
        return []
    if sorted(named) != sorted(layers):
        odd = ", ".join(sorted({*named} ^ {*layers}))
        return [f"the layers should be those of the settings, which are {len(named)}. The difference: {odd[:200]}"]
    return [
        f"layer {name} should have pooling {named[name]}, as the settings. Found: {own['pooling']}"
        for name, own in attrs.items()
        if own.get("pooling", named[name]) != named[name]
    ]


def behavior_problems(reader: Reader) -> tuple[int, list[str]]:
    """The number of features of a behavior file, and what of it does not follow from the rest."""
    found, settings = reader.behavior(), reader.settings
    problems, z, label = _tables_problems(found)
    if len(set(found.classes)) < len(found.classes):
        problems.append("the classes should have different names")
    sizes = np.unique(found.counts[found.compared])
    if sizes.tolist() != found.random.sizes.tolist() or found.counts.max(initial=0) > settings["images"]:
        problems.append("the counts of images should be those of the settings and of null/sizes")
    else:
        problems += _threshold_problems(found, settings)
    if list(found.layers) != settings.get("layers", list(found.layers)):
        problems.append("the layers should be those of the settings, in their order")
    if not problems:
        problems += _separation_problems(found, Separation.of(np.concatenate(z), np.concatenate(label)))
    for name, layer in found.layers.items():
        if odd := [key for key in LAYER_TEXTS if not isinstance(layer.attrs.get(key, ""), str)]:
            problems.append(f"layer {name} should have texts for {', '.join(odd)}")
    return sum(layer.features for layer in found.layers.values()), problems


def _tables_problems(found: Behavior) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    """What is wrong layer by layer; z and label of all pairs."""
    compared, threshold = found.compared, np.nan_to_num(found.random.threshold, nan=1.0)
    problems, every_z, every_label = [], [], []
    for name, layer in found.layers.items():
        try:
            s, z, label = layer.s(), layer.z(), layer.label()
        except DamagedFile as error:
            problems.append(error.problem)
            continue
        if not (np.abs(s[:, compared]) <= 1).all() or not np.isnan(s[:, ~compared]).all():
            problems.append(f"layer {name} has s outside -1 ... 1, or of a class that was not compared")
        if not np.isfinite(z[:, found.counts > 0]).all() or not np.isnan(z[:, found.counts == 0]).all():
            problems.append(f"layer {name} has z that is not finite, or of a class without images")
        if not (label == (s > threshold).astype(np.int8) - (s < -threshold)).all():
            problems.append(f"layer {name} has labels that do not follow from s and the threshold")
        every_z.append(z[:, compared].ravel())
        every_label.append(label[:, compared].ravel())
    return problems, every_z, every_label


def _threshold_problems(found: Behavior, settings: Mapping[str, Any]) -> list[str]:
    """Classes of one size have one threshold, and a level that is 1 - alpha has it among its quantiles."""
    random, problems = found.random, []
    if (np.diff(random.quantiles, axis=1) < 0).any():
        problems.append("the quantiles should ascend with their level")
    level = np.flatnonzero(np.abs(random.levels - (1 - settings["alpha"])) < _ROUNDED)
    for place, size in enumerate(random.sizes.tolist()):
        own = {*random.threshold[found.compared & (found.counts == size)].tolist()}
        if not settings["fdr"] and len(level):
            own.add(float(random.quantiles[place, level[0]]))
        if len(own) > 1:
            problems.append(f"classes of {size} images should have one threshold, found {sorted(own)}")
    return problems


def _separation_problems(found: Behavior, again: Separation) -> list[str]:
    """Thresholds and histograms, made again of the pairs that the file has."""
    problems = [
        f"{name} should be {wanted:.17g}, which parts the pairs. Found: {there:.17g}"
        for name, wanted, there in (("low", again.low, found.low), ("high", again.high, found.high))
        if not (wanted == there or (np.isnan(wanted) and np.isnan(there)))
    ]
    same = np.array_equal(again.edges, found.edges)
    if not same or not all(np.array_equal(getattr(again, name), found.sets[name]) for name in SETS):
        problems.append("the histograms of z should be those of the pairs")
    return problems


def projection_problems(reader: Reader) -> tuple[int, list[str]]:
    """The number of features of a projection file, and what of it does not follow from its embedding."""
    try:
        found = read_projection(reader.path)
    except DamagedFile as error:
        return 0, [error.problem]
    problems = []
    if (np.diff(found.explained) > _ROUNDED).any():
        problems.append("the shares of the variance should descend")
    if not any(piece in found.embedding for piece in ("within", "lda")):
        lengths = np.linalg.norm(found.fitted.state()["axes"], axis=1)
        if (np.abs(lengths - 1) > _LENGTH).any():
            problems.append("the axes should have length 1")
    named = found.settings.get("layers")
    if isinstance(named, dict) and not set(found.layers) <= set(named):
        problems.append("the layers should be among those of the activations")
    return sum(found.layers.values()), problems


def vocabulary_problems(reader: Reader) -> tuple[int, list[str]]:
    """The number of words of a vocabulary file, and what of its arrays cannot be."""
    found, problems = reader.vocabulary(), []
    settings = reader.settings
    if settings.get("words") != found.words:
        problems.append(f"there should be {settings.get('words')} words, as the settings say, found {found.words}")
    if found.model == "fisher":
        axes = found.arrays["axes"]
        if settings.get("components") != len(axes):
            problems.append(f"there should be {settings.get('components')} axes, found {len(axes)}")
        if not np.allclose(axes @ axes.T, np.eye(len(axes)), atol=_ROUNDED_FLOAT32):
            problems.append("axes should be of length 1 and at right angles, found others")
    return found.words, problems


TABLES = {
    "moments": moments_problems,
    "behavior": behavior_problems,
    "projection": projection_problems,
    "vocabulary": vocabulary_problems,
}
"""What looks into a file without rows, by its kind."""
