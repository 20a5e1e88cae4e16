"""What is to be read: one entry per row of the image table, as columns, in row order."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from fne_cli.errors import BadInput

SPLITS = ("train", "val", "test")
ENDINGS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".jp2",
        ".avif",
        ".tga",
    ]
)
_NO_LABEL = -1


@dataclass(frozen=True)
class Listing:
    """Images in row order. All columns have one entry per image.

    ids: unique names. files: the path to open (the archive itself for members of one). splits: "" for none.
    labels: the names of the classes of each image (none, one or several). ignored: names of classes not to be judged.
    boxes: (n, 4) float64 x0, y0, x1, y1 in pixels, or None. spans: (n, 2) int64 offset and size in an archive, or None.
    several: whether images may have several labels.
    """

    ids: Sequence[str]
    files: Sequence[str]
    splits: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    boxes: np.ndarray | None = None
    spans: np.ndarray | None = None
    several: bool = False
    ignored: Sequence[tuple[str, ...]] = field(default_factory=list)
    classes: Sequence[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def checked(self, origin: str) -> Self:
        """The listing with its classes. Raises BadInput if it is empty or has an id twice."""
        if not self.ids:
            raise BadInput(
                f"{origin} should hold images. Found: none.\n"
                f"Put them in class folders ({origin}/cat/1.jpg), or give a manifest with a column path."
            )
        repeated = [name for name, times in Counter(self.ids).items() if times > 1]
        if repeated:
            raise BadInput(
                f"{origin} should name every image once. Found: {repeated[0]!r} {Counter(self.ids)[repeated[0]]} times"
                + (f", and {len(repeated) - 1} more such images." if len(repeated) > 1 else ".")
            )
        names = {name for row in (*self.labels, *self.ignored) for name in row}
        return replace(self, classes=sorted(names))

    def label_array(self) -> np.ndarray:
        """(n,) int32 class indices, -1 for none; with several labels (n, k) int8: 1 present, 0 absent, -1 ignore."""
        index = {name: number for number, name in enumerate(self.classes)}
        if not self.several:
            return np.array([index[row[0]] if row else _NO_LABEL for row in self.labels], np.int32)
        table = np.zeros((len(self), len(self.classes)), np.int8)
        for columns, value in ((self.ignored, -1), (self.labels, 1)):
            for number, row in enumerate(columns):
                table[number, [index[name] for name in row]] = value
        return table

    def shard(self, number: int, count: int) -> Self:
        """Every `count`-th image, beginning with image `number`; all classes stay."""
        part = slice(number, None, count)
        return replace(
            self,
            ids=self.ids[part],
            files=self.files[part],
            splits=self.splits[part],
            labels=self.labels[part],
            ignored=self.ignored[part],
            boxes=None if self.boxes is None else self.boxes[part],
            spans=None if self.spans is None else self.spans[part],
        )


def is_image_name(name: str) -> bool:
    """Whether a file name has an ending that belongs to an image, and is not hidden."""
    return os.path.splitext(name)[1].lower() in ENDINGS and not name.startswith(".")


def printable(name: str) -> str:
    """A file name as valid UTF-8: bytes that are not are written \\xNN, so that a name is never lost."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def from_paths(
    paths: Sequence[str], files: Sequence[str], origin: str, spans: np.ndarray | None = None, wrapped: bool = False
) -> Listing:
    """A listing of relative POSIX paths `class/name`, or `train/class/name` where the top folders are splits.

    With `wrapped` one more folder stands before these. A path without a folder has no label. Raises BadInput for a
    mixture of split folders and others.
    """
    parts = [path.split("/")[wrapped:] for path in paths]
    splits = labels = None
    if any(len(part) > 2 and part[0] in SPLITS for part in parts):
        others = sorted({part[0] for part in parts if len(part) > 1 and part[0] not in SPLITS})
        if others:
            raise BadInput(
                f"{origin} should have either class folders or the split folders train, val and test at its top.\n"
                f"Found: {', '.join(sorted({part[0] for part in parts} & set(SPLITS)))} beside {', '.join(others[:5])}."
            )
        splits = [part[0] if part[0] in SPLITS and len(part) > 1 else "" for part in parts]
        labels = [(part[1],) if len(part) > 2 else () for part in parts]
    return Listing(
        ids=paths,
        files=files,
        splits=splits or [""] * len(paths),
        labels=labels or [(part[0],) if len(part) > 1 else () for part in parts],
        spans=spans,
    ).checked(origin)


def from_folder(root: str) -> Listing:
    """All images below a folder, sorted by path. Links are followed; hidden files and folders are left out."""
    found: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_raise(root)):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        relative = os.path.relpath(folder, root)
        for name in filter(is_image_name, names):
            path = name if relative == "." else f"{relative}/{name}"
            found.append((printable(path), os.path.join(folder, name)))
    found.sort()
    return from_paths([path for path, _ in found], [file for _, file in found], root)


def _raise(root: str) -> Callable[[OSError], None]:
    def handler(error: OSError) -> None:
        raise BadInput(f"{root} should be a folder that can be read. Found: {error}.") from error

    return handler


def state_of(files: Sequence[str]) -> list[tuple[int, int]]:
    """(size, modification time in ns) of each file, (-1, 0) for one that is not a regular file."""
    known: dict[str, tuple[int, int]] = {}
    for file in files:
        if file not in known:
            try:
                status = os.stat(file)
                known[file] = (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (-1, 0)
            except OSError:
                known[file] = (-1, 0)
    return [known[file] for file in files]
