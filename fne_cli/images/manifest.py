"""Manifests: CSV or JSON Lines with `path`, and optionally label(s), ignored labels, split and a box."""

from __future__ import annotations

import csv
import difflib
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.listing import Listing, printable

COLUMNS = ("path", "label", "labels", "ignore", "split", "x0", "y0", "x1", "y1")
_BOX = ("x0", "y0", "x1", "y1")
_FAR = 2**31  # no image has so many pixels on a side


def read_manifest(manifest: str, root: str | None) -> Listing:
    """The images a manifest names, in its order; relative paths start at `root` (default: the manifest's folder)."""
    base = os.path.dirname(manifest) if root is None else root
    rows = _csv_rows(manifest) if manifest.lower().endswith(".csv") else _json_rows(manifest)
    ids, files, splits, labels, ignored, boxes = [], [], [], [], [], []
    several = False
    for where, row in rows:
        path = _text(row, "path", where)
        if not path:
            raise BadInput(f"{where} should have a path. Found: none beside {', '.join(map(repr, row))}.")
        if _text(row, "label", where) and row.get("labels"):
            raise BadInput(f"{where} should have label or labels. Found: both.")
        box = _box(row, where)
        several = several or bool(row.get("labels")) or ("labels" in row and "label" not in row)
        single = _text(row, "label", where)
        name = printable(os.path.normpath(path).replace(os.sep, "/"))
        ids.append(name if box is None else f"{name}#{','.join(map(_exact, box))}")
        files.append(os.path.join(base, path))
        splits.append(_text(row, "split", where))
        labels.append((single,) if single else _names(row, "labels", where))
        ignored.append(_names(row, "ignore", where))
        boxes.append(box)
    if any(ignored) and not several:
        raise BadInput(f"{manifest}: the column ignore goes with labels (several per image). Found: label.")
    whole = (0.0, 0.0, math.inf, math.inf)
    corners = np.array([box or whole for box in boxes]) if any(boxes) else None
    return Listing(
        ids=ids,
        files=files,
        splits=splits,
        labels=labels,
        ignored=ignored if several else [],
        boxes=corners,
        several=several,
    ).checked(manifest)


def _csv_rows(manifest: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with _opened(manifest) as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            _check_names(header, manifest)
            for name, times in Counter(header).items():
                if times > 1 and name in COLUMNS:
                    raise BadInput(f"{manifest} should have one column {name}. Found: {times}.")
            for fields in reader:
                where = f"{manifest}, line {reader.line_num},"
                if fields and len(fields) != len(header):
                    raise BadInput(f"{where} should have {len(header)} fields. Found: {len(fields)}.")
                if fields:
                    yield where, dict(zip(header, fields, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadInput(f"{manifest} should be CSV in UTF-8. Found: {error}.") from error


def _json_rows(manifest: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with _opened(manifest) as file:
        known: set[str] = set()
        try:
            for number, line in enumerate(file, start=1):
                where = f"{manifest}, line {number},"
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise BadInput(f"{where} should be a JSON object. Found: {error}.") from error
                if not isinstance(row, dict):
                    raise BadInput(f"{where} should be a JSON object. Found: {type(row).__name__}.")
                if not known.issuperset(row):
                    _check_names(("path", *row), where.removesuffix(","))
                    known.update(row)
                yield where, row
        except UnicodeDecodeError as error:
            raise BadInput(f"{manifest} should be JSON Lines in UTF-8. Found: {error}.") from error


def _opened(manifest: str) -> Any:
    try:
        return open(manifest, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise BadInput(f"{manifest} should be a manifest that can be read. Found: {error.strerror}.") from error


def _check_names(names: Any, where: str) -> None:
    """A column that looks like a misspelt one of ours is an error; any other extra column is the user's own."""
    if "path" not in names:
        raise BadInput(f"{where} should have a column path. Found: {', '.join(map(repr, names)) or 'nothing'}.")
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(str(name).strip().lower(), COLUMNS, n=1, cutoff=0.75)
            if near and near[0] not in names:
                raise BadInput(f"{where} has a column {name!r}. Did you mean {near[0]!r}?")


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, bool | float | list | dict):
        raise BadInput(f"{where} should have text under {name}. Found: {value!r}.")
    text = str(value)
    if "\0" in text:
        raise BadInput(f"{where} has a NUL character under {name}.")
    try:
        if name == "path":
            os.fsencode(text)  # bytes that are not UTF-8 come as lone surrogates, as os.listdir gives them
            return text
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{where} has a character that cannot be stored under {name}. Found: {text!a}.") from None
    return text.strip()  # or `a.jpg, test` would make a second split beside test


def _names(row: Mapping[str, Any], column: str, where: str) -> tuple[str, ...]:
    value = row.get(column)
    if isinstance(value, list):
        names = tuple(_text({column: entry}, column, where) for entry in value)
        if not all(names):
            raise BadInput(f"{where} should have names under {column}. Found: {value!r}.")
        return names
    return tuple(name.strip() for name in _text(row, column, where).split(";") if name.strip())


def _box(row: Mapping[str, Any], where: str) -> tuple[float, float, float, float] | None:
    given = [row.get(name) for name in _BOX]
    if all(value in (None, "") for value in given):
        return None
    try:
        x0, y0, x1, y1 = (float(value) for value in given)  # type: ignore[arg-type]  # None is caught below
        if not (max(map(abs, (x0, y0, x1, y1))) < _FAR and x0 < x1 and y0 < y1):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{where} should have a box with x0 < x1 and y0 < y1 in pixels. Found: {given}.") from None
    return x0, y0, x1, y1


def _exact(value: float) -> str:
    """A coordinate in the fewest digits that are still exactly it: ids name boxes, and different boxes differ."""
    return np.format_float_positional(value + 0.0, trim="-")
