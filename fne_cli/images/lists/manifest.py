"""Manifests: tables with `path`, and optionally label(s), ignored labels, split and a box."""

from __future__ import annotations

import difflib
import math
import os
import re
import shlex
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.images.gathering import Texts, Values
from fne_cli.images.lists.layout import split_name
from fne_cli.images.lists.listing import Listing, printable
from fne_cli.images.lists.paths import as_on_disk
from fne_cli.images.lists.rows import table_rows
from fne_cli.images.names import Below, repeated

LABEL = "label"
COLUMNS = ("path", LABEL, "labels", "ignore", "split", "x0", "y0", "x1", "y1")
_BOX = ("x0", "y0", "x1", "y1")
_WHOLE = (0.0, 0.0, math.inf, math.inf)
_FAR = 2**31  # no image has so many pixels on a side
_NO_VALUE = frozenset(["nan", "NaN", "NAN", "<NA>"])  # what pandas makes of an empty field
_LIKE_LABEL = re.compile(
    r"(class|category|species|label|target)[ _-]?(name|id|idx|index)?|classes|categories|targets?|y|tags?",
    re.IGNORECASE,
)
_LIKE_PATH = re.compile(r"(image|img|file)?[ _-]?(path|name|file)s?|images?|imgs?|files?|url|id", re.IGNORECASE)


