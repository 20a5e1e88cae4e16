"""behavior -> figures: a folder with each as PNG and as SVG."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.statistics.hierarchy import average_linkage
from fne_cli.numerics.statistics.overview import EDGES, THRESHOLDS, Null, Overview
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.kinds.behavior import Behavior
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import fingerprint
from fne_cli.store.other.drawings import Drawings
from fne_cli.store.output.origin import Origin

if TYPE_CHECKING:
    from fne_cli.figures.drawn.exemplars import Strip

FIGURES = ("s_by_layer", "shares_by_layer", "shares_by_class", "surviving", "z_sets", "dendrogram")
EXEMPLARS = "exemplars"
_FARTHEST = 1e6
_STRIPS, _IMAGES, _SIDE = 8, 8, 160  # features, images of each, pixels of an image


@dataclass(frozen=True)
class Plotted:
    """The folder, and the names of its figures; each is a .png and an .svg."""

    folder: Path
    figures: list[str]
    up_to_date: bool = False


def plot(
    behavior: Path,
    folder: Path,
    *,
    activations: Path | None = None,
    images: str | None = None,
    features: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Plotted:
    """Draw what a behavior file says.

    With `activations`, the file that was analysed, and `images`, what it was extracted from (a folder, a manifest, a
    .tar): also the images that excite features most. features: LAYER:NUMBER each; by default the strongest by presence
    of different classes.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise BadInput("fne plot needs matplotlib, which is not installed. pip install 'fne-cli[report]'")
    if (activations is None) != (images is None):
        raise BadInput("--activations and --images should be given together. Found: only one of them.")
    if features and activations is None:
        raise BadInput("--features chooses what the images show. Give --activations and --images with it.")
    with open_file(behavior, "behavior") as source:
        found = source.behavior()
        chosen = [_feature(found, name) for name in features]
        names = [*FIGURES, EXEMPLARS] if activations is not None else list(FIGURES)
        digest = fingerprint("figures", {"features": list(features), "figures": names}, [source.fingerprint])
        origin = Origin(
            "figures",
            {"features": list(features), "figures": names},
            [{"kind": "behavior", "fingerprint": source.fingerprint}],
            {"behavior": (behavior,), "activations": (activations,) if activations else ()},
            network=source.settings["activations"],
        )
        drawings = Drawings(folder, "plot", names, digest, origin)
        if drawings.are_there(overwrite, "this file", progress):
            return Plotted(folder, names, up_to_date=True)
        _check(behavior, found)
        pictures = _Pictures(source, found, activations, images) if activations is not None and images else None
        with drawings, progress.track(len(names), "figures") as advance:
            _draw(drawings, found, pictures, chosen, advance)
    return Plotted(folder, names)


def _check(path: Path, found: Behavior) -> None:
    """Raises DamagedFile for what no analysis says and no axis can show."""
    if not found.compared.any() or not len(found.random.sizes) or len(found.random.levels) < 2:
        raise DamagedFile(f"{path} should compare classes with random ones. Found: none.")
    values = np.array([*found.edges, found.low, found.high])
    # of n images, none and no mean of some is further from the mean of all than sqrt(n) standard deviations
    if np.nanmax(np.abs(values)) > _FARTHEST or np.diff(found.edges).min(initial=1) < 1 / _FARTHEST:
        raise DamagedFile(f"{path} should have histograms and thresholds of standardised values. Found: other numbers.")


def _draw(
    drawings: Drawings,
    found: Behavior,
    pictures: _Pictures | None,
    features: list[_Feature],
    advance: Callable[[int], None],
) -> None:
    from fne_cli.figures.drawn.classes import dendrogram, shares_by_class
    from fne_cli.figures.drawn.exemplars import exemplars
    from fne_cli.figures.drawn.layers import s_by_layer, shares_by_layer
    from fne_cli.figures.drawn.pairs import surviving, z_sets

    def draw(name: str, function: Callable[..., None], **tables: Any) -> None:
        drawings.draw(name, function, **tables)
        advance(1)

    compared = np.flatnonzero(found.compared)
    classes = [found.classes[number] for number in compared]
    random = Null(found.random.sizes, found.random.levels, found.random.quantiles)
    pairs, best = Overview(found.counts[compared], random), _Strongest(len(compared))
    for name, layer in found.layers.items():
        s = layer.s()[:, compared]
        pairs.add(s, layer.label()[:, compared])
        best.add(name, s)
    # before anything is drawn: the images may not be there
    strips = [_strip(found, compared, pictures, one) for one in features or best.features(_STRIPS)] if pictures else []
    layers, labels = list(found.layers), np.array(pairs.labels)
    chance = random.beyond(pairs.counts, found.random.threshold[compared])
    exceeding = random.survival(pairs.counts, THRESHOLDS)
    usual = float(THRESHOLDS[np.argmax(exceeding <= chance + 1e-9)])
    draw(
        "s_by_layer", s_by_layer, layers=layers, edges=EDGES, counts=np.array(pairs.histograms),
        quantiles=np.array(pairs.quantiles), random=random.shares(pairs.counts, EDGES), usual=usual, chance=chance,
    )  # fmt: skip
    draw("shares_by_layer", shares_by_layer, layers=layers, counts=labels.sum(axis=2), chance=chance)
    draw("shares_by_class", shares_by_class, classes=classes, counts=labels.sum(axis=0).T, chance=chance)
    draw(
        "surviving", surviving, at=THRESHOLDS, above=pairs.above, random=exceeding,
        levels=random.levels, beyond=pairs.beyond, chance=chance,
    )  # fmt: skip
    draw("z_sets", z_sets, edges=found.edges, counts=found.sets, found=(found.low, found.high), published=(LOW, HIGH))
    tree = average_linkage(pairs.distances())
    leaves = [classes[leaf[0]] + (f" and {len(leaf) - 1:,} more" if len(leaf) > 1 else "") for leaf in tree.leaves]
    draw("dendrogram", dendrogram, leaves=leaves, lines=tree.lines, distance="1 − correlation of s over all features")
    if strips:
        draw(EXEMPLARS, exemplars, strips=strips)


