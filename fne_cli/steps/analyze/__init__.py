"""activations -> behavior: how strongly each feature characterises each class, by its presence or its absence."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.statistics.behavior import Groups
from fne_cli.numerics.statistics.noise import LEVELS, Noise, RandomClasses, labelled
from fne_cli.numerics.statistics.separation import Separation
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.analyze.tables import BehaviorTables
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import NO_LABEL, SETS
from fne_cli.store.many.gather import allocate
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.up_to_date import up_to_date
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.files import Result, TaskFiles, open_inputs, task
from fne_cli.tasks.output import streamed_output
from fne_cli.tasks.parts import Parts


@dataclass(frozen=True)
class LayerShares:
    """Of all pairs of a layer's features and the classes that were compared, how many are what."""

    layer: str
    features: int
    pairs: int
    presence: int
    absence: int


@dataclass(frozen=True)
class Analyzed:
    """The file, what it was made from, and what it says in sum.

    low, high: None if the sets of pairs do not define them. expected_false: pairs that would be characteristic if all
    classes were random; with fdr, how many of the characteristic ones are so by chance, at most and on average.
    classes: those that were compared.
    """

    path: Path
    rows: str
    images: int
    classes: int
    layers: list[LayerShares]
    total: LayerShares
    low: float | None
    high: float | None
    expected_false: float
    up_to_date: bool = False


def analyze(
    activations: Path | Sequence[Path],
    output: Path,
    *,
    rows: str | None = None,
    layers: Sequence[str] = (),
    random_classes: int = 20,
    seed: int = 0,
    alpha: float = 0.05,
    fdr: bool = False,
    memory: int = 256 << 20,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress = SILENT,
) -> Analyzed:
    """Write s, mean z and label of every feature and class over the chosen images of one or more files.

    rows: "train" (default if there are splits), "all", or any split. With `fdr`, `alpha` is the false discovery rate
    (Benjamini-Hochberg) instead of the share of random pairs that would be labelled. Tables that would take more than
    about `memory` bytes together lie in temporary files; the result does not depend on it. With a `cluster`, each of
    its workers takes some features at a time.
    """
    with JoinedFiles(activations) as files:
        files.layers = {name: files.layers[name] for name in files.select(layers)}
        name, chosen = files.chosen(rows)
        groups, images = _labelled(files, name, chosen)
        settings = {
            "rows": name,
            "images": len(images),
            "layers": list(files.layers),
            "alpha": float(alpha),
            "fdr": fdr,
            "random_classes": random_classes,
            "seed": seed,
            "activations": files.settings,
        }
        origin = Origin(
            "behavior",
            settings,
            files.sources(),
            {"activations": files.paths},
            inherited=("activations", "images", *(() if rows else ("rows",))),
            with_network=("layers",),
            network=files.settings,
        )
        done = up_to_date(output, origin, overwrite, progress)
        if not done:
            if absent := files.absent:
                progress.note(absent)
            if rows is None and name == "all":
                progress.note(f"{files.name} has no splits: all {len(images):,} labelled images are used")
            if left := int(chosen.sum()) - len(images):
                progress.note(f"{left:,} of the {int(chosen.sum()):,} images have no label and are left out")
            if idle := [files.classes[number] for number in np.flatnonzero(~groups.tested)]:
                progress.note(f"classes without images, or without others to compare with: {', '.join(idle[:5])}"
                              + (f" and {len(idle) - 5} more" if len(idle) > 5 else ""))  # fmt: skip
            tables = BehaviorTables(files, chosen, images, groups, memory)
            _write(tables, output, origin, cluster, progress)
    return _summary(output, done)


def _labelled(files: JoinedFiles, name: str, chosen: np.ndarray) -> tuple[Groups, np.ndarray]:
    """The classes of the chosen images that have a label, and the numbers of these images, ascending."""
    labels = files.column("label", 0, len(files))
    known = labels != NO_LABEL
    images = np.flatnonzero(chosen & (known if labels.ndim == 1 else known.any(axis=1)))
    groups = Groups.of(labels[images], len(files.classes))
    if not groups.tested.any():
        found = [files.classes[number] for number in np.flatnonzero(groups.inside)]
        raise BadInput(
            f"{files.name} should have labelled images of at least two classes among the rows {name}. "
            f"Found: {', '.join(found) + ' only' if found else 'none'}."
        )
    return groups, images


def _random_classes(groups: Groups, images: int, settings: Mapping[str, Any]) -> RandomClasses:
    """Of the sizes of the classes that are compared."""
    return RandomClasses.of(groups.inside[groups.tested], images, settings["random_classes"], settings["seed"])


