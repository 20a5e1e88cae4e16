"""The PASCAL VOC layout: Annotations/*.xml, ImageSets/Main/{train,val,test}.txt, JPEGImages/*.jpg."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing, printable

MAX_BYTES = 1 << 20  # of one annotation; real ones have a few thousand


def read_voc(folder: str, sets: Mapping[str, Sequence[str]]) -> Listing:
    """All images of the sets, {split: names of files in ImageSets/Main without .txt}, with the classes they show.

    A class of which an image has only objects marked as difficult is to be ignored there, as the challenge does. An id
    is JPEGImages/<name>.jpg. Raises BadInput naming the file that is not as it should be.
    """
    ids, splits, labels, ignored = [], [], [], []
    for split, names in sets.items():
        for name in names:
            for image in _image_set(os.path.join(folder, "ImageSets", "Main", f"{name}.txt")):
                shown, difficult = _objects(os.path.join(folder, "Annotations", f"{image}.xml"))
                ids.append(printable(f"JPEGImages/{image}.jpg"))
                splits.append(split)
                labels.append(tuple(sorted(shown)))
                ignored.append(tuple(sorted(difficult - shown)))
    files = [os.path.join(folder, name) for name in ids]
    return Listing(ids=ids, files=files, splits=splits, labels=labels, ignored=ignored, several=True).checked(folder)


def _image_set(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            names = [line.split()[0] for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} should be a list of images of PASCAL VOC. Found: {error}.") from error
    for name in names:
        if os.path.basename(name) != name:
            raise BadInput(f"{path} should have names of images without folders. Found: {name!r}.")
    return names


def annotation(path: str) -> ElementTree.Element:
    """What an annotation of PASCAL VOC says. Raises BadInput for what is none, and for what could grow when read."""
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        with open(path, "rb") as file:
            content = file.read()
        if b"<!" in content.replace(b"<!--", b""):  # annotations have no definitions, and entities can grow
            raise ValueError("a document type or entities")
        return ElementTree.fromstring(content)  # noqa: S314  # nothing in it can be expanded
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise BadInput(f"{path} should be an annotation of PASCAL VOC (XML). Found: {error}.") from error


def _objects(path: str) -> tuple[set[str], set[str]]:
    """The classes of the objects of an image, and those of its difficult objects."""
    root = annotation(path)
    shown: set[str] = set()
    difficult: set[str] = set()
    for entry in root.iter("object"):
        name = (entry.findtext("name") or "").strip()
        if not name:
            raise BadInput(f"{path} should have a name in every object. Found: one without.")
        (difficult if (entry.findtext("difficult") or "0").strip() == "1" else shown).add(name)
    return shown, difficult
