"""A saved classifier: an .npz of plain arrays and a JSON text, written the same way every time, read with distrust."""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, FneError, WrongFile
from fne_cli.store.format.text import canonical_json, parse_json

FORMAT, VERSION = "fne model", 4
"""1 had no digest; 2 knew no classifier but the SVM, and these embeddings only; 3 no classifier but the SVM and ridge,
and had a weight for each feature, not for each column of rows that are reduced.

The least that has what is to be said is written.
"""
_LINEAR = ("svm", "ridge", "lda", "logistic", "centroid")
_NEIGHBOURS = re.compile(r"knn:[1-9]\d{0,5}")
_EMBEDDINGS_OF_2 = ("codes", "fne", "clipped", "l2", "raw", "standardized")
_HEAD = "head"
ArraysOf = Callable[[str], Sequence[str] | None]
"""From the name of an embedding; None if there is none of that name."""
_NEEDED = ("weights", "intercepts")
_AXES, _DEVIATIONS = "axes", "deviations"
_COMPONENTS = re.compile(r"(?:^|,)pca:(\d{1,9})(?:,lda:(\d{1,9}))?(?:,|$)")
_ROWS, _PLANES = ("rows", "labels"), ("positive", "negative", "labels")
"""What nearest neighbours have instead: the training rows, or the bit planes of codes."""
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f8|<f4|<i4|\|i1|\|u1)', 'fortran_order': False, 'shape': "
    rb"\((\d{1,12},|\d{1,12}, \d{1,12})\), \} *\n",
    re.DOTALL,
)


