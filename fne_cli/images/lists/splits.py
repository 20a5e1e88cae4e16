"""Official lists of training and test images, matched with what is on the disk, and manifests with splits."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import exact
from fne_cli.images.lists.names import Names

_COLUMNS = {False: ("path", "label", "split"), True: ("path", "labels", "ignore", "split")}
_BOX = ("x0", "y0", "x1", "y1")


def by_lists(listing: Listing, lists: Mapping[str, Sequence[str]]) -> list[str]:
    """The split of every image as lists of paths name it, {split: files}; "" for images that no list names.

    A line may leave out the ending of the image, or have more folders at its front, or fewer, as long as it fits one
    image only. Raises BadInput for a line that fits none or several, and for an image in two splits.
    """
    found = [""] * len(listing)
    names = Names(listing.ids)
    for split, files in lists.items():
        for path in files:
            for number, line in enumerate(_lines(path), start=1):
                image = _fitting(names, line, f"{path}, line {number},")
                if found[image] not in ("", split):
                    raise BadInput(
                        f"{path}, line {number}, should not name an image of split {found[image]} again. "
                        f"Found: {listing.ids[image]}."
                    )
                found[image] = split
    return found


def _fitting(names: Names, line: str, where: str) -> int:
    found = names.fitting(line)
    if len(found) > 1:
        raise BadInput(f"{where} should name one image. Found: {line!r}, which fits {len(found):,} of them.")
    if not found:
        raise BadInput(f"{where} should name an image that is there. Found: {line!r}.")
    return found[0]


def _lines(path: str) -> list[str]:
    """The first word of every line, as lists with labels behind the path have it; a path with spaces if it is alone."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} should be a list of images, a path on every line. Found: {error}.") from error
    return [_without_label(line) for line in lines if line]


def _without_label(line: str) -> str:
    head, _, last = line.rpartition(" ")
    return head.strip() if head and last.lstrip("-").isdigit() else line


def is_manifest(path: Path) -> bool:
    """Whether the first line of a file is that of a manifest which `write_manifest` wrote."""
    try:
        with open(path, "rb") as file:
            head = file.readline(80)
    except OSError:
        return False
    return head in [(",".join(columns + box) + "\n").encode() for columns in _COLUMNS.values() for box in ((), _BOX)]


def write_manifest(path: Path, listing: Listing, splits: Sequence[str]) -> None:
    """A CSV manifest with the ids of the listing as paths, and these splits; with boxes if it has some."""
    boxes = listing.boxes
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(_COLUMNS[listing.several] + (() if boxes is None else _BOX))
        for number, (name, split) in enumerate(zip(listing.ids, splits, strict=True)):
            labels = ";".join(listing.labels[number])
            ignored = (";".join(listing.ignored[number]),) if listing.several else ()
            if boxes is not None:
                whole = bool(np.isinf(boxes[number]).any())
                corners = ("",) * len(_BOX) if whole else tuple(map(exact, boxes[number].tolist()))
                lines.writerow((name if whole else name.rpartition("#")[0], labels, *ignored, split, *corners))
            else:
                lines.writerow((name, labels, *ignored, split))
