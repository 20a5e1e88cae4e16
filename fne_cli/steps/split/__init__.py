"""images -> a manifest that says which are for training and which for testing."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.images.lists import findings, source
from fne_cli.images.lists.annotated.annotations import Objects
from fne_cli.images.lists.annotated.voc import read_voc
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL, read_manifest
from fne_cli.images.lists.splits import by_lists, is_manifest, write_manifest
from fne_cli.images.regions import Divided, Windows, divided
from fne_cli.numerics.evaluation.protocols import strata, stratified_folds
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.split.boxes import annotated, by_overlap, objects_of, reached
from fne_cli.store.format.changes import image_changes
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.tasks.listed import image_table
from fne_cli.unprintable import plain

__all__ = ["Split", "Windows", "split"]

VALIDATION = ("val", "validation", "valid")
VOC_SETS = {"train": ("train",), "val": ("val",), "test": ("test",)}


@dataclass(frozen=True)
class Split:
    """The manifests, and how many images each split of the first one has ("" for images of none).

    regions: how many they have together, 0 if they are not divided.
    """

    paths: tuple[Path, ...]
    counts: dict[str, int]
    up_to_date: bool = False
    regions: int = 0


def split(
    images: str,
    manifest: Path,
    *,
    lists: Sequence[tuple[str, str]] = (),
    per_class: int | None = None,
    test: float | None = None,
    val: float | None = None,
    folds: int | None = None,
    voc: bool = False,
    holdout: float | None = None,
    regions: Windows | None = None,
    boxes: str | None = None,
    seed: int = 0,
    root: str | None = None,
    label_column: str = LABEL,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Split:
    """Write a manifest of all images with a column split; each of `folds` gets a manifest of its own.

    One of: official `lists` (split, file), `per_class` training images of each class, shares `test` and `val` drawn
    class by class, `folds`, `voc`, `holdout`. docs/cli.md describes them. regions: a row for each region of an image;
    boxes: annotations, with a row for each object, or what regions show by how much they overlap with objects; without
    one of the others images keep their splits. Raises BadInput, or DifferentOutput for other manifests.
    """
    given = sum(way is not None and way != () for way in (lists or None, per_class, test, folds, voc or None, holdout))
    if given > 1 or (given == 0 and regions is None and boxes is None):
        raise WrongOptions(
            "Give one way to split: --test 20% or --per-class 30, drawn by chance; --folds 5, for cross-validation; "
            "--list train=FILE, from official lists; --voc; --holdout 20%, of the training images; or none with "
            f"--regions or --boxes. Found: {'several' if given else 'none'}."
        )
    _check(manifest, val is not None and test is None and per_class is None, voc and label_column != LABEL)
    listing = read_voc(images, VOC_SETS) if voc else source.list_images(images, root, label_column)
    findings.tell(listing, images, progress)
    if listing.boxes is not None:
        raise BadInput(f"{images} should name images. Found: boxes, whose ids are not their paths.")
    if holdout is None:
        ways = _ways(listing, images, lists, per_class, test, val, folds, voc or not given, seed)
    else:
        ways = [_held_out(listing, images, holdout, seed)]
    single = len(ways) == 1
    paths = tuple(
        manifest if single else manifest.with_name(f"{manifest.stem}-{number}{manifest.suffix}")
        for number in range(1, len(ways) + 1)
    )
    options: dict[str, Any] = {"per_class": per_class, "test": test, "val": val, "folds": folds}
    options |= {"voc": voc, "seed": seed}
    # records of before do not have these
    later = {"holdout": holdout, "regions": None if regions is None else str(regions), "boxes": boxes and True}
    options |= {name: value for name, value in later.items() if value is not None}
    parts = Divided(listing, np.arange(len(listing))) if regions is None else _divided(listing, regions, progress)
    seen = ""
    if boxes is not None:
        objects, seen = objects_of(listing, boxes)
        parts = annotated(listing, objects) if regions is None else by_overlap(parts, objects)
        _say_what_is_annotated(parts if regions is not None else None, objects, progress)
    sources = [{"kind": "images", "fingerprint": _digest(listing, listing.splits)}, *map(_list_source, lists)]
    if regions is not None:
        sizes = "".join(f"{size}\n" for size in parts.sizes)
        sources.append({"kind": "sizes of images", "fingerprint": hashlib.sha256(sizes.encode()).hexdigest()})
    if boxes is not None:
        sources.append({"kind": "boxes", "fingerprint": seen})
    origin = Origin(
        "split",
        {**options, "lists": [name for name, _ in lists]},
        sources,
        {
            "images": (Path(images),),
            "lists": tuple(Path(file) for _, file in lists),
            "boxes": (Path(boxes),) if boxes else (),
        },
    )
    done = []
    for path, way in zip(paths, ways, strict=True):
        splits = [way[number] for number in parts.whose.tolist()]
        digest = _digest(parts.listing, splits, seen)
        what = "this split. Found: another one, or changed since"
        done.append(is_recorded(path, digest, origin, overwrite, what, ours=is_manifest))
        if not done[-1]:
            if path.exists() and not overwrite:
                _say_what_changed(path, replace(parts.listing, splits=splits), progress)
            with Output(path) as output:
                write_manifest(output.into, parts.listing, splits)
                output.accept_noted({"fingerprint": digest, **origin.noted_whole(path)})
    counts = dict(sorted(Counter(ways[0]).items()))
    if "" in counts and given:
        why = "are in no list and" if holdout is None else "are left out, as test images are, and"
        progress.note(f"{counts['']:,} of {len(listing):,} images {why} get no split")
    return Split(
        paths, counts, up_to_date=all(done), regions=0 if regions is None and boxes is None else len(parts.listing)
    )


def _divided(listing: Listing, regions: Windows, progress: Progress) -> Divided:
    """The regions of all images; those of which none could be made are named."""
    with progress.track(len(listing), "images") as advance:
        parts = divided(listing, regions, advance)
    if parts.bad:
        more = f" and {len(parts.bad) - 1:,} more" if len(parts.bad) > 1 else ""
        progress.note(
            f"{len(parts.bad):,} of {len(listing):,} images cannot be opened, and get one row without a box: "
            f"{plain(parts.bad[0])}{more}. fne extract says what is wrong with them"
        )
    return parts


def _check(manifest: Path, val_alone: bool, column_of_voc: bool) -> None:
    """Raises BadInput for options that do not go together."""
    if val_alone:
        raise BadInput("--val goes with --test or --per-class. Lists and VOC have their own validation images.")
    if manifest.suffix.lower() != ".csv":  # what reads it tells by the ending how it is written
        raise BadInput(f"{manifest} should be the name of a manifest to write, ending in .csv.")
    if column_of_voc:
        raise BadInput("--label-column names a column of a manifest. --voc has its classes in XML.")


def _list_source(given: tuple[str, str]) -> dict[str, str]:
    name, path = given
    return {"kind": f"list {name}", "fingerprint": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def _say_what_is_annotated(regions: Divided | None, objects: Sequence[Objects | None], progress: Progress) -> None:
    """Which images are not; and what regions are too large, too small or too far for: nobody finds that in them."""
    if without := sum(one is None for one in objects):
        progress.note(f"{without:,} of {len(objects):,} images have no annotation, and no labelled rows")
    found = {} if regions is None else reached(regions, objects)
    shares = [f"{plain(name)} {shown:,} of {count:,}" for name, (shown, count) in list(found.items())[:20]]
    more = f" and {len(found) - 20} more classes" if len(found) > 20 else ""
    if shares:
        progress.note(f"objects that some region overlaps with by half: {', '.join(shares)}{more}")


def _say_what_changed(manifest: Path, listing: Listing, progress: Progress) -> None:
    """How the images and their splits differ from those of the manifest that is replaced."""
    changes = image_changes(image_table(read_manifest(str(manifest), None)), image_table(listing)).lines()
    progress.note("\n  ".join([f"{manifest} is made again, as its inputs have changed:", *changes]))


def _ways(
    listing: Listing,
    images: str,
    lists: Sequence[tuple[str, str]],
    per_class: int | None,
    test: float | None,
    val: float | None,
    folds: int | None,
    own: bool,
    seed: int,
) -> list[Sequence[str]]:
    """The splits of every manifest to be written. own: whether images keep those that they have."""
    if own:
        return [listing.splits]
    if lists:
        files: dict[str, list[str]] = {}
        for name, path in lists:
            files.setdefault(name, []).append(path)
        return [by_lists(listing, files)]
    unlabelled = [name for name, labels in zip(listing.ids, listing.labels, strict=True) if not labels]
    if unlabelled and not listing.several:
        raise BadInput(f"{images} should have a label for every image. Found: none for {plain(unlabelled[0])}.")
    groups = strata(listing.label_array())
    if folds is not None:
        if folds > len(listing):
            raise BadInput(f"There should be at most {len(listing):,} folds, one image in each. Found: {folds}.")
        fold = stratified_folds(groups, folds, seed)
        return [np.where(fold == number, "test", "train").tolist() for number in range(folds)]
    if per_class is not None:
        return [_drawn(listing, images, groups, {"train": per_class}, val, seed)]
    shares = {"test": test or 0.0, "val": val or 0.0}
    if not 0 < sum(shares.values()) < 1:
        raise BadInput(f"--test and --val should leave images for training. Found: {sum(shares.values()):g} of all.")
    return [_shared(groups, shares, seed)]


def _drawn(
    listing: Listing, images: str, groups: np.ndarray, wanted: Mapping[str, int], val: float | None, seed: int
) -> list[str]:
    """So many training images of each class; of the others the share `val`, and the rest for testing."""
    if listing.several:
        raise BadInput(f"{images} should have one label per image to draw images per class. Found: several.")
    generator = np.random.default_rng(seed)
    splits = np.full(len(listing), "test", object)
    for group in np.unique(groups):
        members = generator.permutation(np.flatnonzero(groups == group))
        if len(members) <= wanted["train"]:
            raise BadInput(
                f"{images}: class {plain(listing.classes[group])} should have more than {wanted['train']} images, "
                f"to leave some for testing. Found: {len(members)}. Give a smaller --per-class."
            )
        splits[members[: wanted["train"]]] = "train"
        rest = members[wanted["train"] :]
        splits[rest[: round((val or 0.0) * len(rest))]] = "val"
    return splits.tolist()


def _shared(groups: np.ndarray, shares: Mapping[str, float], seed: int, least: int = 0) -> list[str]:
    """Shares of each class, rounded to whole images, `least` at least; one image at least stays for training."""
    generator = np.random.default_rng(seed)
    splits = np.full(len(groups), "train", object)
    for group in np.unique(groups):
        members = generator.permutation(np.flatnonzero(groups == group))
        for name, share in shares.items():
            count = min(max(least, round(share * (groups == group).sum())), len(members) - 1)
            splits[members[:count]] = name
            members = members[count:]
    return splits.tolist()


def _held_out(listing: Listing, images: str, share: float, seed: int) -> list[str]:
    """For choosing without the test images: split val in their place, or a share of each class of split train."""
    own = np.array([name if name in ("train", *VALIDATION) else "" for name in listing.splits], object)
    if not (own == "train").any():
        found = ", ".join(sorted(set(listing.splits) - {""})) or "none"
        raise BadInput(f"{images} should have images of split train to hold some out. Found: splits {found}.")
    if np.isin(own, VALIDATION).any():
        return np.where(np.isin(own, VALIDATION), "test", own).tolist()
    training = np.flatnonzero(own == "train")
    own[training] = _shared(strata(listing.label_array()[training]), {"test": share}, seed, 1)
    if not (own == "test").any():
        raise BadInput(
            f"{images} should have a class of two images of split train or more, to hold one out. Found: "
            f"{len(training):,} images in {len(listing.classes):,} classes. Give more images."
        )
    return own.tolist()


def _digest(listing: Listing, splits: Sequence[str], boxes: str = "") -> str:
    content = hashlib.sha256(boxes.encode())
    for name, labels, part in zip(listing.ids, listing.labels, splits, strict=True):
        content.update(f"{name}\0{labels}\0{part}\n".encode("utf-8", "backslashreplace"))
    return content.hexdigest()
