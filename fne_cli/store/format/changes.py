"""How one image table differs from another, in words: images that came, went, have other names, labels or splits."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fne_cli.store.format.schema import NO_LABEL, Images
from fne_cli.unprintable import plain

_SHOWN = 3  # of each sort of change, by name


@dataclass(frozen=True)
class ImageChanges:
    """What became of the images of an older table in a newer one, by their paths.

    renamed: (old, new) of images whose bytes are now found under another path. replaced: images whose bytes differ.
    moved: whether those that stayed stand in another order. classes: (old, new) of classes of another name for the same
    images. relabelled, resplit: (path, before, now); a renamed class is no new label.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    moved: bool = False
    classes: list[tuple[str, str]] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    gone_classes: list[str] = field(default_factory=list)
    relabelled: list[tuple[str, str, str]] = field(default_factory=list)
    resplit: list[tuple[str, str, str]] = field(default_factory=list)
    several: bool = False

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return bool(self.lines())

    def lines(self) -> list[str]:
        """One line for each sort of change, with the first few by name."""
        pairs = [f"{old} -> {new}" for old, new in self.renamed]
        found = [
            _line(len(self.added), "image", "added", self.added),
            _line(len(self.removed), "image", "removed", self.removed),
            _line(len(self.renamed), "image", "renamed", pairs),
            _line(len(self.replaced), "image", "with other content", self.replaced),
            "images stand in another order" if self.moved else "",
            _line(len(self.classes), "class", "renamed", [f"{old} -> {new}" for old, new in self.classes]),
            _line(len(self.new_classes), "class", "added", self.new_classes),
            _line(len(self.gone_classes), "class", "removed", self.gone_classes),
            _line(len(self.relabelled), "label", "changed", [_change(*change) for change in self.relabelled]),
            _line(len(self.resplit), "split", "changed", [_change(*change) for change in self.resplit]),
            "several labels per image instead of one, or the other way round" if self.several else "",
        ]
        return [line for line in found if line]


def image_changes(old: Images, new: Images) -> ImageChanges:
    """What changed from `old` to `new`. Of a `new` whose images were not read yet (sha256 ""), contents do not count.

    An image is renamed if its path is new, and the bytes are those of one whose path is gone.
    """
    old_paths, new_paths = list(old.path), list(new.path)
    old_sha, new_sha, old_split, new_split = list(old.sha256), list(new.sha256), list(old.split), list(new.split)
    was = {path: number for number, path in enumerate(old_paths)}
    now = {path: number for number, path in enumerate(new_paths)}
    gone = {path for path in old_paths if path not in now}
    by_content: dict[str, deque[str]] = {}
    for path, content in zip(old_paths, old_sha, strict=True):
        if path in gone and content:
            by_content.setdefault(content, deque()).append(path)
    renamed: list[tuple[str, str]] = []
    added: list[str] = []
    for path, content in zip(new_paths, new_sha, strict=True):
        if path in was:
            continue
        if content and by_content.get(content):
            renamed.append((by_content[content].popleft(), path))
            gone.discard(renamed[-1][0])
        else:
            added.append(path)
    pairs = [(was[path], number) for path, number in now.items() if path in was]
    order = np.fromiter((before for before, _ in pairs), np.int64, len(pairs))
    same = pairs + [(was[before], now[path]) for before, path in renamed]
    replaced = [new_paths[after] for before, after in pairs if new_sha[after] and old_sha[before] != new_sha[after]]
    several = old.label.ndim != new.label.ndim
    classes, relabelled = ({}, []) if several else _labels(old, new, new_paths, same)
    return ImageChanges(
        added=added,
        removed=sorted(gone, key=was.__getitem__),
        renamed=renamed,
        replaced=replaced,
        moved=bool((np.diff(order) < 0).any()),
        classes=sorted(classes.items()),
        new_classes=[name for name in new.classes if name not in old.classes and name not in classes.values()],
        gone_classes=[name for name in old.classes if name not in new.classes and name not in classes],
        relabelled=relabelled,
        resplit=[
            (new_paths[after], old_split[before], new_split[after])
            for before, after in same
            if old_split[before] != new_split[after]
        ],
        several=several,
    )


def _labels(
    old: Images, new: Images, paths: Sequence[str], same: Sequence[tuple[int, int]]
) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Classes that have another name for most of their images, and the other changes of labels."""
    became: dict[str, Counter[str]] = {}
    told: list[tuple[int, str, str]] = []
    for before, after in same:
        earlier, later = _named(old.label[before], old.classes), _named(new.label[after], new.classes)
        if old.label.ndim == 1 and earlier:
            became.setdefault(earlier, Counter())[later] += 1
        if earlier != later:
            told.append((after, earlier, later))
    ours, theirs = set(old.classes), set(new.classes)
    renamed: dict[str, str] = {}
    for name, counts in became.items():
        (most, count), *_ = counts.most_common(1)
        new_name = most and most not in ours and most not in renamed.values()
        if name not in theirs and new_name and 2 * count > counts.total():
            renamed[name] = most
    return renamed, [
        (paths[number], earlier, later) for number, earlier, later in told if renamed.get(earlier) != later
    ]


def _named(label: np.ndarray | np.integer, classes: Sequence[str]) -> str:
    """The class of an image, "" for none; several with + between, and - before those that do not count."""
    if np.ndim(label) == 0:
        return "" if label == NO_LABEL else classes[int(label)]
    marked = np.flatnonzero(label).tolist()
    return "+".join(("-" if label[number] < 0 else "") + classes[number] for number in marked)  # type: ignore[index]  # an array here


def _change(path: str, before: str, now: str) -> str:
    return f"{path}: {before or 'none'} -> {now or 'none'}"


def _line(count: int, what: str, happened: str, names: Iterable[str]) -> str:
    """``3 images added: a, b, c``; of many the first few."""
    if not count:
        return ""
    plural = what if count == 1 else what + ("es" if what.endswith("s") else "s")
    shown = [plain(name) for name, _ in zip(names, range(_SHOWN), strict=False)]
    return f"{count:,} {plural} {happened}: {', '.join(shown)}" + (" ..." if count > len(shown) else "")
