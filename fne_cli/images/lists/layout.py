"""What the names of folders mean: splits, classes, a folder around everything, and folders that nobody put there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fne_cli.errors import BadInput

SPLITS = ("train", "val", "test")
_SPLIT = re.compile(r"(?:(train|training)|(val|valid|validation)|(test|testing))[-_ ]?(?:set)?", re.IGNORECASE)
# What operating systems, network drives and notebooks put beside people's files; .ipynb_checkpoints has copies.
_NOBODYS = frozenset([
    "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information", "__macosx", ".ipynb_checkpoints",
])  # fmt: skip


@lru_cache(maxsize=1024)
def split_name(text: str) -> str | None:
    """The split that a folder or a value means (`Training_Set` is train), None if it is none of them."""
    match = _SPLIT.fullmatch(text.strip())
    return SPLITS[(match.lastindex or 0) - 1] if match else None


def is_nobodys(name: str) -> bool:
    """Whether a folder is not of images, whatever is in it, by its name."""
    return name.lower() in _NOBODYS


@dataclass(frozen=True)
class Layout:
    """What the folders of a path say.

    wrapper: a folder around everything, "" for none. splits: whether they come before the classes. Folders are given as
    tuples of names, outermost first.
    """

    wrapper: str = ""
    splits: bool = False

    def split(self, folders: Sequence[str]) -> str:
        """The split, "" for none."""
        inner = self._inner(folders)
        return (split_name(inner[0]) or "") if self.splits and inner else ""

    def label(self, folders: Sequence[str]) -> tuple[str, ...]:
        """The class: a tuple of its name, or of nothing."""
        return tuple(self._inner(folders)[self.splits :][:1])

    def is_class(self, folders: Sequence[str]) -> bool:
        """Whether this folder stands for a class, or for a split or the wrapper, and not for a part of one."""
        inner = self._inner(folders)
        return len(inner) <= 1 + self.splits

    def _inner(self, folders: Sequence[str]) -> Sequence[str]:
        return folders[1:] if self.wrapper and folders and folders[0] == self.wrapper else folders


def layout(above: Iterable[tuple[str, ...]], origin: str, look_through: bool) -> Layout:
    """The layout of images below these folders, as tuples of names. With `look_through` one folder round all is none.

    The folders at the top are splits if there are folders in one called train, val or test, or in two that mean other
    splits (`Training`, `test_set`), or if there are no others. Raises BadInput if others are beside them.
    """
    found = set(above)
    wrapper = _wrapper(found) if look_through else ""
    inner = [folders[1:] if wrapper else folders for folders in found]
    tops = {folders[0] for folders in inner if folders}
    named = {top for top in tops if split_name(top)}
    divided = {folders[0] for folders in inner if len(folders) > 1} & named
    others = sorted(tops - named)
    if not divided or (others and divided.isdisjoint(SPLITS) and len(set(map(split_name, divided))) == 1):
        return Layout(wrapper)
    if others:
        raise BadInput(
            f"{origin} should have either class folders or the split folders train, val and test at its top.\n"
            f"Found: {', '.join(sorted(named))} beside {', '.join(others[:5])}."
        )
    return Layout(wrapper, splits=True)


def _wrapper(above: set[tuple[str, ...]]) -> str:
    """The folder that has all others in it, and no images itself: it is no class, and no split."""
    tops = {folders[:1] for folders in above}
    if len(tops) != 1 or not all(len(folders) > 1 for folders in above):
        return ""
    ((name,),) = tops
    return "" if split_name(name) else name