def _computed(tables: BehaviorTables, random: RandomClasses, parts: Parts, settings: Mapping[str, Any]) -> np.ndarray:
    """As BehaviorTables.compute, by workers."""
    strengths, blocks = tables.strengths(random), list(tables.blocks(parts.sizes))
    shared = {name: settings[name] for name in ("rows", "random_classes", "seed")}
    shared |= {"paths": [os.path.abspath(path) for path in tables.files.paths], "memory": tables.memory}
    tasks = [{**shared, "layer": layer, "columns": [own.start, own.stop]} for layer, own, _ in blocks]
    sizes = [own.stop - own.start for _, own, _ in blocks]
    found = parts.results("behavior", tasks, "block", sizes, "features")
    for (_, files), (_, _, span) in zip(found, blocks, strict=True):
        tables.s[span], tables.z[span], strengths[:, span] = (files.load(name) for name in ("s", "z", "strengths"))
    return strengths


@task
def compute_block(settings: Mapping[str, Any], files: TaskFiles, progress: Progress) -> Result:
    """A worker's task: the tables of some features of a layer."""
    with open_inputs(settings) as source:
        source.layers = {settings["layer"]: source.layers[settings["layer"]]}
        name, chosen = source.chosen(settings["rows"])
        groups, images = _labelled(source, name, chosen)
        tables = BehaviorTables(source, chosen, images, groups, settings["memory"], slice(*settings["columns"]))
        strengths = tables.compute(_random_classes(groups, len(images), settings), progress)
        files.save(s=tables.s, z=tables.z, strengths=strengths)
    return {}


def _write(
    tables: BehaviorTables,
    path: Path,
    origin: Origin,
    cluster: Cluster | None,
    progress: Progress,
) -> None:
    files, counts, settings = tables.files, tables.groups.inside, origin.settings
    tested = np.where(tables.groups.tested, counts, 0)
    random = _random_classes(tables.groups, len(tables.images), settings)
    with streamed_output(path, origin, files, cluster) as (writer, parts):
        strengths = tables.compute(random, progress) if parts is None else _computed(tables, random, parts, settings)
        noise = Noise.of(random.sizes, strengths)
        if settings["fdr"]:
            blocks = (tables.s[span] for span in tables.spans.values())
            place = noise.place_of_discoveries(blocks, tested, settings["alpha"])
        else:
            place = noise.place_of_share(settings["alpha"])
        thresholds = noise.thresholds(place, tested)
        labels = allocate(tables.s.shape, np.int8, tables.memory // 8)
        writer.put_classes(files.classes)
        writer.put_table("counts", counts)
        for layer, span in tables.spans.items():
            labels[span] = labelled(tables.s[span], thresholds)
            for name, table in (("s", tables.s), ("z", tables.z), ("label", labels)):
                writer.put(layer, name, np.asarray(table[span]))
            writer.describe(layer, **files.layers[layer][0].attrs)
        for name, values in (("sizes", random.sizes), ("levels", LEVELS), ("quantiles", noise.quantiles())):
            writer.put_table(f"null/{name}", values)
        writer.put_table("null/threshold", thresholds)
        compared = tested > 0
        found = Separation.of(tables.z[:, compared].ravel(), labels[:, compared].ravel())
        writer.put_table("thresholds/edges", found.edges, low=found.low, high=found.high)
        for name in SETS:
            writer.put_table(f"thresholds/{name}", getattr(found, name))


def _summary(path: Path, done: bool) -> Analyzed:
    """What the file says."""
    layers = []
    with open_file(path, "behavior") as file:
        found, settings = file.behavior(), file.settings
        compared = found.compared
        for name, layer in found.layers.items():
            label = layer.label()[:, compared]
            presence, absence = (int((label == value).sum()) for value in (1, -1))
            layers.append(LayerShares(name, layer.features, label.size, presence, absence))
    numbers = ([getattr(layer, name) for layer in layers] for name in ("features", "pairs", "presence", "absence"))
    total = LayerShares("all layers", *map(sum, numbers))
    tried = total.presence + total.absence if settings["fdr"] else total.pairs
    low, high = (None if np.isnan(value) else value for value in (found.low, found.high))
    return Analyzed(
        path=path,
        rows=settings["rows"],
        images=settings["images"],
        classes=int(compared.sum()),
        layers=layers,
        total=total,
        low=low,
        high=high,
        expected_false=settings["alpha"] * tried,
        up_to_date=done,
    )
