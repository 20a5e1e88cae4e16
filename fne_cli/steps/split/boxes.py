"""Annotated boxes as rows of a manifest, and what regions show by how much they overlap with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.annotated.annotations import Objects, read_annotations
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import boxed
from fne_cli.images.regions import Divided
from fne_cli.numerics.localization.detections import overlaps
from fne_cli.store.format.text import canonical_json

SHOWN, NEAR = 0.5, 0.3
"""A region shows a class if its overlap with an object is so much; between the two nobody can say."""


def objects_of(listing: Listing, boxes: str) -> tuple[list[Objects | None], str]:
    """The annotated objects of each image, None where there is no annotation; and a digest of them. Raises BadInput."""
    found = read_annotations(boxes).of(listing.ids)
    content = [None if one is None else asdict(one) for one in found]
    return found, hashlib.sha256(canonical_json(content).encode("utf-8", "backslashreplace")).hexdigest()


def annotated(listing: Listing, objects: Sequence[Objects | None]) -> Divided:
    """A row for each object that is not difficult, with its class; for boxes of several classes with all of them."""
    ids, boxes, labels, whose = [], [], [], []
    for number, own in enumerate(objects):
        classes: dict[tuple[float, float, float, float], set[str]] = {}
        for name, box, difficult in () if own is None else zip(own.classes, own.boxes, own.difficult, strict=True):
            if not difficult:
                classes.setdefault(box, set()).add(name)
        for box, names in classes.items():
            ids.append(boxed(listing.ids[number], box))
            boxes.append(box)
            labels.append(tuple(sorted(names)))
            whose.append(number)
    if not ids:
        raise BadInput("--boxes should have objects that are not difficult. Found: none.")
    several = any(len(names) > 1 for names in labels)
    places = np.array(whose, np.int64)
    rows = Listing(
        ids=ids,
        files=[listing.files[number] for number in whose],
        splits=[listing.splits[number] for number in whose],
        labels=labels,
        ignored=[()] * len(ids) if several else [],
        boxes=np.array(boxes),
        spans=None if listing.spans is None else listing.spans[places],
        several=several,
    )
    return Divided(rows.checked("--boxes"), places)


def reached(parts: Divided, objects: Sequence[Objects | None]) -> dict[str, tuple[int, int]]:
    """By class how many objects, difficult ones left out, some region shows; and how many there are."""
    boxes = parts.listing.boxes
    assert boxes is not None
    found: dict[str, tuple[int, int]] = {}
    ends = np.searchsorted(parts.whose, np.arange(len(objects) + 1))  # regions of an image follow each other
    for number, own in enumerate(objects):
        regions = boxes[ends[number] : ends[number + 1]]
        if own is None or not own.boxes or np.isinf(regions).any():
            continue
        best = overlaps(regions, np.array(own.boxes)).max(axis=0)
        for name, overlap, difficult in zip(own.classes, best.tolist(), own.difficult, strict=True):
            if not difficult:
                shown, count = found.get(name, (0, 0))
                found[name] = (shown + (overlap >= SHOWN), count + 1)
    return dict(sorted(found.items()))


def by_overlap(parts: Divided, objects: Sequence[Objects | None]) -> Divided:
    """The regions with the classes of the objects that they overlap with by half or more, and those to be ignored.

    Regions of images without annotation have no label. Difficult objects, and overlaps from 0.3 on, are ignored.
    """
    regions = parts.listing
    labels: list[tuple[str, ...]] = []
    ignored: list[tuple[str, ...]] = []
    assert regions.boxes is not None
    for box, number in zip(regions.boxes, parts.whose.tolist(), strict=True):
        own = objects[number]
        if own is None or not own.boxes or np.isinf(box).any():
            labels.append(())
            ignored.append(())
            continue
        found = overlaps(box[None], np.array(own.boxes))[0]
        known = list(zip(own.classes, found.tolist(), own.difficult, strict=True))
        shown = {name for name, overlap, difficult in known if overlap >= SHOWN and not difficult}
        near = {name for name, overlap, _ in known if overlap >= NEAR} - shown
        labels.append(tuple(sorted(shown)))
        ignored.append(tuple(sorted(near)))
    listing = replace(regions, labels=labels, ignored=ignored, several=True)
    return replace(parts, listing=listing.checked("--regions"))