def save_model(path: Path, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and what `head` says of them to `path`."""
    described = {"format": FORMAT, "version": _version(head, arrays), **head}
    described["digest"] = _digest(described, arrays)
    text = np.frombuffer(canonical_json(described).encode(), np.uint8)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, values in {_HEAD: text, **arrays}.items():
            # a fixed date, so that the same command writes the same bytes
            member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def _version(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> int:
    if _AXES in arrays or head.get("classifier", "svm") not in ("svm", "ridge"):
        return VERSION
    return 3 if "classifier" in head or head["embedding"] not in _EMBEDDINGS_OF_2 else 2


def load_model(path: Path, arrays_of: ArraysOf) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `save_model` wrote. Raises BadInput, WrongFile or DamagedFile; nothing in the file is ever unpickled.

    arrays_of: the names of the arrays that an embedding of activations needs, one number for each feature; if `axes`
    is among them it is (columns, features), and what stands behind it has one number for each column.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if _HEAD not in members:
                raise WrongFile(
                    f"{path} should be a classifier that fne evaluate --save-classifier saved. Found: other arrays."
                )
            head = _checked_head(path, _array(path, archive, members[_HEAD], size), arrays_of)
            own = () if head["embedding"] == "codes" else arrays_of(head["embedding"]) or ()
            needed: tuple[str, ...] = _NEEDED
            if is_neighbours(head):
                needed = _ROWS if _ROWS[0] in members else _PLANES
            known = [name for name in (*needed, *own) if name in members]
            values = {name: _array(path, archive, members[name], size) for name in known}
    except OSError as error:
        raise BadInput(f"{path} should be a classifier that can be read. Found: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
        raise WrongFile(
            f"{path} should be a classifier that fne evaluate --save-classifier saved. Found: no .npz file ({error})."
        ) from error
    told = head.pop("digest", None)
    if head["version"] > 1 and told != _digest(head, values):
        raise DamagedFile(
            f"{path} should be as fne evaluate saved it. Found: bytes that have changed since.",
            remedy="Fetch a good copy, or train it again with --overwrite.",
        )
    columns, expected = _embedding_has(own, sum(head["layer_features"]), values)
    if is_neighbours(head):
        expected |= _neighbours_have(head, columns, values)
    else:
        classes = len(head["classes"])
        expected |= {"weights": ("float64", (classes, columns)), "intercepts": ("float64", (classes,))}
    for name, (dtype, shape) in expected.items():
        array = values.get(name)
        if array is None or array.shape != shape or array.dtype != dtype or not np.isfinite(array).all():
            found = "nothing" if array is None else f"{array.dtype} of shape {array.shape}"
            raise DamagedFile(f"{path}: {name} should be finite {dtype} of shape {shape}. Found: {found}.")
    _check_reduction(path, head["embedding"], {name: values[name] for name in own})
    if is_neighbours(head):
        least, largest = (-1, 1) if head["several_labels"] else (0, len(head["classes"]) - 1)
        labels = values["labels"]
        if labels.min() < least or labels.max() > largest:
            raise DamagedFile(f"{path}: labels should be {least} ... {largest}. Found: others.")
    return head, values


def _check_reduction(path: Path, embedding: str, values: Mapping[str, np.ndarray]) -> None:
    """Raises DamagedFile for axes of another number than the embedding says, and for deviations not above 0."""
    said = _COMPONENTS.search(embedding)
    if _AXES in values and said is not None and len(values[_AXES]) != int(wanted := said[2] or said[1]):
        raise DamagedFile(f"{path}: axes should be {wanted}, as its embedding says. Found: {len(values[_AXES]):,}.")
    if _DEVIATIONS in values and not (values[_DEVIATIONS] > 0).all():
        raise DamagedFile(f"{path}: deviations should be above 0. Found: {values[_DEVIATIONS].min():g}.")


def is_neighbours(head: Mapping[str, Any]) -> bool:
    """Whether a classifier is its training rows."""
    return _NEIGHBOURS.fullmatch(str(head.get("classifier"))) is not None


def _neighbours_have(
    head: Mapping[str, Any], features: int, values: Mapping[str, np.ndarray]
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of the training rows and their labels, as many as there are labels, and one at least."""
    labels = values.get("labels")
    count = max(1, len(labels)) if labels is not None and labels.ndim else 1
    told = ("int8", (count, len(head["classes"]))) if head["several_labels"] else ("int32", (count,))
    rows = {"rows": ("float32", (count, features))}
    planes = dict.fromkeys(_PLANES[:2], ("uint8", (count, -(-features // 8))))
    return {"labels": told, **(rows if "rows" in values else planes)}


def _embedding_has(
    own: Sequence[str], features: int, values: Mapping[str, np.ndarray]
) -> tuple[int, dict[str, tuple[str, tuple[int, ...]]]]:
    """Columns of the rows, and types and shapes of the arrays of an embedding; those behind `axes` are of columns."""
    columns, expected = features, dict[str, tuple[str, tuple[int, ...]]]()
    for name in own:
        if name == _AXES and name in values:
            columns = len(values[name])
        one = columns if _AXES in expected else features
        expected[name] = "float64", (columns, features) if name == _AXES else (one,)
    return columns, expected


def is_classifier(path: Path) -> bool:
    """Whether a file says that it is a classifier of ours; whatever else may be wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            head = _array(path, archive, archive.getinfo(f"{_HEAD}.npy"), path.stat().st_size)
        said = parse_json(head.tobytes())
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, FneError):
        return False
    return isinstance(said, dict) and said.get("format") == FORMAT


def _array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> np.ndarray:
    """One member; its sizes are compared with each other and with the file before memory is taken."""
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
        raise DamagedFile(f"{path}: {member.filename[:80]!r} should be stored as it is, within {size:,} bytes.")
    with archive.open(member) as file:
        content = file.read()
    # NumPy evaluates a header as Python; ours have one form only, so nothing but that form is taken
    header = _HEADER.match(content)
    shape = tuple(int(size) for size in header[2].split(b",") if size.strip()) if header else ()
    dtype = np.dtype(header[1].decode() if header else np.uint8)
    if header is None or math.prod(shape) * dtype.itemsize != len(content) - header.end():
        raise DamagedFile(f"{path}: {member.filename[:80]!r} should be a plain array. Found: another header or length.")
    return np.frombuffer(content, dtype, offset=header.end()).reshape(shape)


def _checked_head(path: Path, text: np.ndarray, arrays_of: ArraysOf) -> dict[str, Any]:
    try:
        head = parse_json(text.tobytes())
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise WrongFile(
            f"{path} should be a classifier that fne evaluate --save-classifier saved. Found: something else."
        )
    if head.get("version") not in range(1, VERSION + 1) or type(head["version"]) is not int:
        raise WrongFile(f"{path} should have version {VERSION} of the format. Found: {str(head.get('version'))[:20]}.")
    names = all(
        isinstance(head.get(key), list) and head[key] and all(map(_is_name, head[key])) for key in ("classes", "layers")
    )
    widths = head.get("layer_features")
    whole = (
        names
        and isinstance(widths, list)
        and len(widths) == len(head["layers"])
        and all(type(width) is int and 0 < width < 2**31 for width in widths)
        and isinstance(head.get("made_from"), dict)
        and isinstance(head.get("sources"), list)
        and isinstance(head.get("embedding"), str)
        and (head["embedding"] == "codes" or arrays_of(head["embedding"]) is not None)
        and head.get("aggregate") in ("vote", "sum")
        and type(head.get("several_labels")) is bool
        and isinstance(head.get("thresholds"), list)
        and len(head["thresholds"]) == 2
        and all(type(value) in (int, float) and abs(value) < 2**1000 for value in head["thresholds"])
        and (head.get("classifier", "svm") in _LINEAR or is_neighbours(head))
        and (not is_neighbours(head) or _is_temperature(head.get("temperature")))
    )
    if not whole:
        raise DamagedFile(f"{path}: its head should say classes, layers and how the features were made.")
    return dict(head)


def _digest(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the head and all arrays."""
    digest = hashlib.sha256(canonical_json(head).encode("utf-8", "backslashreplace"))
    for name, values in sorted(arrays.items()):
        digest.update(f"\n{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _is_temperature(value: Any) -> bool:
    """A number above 0, or what JSON has for infinity."""
    return value == "inf" or (type(value) in (int, float) and 0 < value < 2**1000)


def _is_name(value: Any) -> bool:
    """Text that can be written."""
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False
