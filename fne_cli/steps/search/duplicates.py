"""Pairs of images that are the same picture, by bytes, pixels or near vectors; those across splits come first."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit, WrongOptions
from fne_cli.figures.gallery import Gallery, Pair
from fne_cli.machine import free_memory, processors
from fne_cli.numerics.neighbours.distances import Metric
from fne_cli.numerics.neighbours.search import Wanted, find
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.search.options import SearchOptions
from fne_cli.steps.search.pictures import Pictures
from fne_cli.steps.search.sides import Listed, listed
from fne_cli.steps.search.tables import check_ending, write_json_lines
from fne_cli.steps.search.twins import KIND_NAMES, Twins, line_of, order, write_pairs
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.leaks import first_of_same
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.vectors.options import KINDS, VectorOptions
from fne_cli.vectors.vectors import Vectors

CODES, LENGTH, SCORES = 0.1, 0.0015, 0.02
"""How near is the same picture: L1 of codes, as a share of the features; cosine of rows as they are, of z-scores."""
_PAIR_BYTES = 200


@dataclass(frozen=True)
class Duplicates:
    """How many pairs of each kind there are, across splits and within one, among how many images.

    across_images: how many images have a twin in another split. relabelled: pairs with different labels. pixels:
    whether pixels were compared. path: the output, if there is one; without, `lines` has an object for each pair.
    """

    path: Path | None
    images: int
    metric: str
    within: float
    pixels: bool
    across: dict[str, int] = field(default_factory=dict)
    inside: dict[str, int] = field(default_factory=dict)
    across_images: int = 0
    relabelled: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    up_to_date: bool = False


def find_duplicates(
    features: Path,
    output: Path | None = None,
    *,
    vectors: VectorOptions = VectorOptions(),  # noqa: B008  # frozen
    options: SearchOptions = SearchOptions(),  # noqa: B008  # frozen
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Duplicates:
    """Find the pairs of images that are the same picture.

    Bytes are compared by their SHA-256, which is in the file; pixels with `options.images`, of the pairs that are near;
    near is `options.within`, or what `CODES`, `LENGTH` and `SCORES` say. output: .csv, .jsonl or .html.
    """
    ending = "" if output is None else check_ending(output)
    _check(options, ending)
    memory = options.memory or free_memory() // 2
    with ExitStack() as stack:
        files = stack.enter_context(JoinedFiles(features, *KINDS))
        compared = Vectors(files, vectors, memory)
        wanted = options.wanted(compared.ternary, files.crops, page=False)
        wanted = replace(wanted, count=None, within=_threshold(compared, options, wanted.metric))
        numbers = np.flatnonzero(files.good)
        if not len(numbers):
            raise BadInput(f"{files.name} should have good images to compare. Found: none.")
        done = Duplicates(output, len(numbers), wanted.metric, wanted.within, options.images is not None)
        origin = _origin(compared, wanted, options, ending)
        what = "these duplicates. Found: another file, or one that has changed since"
        if output is not None and is_recorded(output, origin.fingerprint, origin, overwrite, what, progress):
            return replace(done, up_to_date=True)
        images = listed(files, numbers)
        twins = _found(compared, numbers, images, wanted, memory, progress)
        shown_from = Pictures.of(options.images, options.root, files.settings)
        if options.images is not None:
            twins = _by_pixels(twins, images, shown_from, progress)
        twins.sort(key=order)
        done = replace(done, **_counts(twins, images))
        lines = [line_of(one, images, wanted.metric) for one in twins]
        if output is None:
            return replace(done, lines=lines)
        with Output(output) as target:
            if ending == ".html":
                _write_page(target.into, twins, images, shown_from, files, done, options)
            else:
                write = write_pairs if ending == ".csv" else write_json_lines
                with open(target.into, "w", newline="", encoding="utf-8") as file:
                    write(file, lines)
            target.accept_noted({"fingerprint": origin.fingerprint, **origin.noted_whole(output)})
        return done


def _check(options: SearchOptions, ending: str) -> None:
    for name in ("neighbours", "queries", "among", "model", "weights", "moments"):
        if getattr(options, name) not in (None, "all"):
            raise WrongOptions(f"--{name} is not for --duplicates, which compares all images. Leave it out.")
    if options.root is not None and options.images is None:
        raise WrongOptions("--root says where the paths of a manifest start. Give --images with it.")
    if ending == ".html" and importlib.util.find_spec("jinja2") is None:
        raise BadInput("A page needs Jinja2, which is not installed. pip install 'fne-cli[report]'")


def _threshold(vectors: Vectors, options: SearchOptions, metric: Metric) -> float:
    """How near is the same picture. Raises WrongOptions where nobody measured that."""
    if options.within is not None:
        return options.within
    if metric == "l1":
        return CODES * vectors.count
    known = {"l2": LENGTH, "raw": SCORES if vectors.files.kind == "standardized" else LENGTH, "standardized": SCORES}
    if metric == "cosine" and vectors.called in known:
        return known[vectors.called]
    raise WrongOptions(
        f"How near the same picture is should be known, for {metric} of {vectors.called}. Found: nobody has measured "
        "it. Give --within."
    )


def _origin(vectors: Vectors, wanted: Wanted, options: SearchOptions, ending: str) -> Origin:
    settings = {
        **vectors.described(), "metric": wanted.metric, "form": ending,
        "within": None if wanted.within == np.inf else wanted.within,
        "images": options.images, "root": options.root,
        **({"shown": options.shown} if ending == ".html" else {}),
    }  # fmt: skip
    return Origin(
        "duplicates",
        settings,
        vectors.sources(),
        vectors.inputs_by_role(),
        with_network=("layers", "within"),
        network=vectors.files.settings,
    )


def _found(
    vectors: Vectors, numbers: np.ndarray, images: Listed, wanted: Wanted, memory: int, progress: Progress
) -> list[Twins]:
    """Pairs with equal bytes, and those within the distance. Raises DoesNotFit for more than there is room for."""
    rows, most = vectors.rows(numbers), memory // 4 // _PAIR_BYTES
    same = first_of_same(vectors.files)[numbers]
    pairs: dict[tuple[int, int], float] = {}  # of images of several crops each way may be another one: the shorter
    with progress.track(len(numbers), "images") as advance:
        for span, part in find(rows, rows, wanted, memory // 2, np.arange(len(numbers))):
            for number in range(len(part)):
                first = span.start + number
                for second, distance in zip(*(values.tolist() for values in part.of(number)), strict=True):
                    pair = (first, second) if first < second else (second, first)
                    pairs[pair] = min(distance, pairs.get(pair, np.inf))
            _check_few(len(pairs), most)
            advance(len(part))
    found = [_twins(images, same, *pair, distance) for pair, distance in pairs.items()]
    groups: dict[int, list[int]] = {}
    for place, picture in enumerate(same.tolist()):
        groups.setdefault(picture, []).append(place)
    for group in groups.values():
        for number, first in enumerate(group):  # whose rows differ where a file was made on two machines
            missed = [second for second in group[number + 1 :] if (first, second) not in pairs]
            found += [_twins(images, same, first, second, float("nan")) for second in missed]
            _check_few(len(found), most)
    return found


def _check_few(count: int, most: int) -> None:
    if count > most:
        raise DoesNotFit(
            f"At most {most:,} pairs have room in the memory. Found: more.\n"
            "Take a smaller --within, or allow more memory."
        )


def _twins(images: Listed, same: np.ndarray, first: int, second: int, distance: float) -> Twins:
    equal = same[first] == same[second]
    across = images.split[first] != images.split[second]
    return Twins("bytes" if equal else "near", first, second, distance, across)


def _by_pixels(twins: Sequence[Twins], images: Listed, shown_from: Pictures, progress: Progress) -> list[Twins]:
    """The same, those that are near marked if their pixels are equal."""
    near = sorted({place for one in twins if one.kind == "near" for place in (one.first, one.second)})
    with progress.track(len(near), "pictures") as advance:
        digests = dict(zip(near, shown_from.pixels(images, near, processors(), advance), strict=True))
    equal = (digests.get(one.first) and digests.get(one.first) == digests.get(one.second) for one in twins)
    return [
        replace(one, kind="pixels") if same and one.kind == "near" else one
        for one, same in zip(twins, equal, strict=True)
    ]


def _counts(twins: Iterable[Twins], images: Listed) -> dict[str, Any]:
    twins = list(twins)
    labels = images.label
    return {
        "across": dict(Counter(one.kind for one in twins if one.across)),
        "inside": dict(Counter(one.kind for one in twins if not one.across)),
        "across_images": len({place for one in twins if one.across for place in (one.first, one.second)}),
        "relabelled": sum(
            bool(labels[one.first] and labels[one.second]) and labels[one.first] != labels[one.second] for one in twins
        ),
    }


def _write_page(
    path: Path,
    twins: Sequence[Twins],
    images: Listed,
    shown_from: Pictures,
    files: JoinedFiles,
    done: Duplicates,
    options: SearchOptions,
) -> None:
    """Write the page of the first pairs."""
    from fne_cli.figures.gallery_page import render  # needs Jinja2

    shown = twins[: options.shown]
    places = sorted({place for one in shown for place in (one.first, one.second)})
    shots = dict(zip(places, shown_from.shots(images, places), strict=True))
    pairs = [Pair(one.kind, one.distance, one.across, shots[one.first], shots[one.second]) for one in shown]
    count, apart = len(twins), sum(done.across.values())
    lead = f"{count:,} pairs among {done.images:,} images, {apart:,} across splits ({done.across_images:,} images)."
    notes = [*_notes(count, len(pairs)), *(["Pixels were not compared: --images was not given."] * (not done.pixels))]
    facts = [
        ("features", files.name),
        ("near", f"{done.metric} of at most {done.within:g}"),
        *((f"{where}, {kind}", f"{counts.get(kind, 0):,}")
          for where, counts in (("across splits", done.across), ("within a split", done.inside)) for kind in KIND_NAMES
          if kind != "pixels" or done.pixels),
        ("labels differ", f"{done.relabelled:,} pairs"),
    ]  # fmt: skip
    path.write_bytes(render(Gallery(f"Duplicates in {files.name}", lead, facts, notes, pairs=pairs)))


def _notes(count: int, shown: int) -> Iterator[str]:
    if shown < count:
        yield f"The first {shown:,} of {count:,} pairs are shown; a .csv has all of them."
    if not count:
        yield "No two images are the same picture."
