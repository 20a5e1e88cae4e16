"""What is to be read: one entry per row of the image table, as columns, in row order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self, TypeVar

from fne_cli.errors import BadInput
from fne_cli.images import names as entries
from fne_cli.images.gathering import Values
from fne_cli.images.lists.findings import NOTHING, Findings, Seen
from fne_cli.images.lists.layout import layout
from fne_cli.images.names import coded, compact, repeats
from fne_cli.images.pixels.formats import ENDINGS

if TYPE_CHECKING:  # who is up to date need not wait for it
    import numpy as np

# Never looked into: what datasets have beside every image, photographs as the camera's sensor saw them (which begin as
# TIFF files do, and whose first picture is a small preview), and copies and halves of files.
_NEVER = frozenset([
    ".txt", ".xml", ".json", ".csv", ".tar", ".zip", ".npy", ".npz", ".h5",
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw",
    ".bak", ".crdownload", ".download", ".old", ".orig", ".part", ".partial", ".swp", ".tmp",
])  # fmt: skip
HEAD = 64  # bytes that tell a format
_NO_LABEL = -1
_Value = TypeVar("_Value")
_WHOLE = 1 << 62  # a size that no file has: all of it is read


@dataclass(frozen=True)
class Listing:
    """Images in row order. All columns have one entry per image.

    ids: unique names. files: the path to open (the archive itself for members of one). splits: "" for none.
    labels: the names of the classes of each image (none, one or several). ignored: names of classes not to be judged.
    boxes: (n, 4) float64 x0, y0, x1, y1 in pixels of the upright image, or None. spans: (n, 2) int64 offset and size in
    an archive, or None. several: whether images may have several labels. findings: what was seen beside them.
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
    findings: Findings = NOTHING

    def __len__(self) -> int:
        return len(self.ids)

    def checked(self, origin: str) -> Self:
        """The listing with its classes. Raises BadInput if it is empty or has an id twice."""
        if not self.ids:
            left = self.findings.left_out_text()
            raise BadInput(f"{origin} should hold images. Found: none{f'; {left}' if left else ''}.")
        if repeats(self.ids) and len(set(self.ids)) < len(self.ids):
            repeated = [(name, times) for name, times in Counter(self.ids).items() if times > 1]
            name, times = repeated[0]
            raise BadInput(
                f"{origin} should name every image once. Found: {name!r} {times} times"
                + (f", and {len(repeated) - 1} more such images." if len(repeated) > 1 else ".")
            )
        names = {name for row in {*self.labels, *self.ignored} for name in row}
        found = replace(self, classes=sorted(names))
        return found if len(self) < entries.MANY else found.compacted()

    def compacted(self) -> Self:
        """The same in a quarter of the memory."""
        ids, files = compact(self.ids, self.files)
        return replace(
            self,
            ids=ids,
            files=files,
            splits=coded(self.splits),
            labels=coded(self.labels),
            ignored=coded(self.ignored),
        )

    def label_array(self) -> np.ndarray:
        """(n,) int32 class indices, -1 for none; with several labels (n, k) int8: 1 present, 0 absent, -1 ignore."""
        import numpy as np

        index = {name: number for number, name in enumerate(self.classes)}
        if not self.several:
            numbers = (index[row[0]] if row else _NO_LABEL for row in self.labels)
            return np.fromiter(numbers, np.int32, len(self))
        table = np.zeros((len(self), len(self.classes)), np.int8)
        for columns, value in ((self.ignored, -1), (self.labels, 1)):
            for number, row in enumerate(columns):
                table[number, [index[name] for name in row]] = value
        return table

    def part(self, numbers: Sequence[int]) -> Self:
        """The images of these numbers; all classes stay."""
        import numpy as np

        index = np.array(numbers, np.int64)

        def some(column: Sequence[_Value]) -> list[_Value]:
            return [column[number] for number in numbers]

        return replace(
            self,
            ids=some(self.ids),
            files=some(self.files),
            splits=some(self.splits),
            labels=some(self.labels),
            ignored=some(self.ignored) if self.ignored else [],
            boxes=None if self.boxes is None else self.boxes[index],
            spans=None if self.spans is None else self.spans[index],
        )

    def shard(self, number: int, count: int) -> Self:
        """Every `count`-th image, beginning with image `number`; all classes stay.

        Raises BadInput for more parts than images: one without any would be no file to merge.
        """
        if count > len(self):
            raise BadInput(f"--shard should make at most {len(self)} parts, one image each. Found: {count}.")
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

    def joined(self, other: Self, origin: str) -> Self:
        """The images of both, this one's first. Raises BadInput if they have an id in common."""
        import numpy as np

        count = len(self) + len(other)
        if (self.boxes is None) != (other.boxes is None) or self.several != other.several:
            raise BadInput(f"{origin} should be of one kind. Found: boxes, or several labels, in one of them only.")
        boxes = None if self.boxes is None or other.boxes is None else np.concatenate([self.boxes, other.boxes])
        spans = None
        if self.spans is not None or other.spans is not None:
            whole = (np.full((len(one), 2), (0, _WHOLE)) if one.spans is None else one.spans for one in (self, other))
            spans = np.concatenate(list(whole))
        ignored = [*(self.ignored or [()] * len(self)), *(other.ignored or [()] * len(other))]
        return replace(
            self,
            ids=[*self.ids, *other.ids],
            files=[*self.files, *other.files],
            splits=[*self.splits, *other.splits],
            labels=[*self.labels, *other.labels],
            ignored=ignored if len(ignored) == count and any(ignored) else [],
            boxes=boxes,
            spans=spans,
        ).checked(origin)


def is_image_name(name: str) -> bool:
    """Whether a file name has an ending that belongs to an image, and is not hidden."""
    return os.path.splitext(name)[1].lower() in ENDINGS and not name.startswith(".")


def content_decides(name: str) -> bool:
    """Whether the content decides, as the name of a file does not."""
    return not (name.startswith(".") or name.endswith("~") or os.path.splitext(name)[1].lower() in _NEVER)


def printable(name: str) -> str:
    """A name as valid UTF-8 without NUL: bytes that are not are written \\xNN, so that a name is never lost."""
    if name.isascii() and "\0" not in name:  # as nearly all of millions
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def from_paths(
    paths: Sequence[str],
    files: Sequence[str],
    origin: str,
    spans: np.ndarray | None = None,
    seen: Seen | None = None,
) -> Listing:
    """A listing of relative POSIX paths `class/name`, or `train/class/name` where the top folders are splits.

    seen: what else is there, if these are all images of a folder or an archive; a folder around all of them is then
    looked through. A path without a folder has no label. Raises BadInput for a mixture of split folders and others, and
    for a class folder that is a link to nowhere.
    """
    folders, last, number = Values[tuple[str, ...]](), None, 0  # a million paths share a few folders
    for path in paths:
        folder = path[: path.rfind("/") + 1]
        if folder == last:
            folders.again(number)
        else:
            number = folders.append(tuple(folder.split("/")[:-1][:3]))
            last = folder
    distinct = folders.values
    meaning = layout(distinct, origin, look_through=seen is not None)
    return Listing(
        ids=paths,
        files=files,
        splits=folders.column(meaning.split),
        labels=folders.column(meaning.label),
        spans=spans,
        findings=NOTHING if seen is None else seen.findings(distinct, meaning, origin),
    ).checked(origin)