@dataclass(frozen=True)
class _Feature:
    layer: str
    number: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.number}"


def _feature(found: Behavior, name: str) -> _Feature:
    """LAYER:NUMBER. Raises BadInput if there is none such."""
    layer, _, number = name.rpartition(":")
    if layer not in found.layers:
        raise BadInput(f"--features should be LAYER:NUMBER each. Found: {name!r}. Layers: {', '.join(found.layers)}.")
    width = found.layers[layer].features
    if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) < width):
        raise BadInput(f"--features should number the features of {layer} 0 ... {width - 1}. Found: {name!r}.")
    return _Feature(layer, int(number))


def _strip(found: Behavior, compared: np.ndarray, pictures: _Pictures, feature: _Feature) -> Strip:
    """The classes that a feature says most of, by presence and by absence, and its images."""
    from fne_cli.figures.drawn.exemplars import Strip

    s = np.nan_to_num(found.layers[feature.layer].s()[feature.number, compared])
    ends = [number for number, sign in ((int(s.argmax()), 1), (int(s.argmin()), -1)) if s[number] * sign > 0]
    said = [(found.classes[compared[number]], float(s[number])) for number in ends]
    return Strip(str(feature), said, *pictures.of(feature))


class _Strongest:
    """For each class the feature with the largest s."""

    def __init__(self, classes: int) -> None:
        self._s = np.full(classes, -np.inf)
        self._features: list[_Feature | None] = [None] * classes

    def add(self, layer: str, s: np.ndarray) -> None:
        """One layer, (features, classes)."""
        known = np.where(np.isfinite(s), s, -np.inf)
        for number, feature in enumerate(known.argmax(axis=0).tolist() if len(s) else []):
            if known[feature, number] > self._s[number]:
                self._s[number] = known[feature, number]
                self._features[number] = _Feature(layer, feature)

    def features(self, most: int) -> list[_Feature]:
        """At most so many different features, the largest s first."""
        order = np.argsort(-self._s, kind="stable").tolist()
        return list(dict.fromkeys(feature for number in order if (feature := self._features[number])))[:most]


class _Pictures:
    """The images that excite a feature most, of those that were analysed."""

    def __init__(self, behavior: Reader, found: Behavior, activations: Path, images: str) -> None:
        self._file, self._images, self._rows = activations, images, str(behavior.settings["rows"])
        with open_file(activations, "activations") as source:
            own = {"kind": source.kind, "fingerprint": source.fingerprint}
            widths = {name: layer.features for name, layer in source.layers.items()}
            fits = all(widths.get(name) == layer.features for name, layer in found.layers.items())
            if own not in behavior.sources or not fits:
                raise WrongFile(f"{activations} should be the file that {behavior.path} was made from. Found: another.")
            self._crops = int(source.settings["crops"])
            self._resize: Literal["squash", "crop"] = "crop" if source.settings.get("resize") == "crop" else "squash"

    def of(self, feature: _Feature) -> tuple[list[np.ndarray | None], list[str]]:
        """Pixels and captions, the most exciting first; an image's value is the mean of its crops."""
        from fne_cli.images.thumbnails import find, thumbnails

        with open_file(self._file, "activations") as source:
            table = source.images
            _, chosen = table.chosen(self._rows)
            layer = source.layers[feature.layer]
            column = np.concatenate([rows[:, feature.number].astype(np.float64) for _, rows in layer.batches(1)])
            values = np.where(chosen, column.reshape(-1, self._crops).mean(axis=1), -np.inf)
            first = [int(n) for n in np.argsort(-values, kind="stable")[:_IMAGES] if np.isfinite(values[n])]
            names = [_named(table.label[number], table.classes) or table.path[number] for number in first]
            ids, digests = [table.path[number] for number in first], [table.sha256[number] for number in first]
        shown = thumbnails(find(self._images, ids), _SIDE, self._resize, digests)
        if all(pixels is None for pixels, _ in shown):
            raise BadInput(
                f"--images {self._images} should have the images of {self._file}. Found: {ids[0]} {shown[0][1]}."
            )
        return [pixels for pixels, _ in shown], [wrong or name for name, (_, wrong) in zip(names, shown, strict=True)]


def _named(label: np.ndarray, classes: Sequence[str]) -> str:
    """The classes of an image, "" if it has none."""
    numbers = [int(label)] if np.ndim(label) == 0 else np.flatnonzero(label == 1).tolist()
    return ", ".join(classes[number] for number in numbers if number >= 0)
