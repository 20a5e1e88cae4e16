"""Format version 2: what stands where in a file. docs/format.md describes it for people; a test compares the two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from json.encoder import encode_basestring
from typing import Any, Literal

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.store.format.text import canonical_json

FORMAT = "fne"
VERSION = 2
READABLE = (1, VERSION)
_FINGERPRINT_VERSION = 1  # what is fingerprinted, and how, is the same in both

Kind = Literal["activations", "moments", "standardized", "codes", "behavior", "projection", "vocabulary"]
MADE_BY: dict[str, str] = {
    "activations": "fne extract",
    "moments": "fne normalize",
    "standardized": "fne normalize --standardized",
    "codes": "fne discretize",
    "behavior": "fne analyze",
    "projection": "fne reduce",
    "vocabulary": "fne vocabulary",
}

WITHOUT_ROWS = ("moments", "behavior", "projection", "vocabulary")
"""Kinds that have tables, and no rows of images."""

CHUNK_BYTES = 1 << 20
MESSAGE_BYTES = 160
DIGEST_LENGTH = 64
ATTRIBUTE_BYTES = 64_000  # HDF5's limit is 64 KiB, with the attribute's name and type
NO_LABEL = -1

GOOD = 0

# Datasets of a layer in a moments file.
MOMENTS = ("mean", "std", "minimum", "maximum", "zeros")
# Datasets of a layer in a behavior file, (features, classes), and of all layers together.
BEHAVIOR = {"s": "f4", "z": "f4", "label": "i1"}
NOISE = ("sizes", "levels", "quantiles", "threshold")
SETS = ("absence", "uncharacteristic", "presence")
# Datasets of a layer in a projection file, as its embedding has them: float64, (features,) or (columns, features).
PROJECTION = {"mean": 1, "std": 1, "scale": 1, "centre": 1, "axes": 2}
# Datasets below /vocabulary by the model that they are for, and how many dimensions they have.
VOCABULARY: dict[str, dict[str, int]] = {
    "fisher": {"centre": 1, "axes": 2, "weights": 1, "means": 2, "variances": 2},
    "bow": {"words": 2, "spread": 1},
}
# Attributes of a layer that say where its values come from; `order` is the writer's own.
LAYER_TEXTS = ("tap", "output_shape", "pooling")


@dataclass(frozen=True)
class Layer:
    """One dataset below /layers: its name, the shape of one row, its type, and what its attributes say.

    Raises BadInput for a name that HDF5 would take for a path.
    """

    name: str
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name in ("", ".", "..") or "/" in self.name or "\0" in self.name:
            raise BadInput(f"A layer's name should have no slash in it. Found: {self.name!r}. Rename the layer.")

    @property
    def features(self) -> int:
        """Number of columns of the flattened row."""
        return int(np.prod(self.row_shape, dtype=np.int64))

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.features * self.dtype.itemsize


@dataclass
class Images:
    """The table below /images and /classes: one entry per image, in row order.

    path, split: n strings. label: (n,) int32 with -1 for none, or (n, k) int8 with 1 present, 0 absent, -1 ignore.
    status: (n,) uint8, 0 = good. message: n strings. sha256: n hexadecimal strings, "" if the file was never read.
    """

    path: Sequence[str]
    split: Sequence[str]
    label: np.ndarray
    classes: Sequence[str]
    status: np.ndarray
    message: Sequence[str]
    sha256: Sequence[str]

    def __len__(self) -> int:
        return len(self.path)

    @property
    def good(self) -> np.ndarray:
        """(n,) bool: which images have features."""
        return np.asarray(self.status) == GOOD

    @property
    def splits(self) -> list[str]:
        """The names of the splits that occur, in order of first appearance, without the empty one."""
        return [name for name in dict.fromkeys(self.split) if name]

    def chosen(self, rows: str | None) -> tuple[str, np.ndarray]:
        """The good images of a split, or of "all"; by default those of "train", or all if there are no splits.

        Returns the name of the choice and (n,) bool. Raises BadInput if that leaves no image.
        """
        names = {name: number for number, name in enumerate(dict.fromkeys(self.split))}
        index = np.fromiter((names[name] for name in self.split), np.int32, len(self))
        return choose(rows, names, index, self.good)


def shard_of(settings: Mapping[str, Any]) -> Any:
    """Which shard of an extraction a file is, or was made of; None: of the whole."""
    made_from = settings.get("activations")
    return settings.get("shard") or (made_from.get("shard") if isinstance(made_from, Mapping) else None)


def without_shard(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of an extraction, or of codes made from one, whichever part of the images it was of."""
    own = {name: value for name, value in settings.items() if name != "shard"}
    if isinstance(extraction := own.get("activations"), dict):
        own["activations"] = without_shard(extraction)
    return own


def comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a feature what it is. Batches change last bits only, and new images come in other numbers."""
    own = {name: value for name, value in without_shard(settings).items() if name not in ("batch_rows", "xla")}
    if isinstance(own.get("activations"), dict):
        own["activations"] = comparable(own["activations"])
    return own


def moments_of(sources: Sequence[Any]) -> dict[str, Any]:
    """Which moments codes or z-scores were made with, of their sources."""
    found = [part for part in sources if isinstance(part, dict) and part.get("kind") == "moments"]
    return {"moments": found[0].get("fingerprint") if found else None}


def choose(rows: str | None, names: Mapping[str, int], index: np.ndarray, good: np.ndarray) -> tuple[str, np.ndarray]:
    """Images.chosen, of splits given as names by number and (n,) numbers."""
    splits = [name for name in names if name]
    if rows is None:
        if splits and "train" not in splits:
            raise BadInput(f"There should be a split train. Found: {', '.join(splits)}. Choose one with --rows.")
        rows = "train" if splits else "all"
    chosen = good if rows == "all" else good & (index == names.get(rows, -1))
    if not chosen.any():
        raise BadInput(
            f"--rows {rows} should choose at least one good image. Found: none. "
            f"Splits: {', '.join(splits) or 'none'}; good images: {int(good.sum()):,} of {len(good):,}."
        )
    return rows, chosen


_LINES = 1 << 12  # of a fingerprint that are hashed at once


def fingerprint(kind: str, settings: Mapping[str, Any], sources: Any, images: Images | None = None) -> str:
    """SHA-256 over what determines a file's content, as 64 hexadecimal digits.

    The canonical JSON of format, version, kind, settings and sources, then (activations only) one line of canonical
    JSON per image: path, split, label, status and the SHA-256 of its bytes; then the classes.
    """
    blocks = [] if images is None else [images]
    return fingerprint_of_blocks(kind, settings, sources, blocks, None if images is None else images.classes)


def fingerprint_of_blocks(
    kind: str, settings: Mapping[str, Any], sources: Any, blocks: Iterable[Images], classes: Sequence[str] | None
) -> str:
    """The fingerprint of an image table that comes in blocks; without `classes`, of a file without one."""
    digest = hashlib.sha256()

    def line(value: Any) -> None:
        # Half characters, which a file's name may have, stand as the escapes that JSON has for them.
        digest.update(canonical_json(value).encode("utf-8", "backslashreplace") + b"\n")

    line({"format": FORMAT, "version": _FINGERPRINT_VERSION, "kind": kind, "settings": settings, "sources": sources})
    for images in blocks:
        rows = _image_lines(images)
        while some := "".join(islice(rows, _LINES)):
            digest.update(some.encode("utf-8", "backslashreplace"))
    if classes is not None:
        line(list(classes))
    return digest.hexdigest()


def _image_lines(images: Images) -> Iterator[str]:
    """The canonical JSON of each image's row, a line each: put together, as the encoder takes far longer for a list."""
    splits, numbers = _Encoded(), _Encoded()
    several = images.label.ndim == 2
    columns = (images.path, images.split, _listed(images.label), _listed(images.status), images.sha256)
    for path, split, label, status, sha256 in zip(*columns, strict=True):
        known = canonical_json(label) if several else numbers[label]
        yield f"[{encode_basestring(path)},{splits[split]},{known},{numbers[status]},{encode_basestring(sha256)}]\n"


class _Encoded(dict[Any, str]):
    """The canonical JSON of values that come again and again."""

    def __missing__(self, value: Any) -> str:
        text = self[value] = canonical_json(value)
        return text


def _listed(column: np.ndarray, block: int = 1 << 12) -> Iterator[Any]:
    """The rows of an array as plain numbers or lists of them, few at a time."""
    for start in range(0, len(column), block):
        yield from column[start : start + block].tolist()


EXISTING = ("in the existing output", "asked for")
BOTH = ("there", "here")


_UNSAID = {"decode": "full"}  # settings that are stored only where they are something else


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], words: tuple[str, str] = EXISTING) -> list[str]:
    """One line for each entry that differs: ``crops: 1 in the existing output, 5 asked for``, also within mappings.

    words: what is said of a value that was found, and of one that was wanted.
    """
    lines = []
    for key in sorted({*wanted, *found}):
        usual = _UNSAID.get(key)
        ours, theirs = wanted.get(key, usual), found.get(key, usual)
        if ours == theirs:
            continue
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            lines += [f"{key}.{line}" for line in differences(ours, theirs, words)]
        else:
            there, asked = _apart(theirs, ours)
            lines.append(f"{key}: {there} {words[0]}, {asked} {words[1]}")
    return lines


def image_differences(wanted: Images, found: Images) -> list[str]:
    """At most one line for each column in which two listings differ, naming the first image that does."""
    if len(wanted) != len(found):
        return [f"images: {len(found):,} in the existing output, {len(wanted):,} asked for"]
    if list(wanted.classes) != list(found.classes):
        changed = sorted({*wanted.classes} ^ {*found.classes})
        return [f"classes: {len(found.classes)} in the existing output, {len(wanted.classes)} asked for; {changed[:3]}"]
    lines = []
    for name, ours, theirs in (
        ("path", wanted.path, found.path),
        ("split", wanted.split, found.split),
        ("label", _listed(wanted.label), _listed(found.label)),
    ):
        for number, (asked, existing) in enumerate(zip(ours, theirs, strict=True)):
            if asked != existing:
                lines.append(
                    f"{name} of image {found.path[number]}: {_brief(existing)} in the existing output, "
                    f"{_brief(asked)} asked for"
                )
                break
    return lines


def _apart(one: Any, other: Any) -> tuple[str, str]:
    """Two values in brief; of long ones what is around the place where they begin to differ."""
    texts = _said(one), _said(other)
    common = next((place for place, pair in enumerate(zip(*texts, strict=False)) if pair[0] != pair[1]), 0)
    if common < 50 or len(texts[0]) <= 80 or len(texts[1]) <= 80:
        return _brief(one), _brief(other)
    start = common - 20
    parts = [f"...{text[start : start + 60]}{'...' if len(text) > start + 60 else ''}" for text in texts]
    return parts[0], parts[1]


def _said(value: Any) -> str:
    return "nothing" if value is None else canonical_json(value)


def _brief(value: Any) -> str:
    text = _said(value)
    return text if len(text) <= 80 else text[:60] + f"... ({len(text)} characters)"
