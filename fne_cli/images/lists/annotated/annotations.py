"""Boxes of objects in images: PASCAL VOC's XML, COCO's JSON, or a CSV table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.annotated.voc import annotation
from fne_cli.images.lists.names import Names
from fne_cli.images.lists.rows import json_content, table_rows

_COLUMNS = ("path", "label", "x0", "y0", "x1", "y1")
_FAR = 2**31  # no image has so many pixels on a side
Box = tuple[float, float, float, float]


@dataclass
class Objects:
    """The objects of one image: their classes, boxes x0, y0, x1, y1 in pixels with x1, y1 outside, which are difficult.

    Difficult ones, and crowds, count neither as found nor as missed.
    """

    classes: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)

    def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) float64 and (n,) bool, which are difficult, of one class."""
        own = [place for place, one in enumerate(self.classes) if one == name]
        boxes = np.array([self.boxes[place] for place in own], np.float64).reshape(-1, 4)
        return boxes, np.array([self.difficult[place] for place in own], bool)


@dataclass(frozen=True)
class Annotations:
    """The objects of images, by the names that the annotations have for them."""

    path: str
    images: Mapping[str, Objects]

    @property
    def classes(self) -> list[str]:
        """Of all objects."""
        return sorted({name for objects in self.images.values() for name in objects.classes})

    def of(self, ids: Sequence[str]) -> list[Objects | None]:
        """For each image the objects of the annotation that fits its id, None where there is none.

        A name may lack the ending, and folders at its front. Raises BadInput if none fits, or one fits several images.
        """
        names = Names(ids)
        found: list[Objects | None] = [None] * len(ids)
        for name, objects in self.images.items():
            fitting = names.fitting(name)
            if len(fitting) > 1:
                raise BadInput(f"{self.path} should name one image by {name!r}. Found: {len(fitting):,} that fit.")
            if fitting:
                found[fitting[0]] = objects
        if ids and not any(one is not None for one in found):
            first = next(iter(self.images))
            raise BadInput(
                f"{self.path} should have boxes of these images, such as {ids[0]}. Found: {first} and others."
            )
        return found


def read_annotations(path: str) -> Annotations:
    """A folder of PASCAL VOC's .xml (or with a folder Annotations), COCO's .json, or a .csv with path, label and box.

    Raises BadInput that says what is wrong, and where.
    """
    if os.path.isdir(path):
        found = _of_voc(path)
    elif path.lower().endswith(".json"):
        found = _of_coco(path)
    elif path.lower().endswith((".csv", ".tsv")):
        found = _of_table(path)
    else:
        raise BadInput(f"{path} should be a folder of PASCAL VOC's XML, COCO's .json or a .csv. Found: something else.")
    if not found:
        raise BadInput(f"{path} should have boxes of images. Found: none.")
    return Annotations(path, found)


def _box(corners: Sequence[Any], where: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(value) for value in corners)
        if max(map(abs, (x0, y0, x1, y1))) < _FAR and x0 < x1 and y0 < y1:
            return x0, y0, x1, y1
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadInput(f"{where} should have a box with x0 < x1 and y0 < y1 in pixels. Found: {list(corners)!r:.80}.")


def _of_voc(folder: str) -> dict[str, Objects]:
    """Its pixels count from 1, and the last belongs to the box."""
    inner = os.path.join(folder, "Annotations")
    folder = inner if os.path.isdir(inner) else folder
    found = {}
    for name in sorted(os.listdir(folder)):
        stem, ending = os.path.splitext(name)
        if ending.lower() == ".xml":
            path = os.path.join(folder, name)
            found[stem] = _objects(annotation(path), path)
    return found


def _objects(root: ElementTree.Element, path: str) -> Objects:
    objects = Objects()
    for entry in root.iter("object"):
        corners = [entry.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        try:
            x0, y0, x1, y1 = (float(value or "") for value in corners)
        except ValueError:
            raise BadInput(f"{path} should have a box in every object. Found: {corners!r:.80}.") from None
        objects.classes.append((entry.findtext("name") or "").strip())
        objects.boxes.append(_box((x0 - 1, y0 - 1, x1, y1), path))
        objects.difficult.append((entry.findtext("difficult") or "0").strip() == "1")
        if not objects.classes[-1]:
            raise BadInput(f"{path} should have a name in every object. Found: one without.")
    return objects


def _of_coco(path: str) -> dict[str, Objects]:
    content = json_content(path)
    try:
        names = {_key(image["id"]): _name(image["file_name"]) for image in content["images"]}
        classes = {_key(one["id"]): _name(one["name"]) for one in content["categories"]}
        found = {name: Objects() for name in names.values()}
        for entry in content["annotations"]:
            x, y, width, height = map(float, entry["bbox"])
            own = found[names[_key(entry["image_id"])]]
            own.classes.append(classes[_key(entry["category_id"])])
            own.boxes.append(_box((x, y, x + width, y + height), f"{path}, annotation {entry.get('id')!r:.20},"))
            own.difficult.append(bool(entry.get("iscrowd", 0)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(
            f"{path} should be COCO's images, categories and annotations with bbox. Found: {what}."
        ) from error
    return found


def _key(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"the id {value!r:.40}")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"the name {value!r:.40}")
    return value


def _of_table(path: str) -> dict[str, Objects]:
    found: dict[str, Objects] = {}
    for where, row in table_rows(path, _check):
        values = [row[name] for name in _COLUMNS[:2]]
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise BadInput(f"{where} should have a path and a label. Found: {values!r:.80}.")
        objects = found.setdefault(str(values[0]).strip(), Objects())
        objects.classes.append(str(values[1]).strip())
        objects.boxes.append(_box([row[name] for name in _COLUMNS[2:]], where))
        objects.difficult.append(str(row.get("difficult") or "0").strip() in ("1", "true", "True"))
    return found


def _check(names: Sequence[str], where: str) -> None:
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise BadInput(f"{where} should have the columns {', '.join(_COLUMNS)}. Found: no {missing[0]}.")