def read_manifest(manifest: str, root: str | None, label_column: str | None = LABEL) -> Listing:
    """The images a manifest names, in its order; relative paths start at `root` (default: the manifest's folder).

    label_column: the column of the class, None if classes do not matter. Raises BadInput with the line.
    """
    base = os.path.dirname(manifest) if root is None else root
    columns = _Columns(manifest, label_column)
    ids, files, splits = Texts(), _Files(os.path.join(base, "")), Values[str]()
    labels, ignored, boxes = Values[tuple[str, ...]](), Values[tuple[str, ...]](), array("d")
    several = False
    for where, row in table_rows(manifest, columns.check):
        path = _text(row, "path", where)
        if not path:
            raise BadInput(f"{where} should have a path. Found: none beside {', '.join(map(repr, row))}.")
        box = _box(row, where)
        path = as_on_disk(base, path)
        name = printable(os.path.normpath(path).replace(os.sep, "/"))
        if box is not None:
            name = boxed(name, box)
        if box is not None or boxes:
            boxes.extend(_WHOLE * (len(ids) - len(boxes) // len(_WHOLE)))  # of those that were there without
            boxes.extend(box or _WHOLE)
        files.append(os.path.join(base, path), name, len(ids))
        ids.append(name)
        splits.append(_split(row, where))
        if label_column is None:
            continue
        single, names = _text(row, label_column, where), _names(row, "labels", where)
        if single and names:
            raise BadInput(f"{where} should have {label_column} or labels. Found: both.")
        several = several or bool(names) or ("labels" in row and label_column not in row)
        named, left = (single,) if single else names, _names(row, "ignore", where)
        labels.append(named)
        ignored.append(left)
    columns.check_label()
    if any(ignored.values) and not several:
        raise BadInput(f"{manifest}: the column ignore goes with labels (several per image). Found: {label_column}.")
    own = ids.column()
    corners = None
    if boxes:
        import numpy as np  # here: who is up to date need not wait for it

        corners = np.array(boxes).reshape(-1, len(_WHOLE))
    listing = Listing(
        ids=own,
        files=files.column(own),
        splits=splits.column(),
        labels=repeated((), len(own)) if label_column is None else labels.column(),
        ignored=ignored.column() if several else [],
        boxes=corners,
        several=several,
    ).checked(manifest)
    _check_numbers(listing.classes, manifest)
    return listing


class _Files:
    """The files of images, which mostly are called as these are: only then nothing is kept."""

    def __init__(self, prefix: str) -> None:
        self._prefix, self._first = prefix, 0  # of those that are kept, from the first that is called otherwise
        self._kept: Texts | None = None

    def append(self, file: str, name: str, number: int) -> None:
        """Add the file of image `number`."""
        if self._kept is None and file != self._prefix + name:
            self._first, self._kept = number, Texts()
        if self._kept is not None:
            self._kept.append(file)

    def column(self, names: Sequence[str]) -> Sequence[str]:
        """All of them, given the names of all images."""
        below = Below(self._prefix, names)
        if self._kept is None:
            return below
        files = Texts()
        for file in chain(islice(below, self._first), self._kept.column()):
            files.append(file)
        return files.column()


class _Columns:
    """The names of columns, and what is wrong with them."""

    def __init__(self, manifest: str, label: str | None) -> None:
        if label in COLUMNS and label != LABEL:
            raise BadInput(
                f"--label-column should name the column that has the class of an image. Found: {label}, which has "
                "its own meaning."
            )
        self._manifest, self._label = manifest, label
        self._ours = {*COLUMNS, label}
        self._meant = [name for name in COLUMNS if label == LABEL or name not in (LABEL, "labels", "ignore")]
        self._seen: set[str] = set()

    def check(self, names: Sequence[str], where: str) -> None:
        """A column that looks like a misspelt one of ours is an error; any other extra column is the user's own."""
        self._seen.update(names)
        table = where == self._manifest  # whose first line has all names; a row may lack some
        if table and "path" not in names:
            near = [name for name in names if _LIKE_PATH.fullmatch(name.strip())]
            raise BadInput(
                f"{where} should have a column path. Found: {', '.join(map(repr, names)) or 'nothing'}."
                + (f"\nRename {near[0]!r} to path, if it says where the images are." if near else "")
            )
        for name, times in Counter(names).items():
            if times > 1 and name in self._ours:
                raise BadInput(f"{where} should have one column {name}. Found: {times}.")
        for name in names:
            if name not in self._ours:
                near = difflib.get_close_matches(name.strip().lower(), self._meant, n=1, cutoff=0.75)
                if near and near[0] not in names:
                    remedy = f"\nRename it, or give --label-column {shlex.quote(name)}." if near[0] == LABEL else ""
                    raise BadInput(f"{where} has a column {name!r}. Did you mean {near[0]!r}?{remedy}")

    def check_label(self) -> None:
        """Raises BadInput if the column of the label is not there, or seems to have another name."""
        label, seen = self._label, self._seen
        if label is None or label in seen or not seen:
            return
        if label != LABEL:
            raise BadInput(
                f"{self._manifest} should have the column {label} that --label-column names. Found: "
                f"{', '.join(map(repr, sorted(seen)))}."
            )
        near = sorted(name for name in seen - set(COLUMNS) if _LIKE_LABEL.fullmatch(name.strip()))
        if "x" in seen:
            near = [name for name in near if name != "y"]  # a place, not what is there
        if near and "labels" not in seen:
            raise BadInput(
                f"{self._manifest} should have its classes in a column label. Found: none, but "
                f"{', '.join(map(repr, near))}.\nGive --label-column {shlex.quote(near[0])}, or rename the column if "
                "it does not say what an image shows."
            )


def _check_numbers(classes: Sequence[str], manifest: str) -> None:
    """Raises BadInput for a class 1 beside a class 1.0: they are one, and some program has written its number anew."""
    known = set(classes)
    for name in classes:
        whole = re.sub(r"\.0+$", "", name)
        if whole != name and whole in known and re.fullmatch(r"-?\d+", whole):
            raise BadInput(f"{manifest} should write every class in one way. Found: {whole!r} and {name!r}.")


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        raise BadInput(f"{where} should have text under {name}. Found: {value!r}.")
    text = str(value)
    if "\0" in text:
        raise BadInput(f"{where} has a NUL character under {name}.")
    if text.strip() in _NO_VALUE:
        return ""
    if text.isascii():  # as nearly all of millions
        return text if name == "path" else text.strip()
    try:
        if name == "path":
            os.fsencode(text)  # bytes that are not UTF-8 come as lone surrogates, as os.listdir gives them
            return text
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{where} has a character that cannot be stored under {name}. Found: {text!a}.") from None
    return text.strip()  # or `a.jpg, test` would make a second split beside test


def _split(row: Mapping[str, Any], where: str) -> str:
    """As the folders of images have it: `Training` is train. Raises BadInput for what is none."""
    text = _text(row, "split", where)
    split = split_name(text) if text else ""
    if split is None:
        raise BadInput(f"{where} should have the split train, val or test, or none. Found: {text!r}.")
    return split


def _names(row: Mapping[str, Any], column: str, where: str) -> tuple[str, ...]:
    value = row.get(column)
    if value is None:
        return ()
    if isinstance(value, list):
        names = tuple(_text({column: entry}, column, where) for entry in value)
        if not all(names):
            raise BadInput(f"{where} should have names under {column}. Found: {value!r}.")
        return names
    return tuple(name.strip() for name in _text(row, column, where).split(";") if name.strip())


def _box(row: Mapping[str, Any], where: str) -> tuple[float, float, float, float] | None:
    if row.keys().isdisjoint(_BOX):
        return None
    given = [row.get(name) for name in _BOX]
    if all(value is None or (isinstance(value, str) and value.strip() in {"", *_NO_VALUE}) for value in given):
        return None
    try:
        x0, y0, x1, y1 = (float(value) for value in given)  # type: ignore[arg-type]  # None is caught below
        if not (max(map(abs, (x0, y0, x1, y1))) < _FAR and x0 < x1 and y0 < y1):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{where} should have a box with x0 < x1 and y0 < y1 in pixels. Found: {given}.") from None
    return x0, y0, x1, y1


def boxed(name: str, box: Sequence[float]) -> str:
    """The id of a part of an image: its name, and the box x0, y0, x1, y1."""
    return f"{name}#{','.join(map(exact, box))}"


def exact(value: float) -> str:
    """A coordinate in the fewest digits that are still exactly it: ids name boxes, and different boxes differ."""
    import numpy as np

    return np.format_float_positional(value + 0.0, trim="-")
