"""What was seen when images were listed, beside the images: said before the work, and no part of any file."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fne_cli.errors import BadInput
from fne_cli.images.lists.layout import Layout, split_name
from fne_cli.progress import Progress, counted

if TYPE_CHECKING:
    from fne_cli.images.lists.listing import Listing

_NAMED = 5
_ENDING = re.compile(r"\.[a-z0-9_+-]{1,12}")
_FILE_LIKE = re.compile(r".*\.[A-Za-z]\w{0,5}", re.DOTALL)
_LEVELS = 3  # a wrapper, a split, a class


@dataclass(frozen=True)
class Findings:
    """What a folder or an archive has beside images.

    left_out: files that are none, how many of each kind (`.txt`, `no ending`). by_name: folders that are left out by
    their name, how many of each. dangling: links that lead nowhere. empty: class folders without images. wrapper: the
    folder around everything that was looked through. undivided: folders named as splits that have no folders in them.
    """

    left_out: Mapping[str, int] = field(default_factory=dict)
    by_name: Mapping[str, int] = field(default_factory=dict)
    dangling: Sequence[str] = ()
    empty: Sequence[str] = ()
    wrapper: str = ""
    undivided: Sequence[str] = ()

    def left_out_text(self) -> str:
        """`7 files left out: .mov 4, no ending 3`, "" if none was."""
        total = sum(self.left_out.values())
        return f"{counted(total, 'file')} left out: {_most(self.left_out)}" if total else ""


NOTHING = Findings()


class Seen:
    """What is noted down while a folder or an archive is listed. Paths are relative, with / between their parts."""

    def __init__(self) -> None:
        self._left_out: Counter[str] = Counter()
        self._folders: set[str] = set()
        self._nobodys: set[str] = set()
        self._dangling: dict[str, str] = {}

    def folder(self, path: str) -> None:
        """A folder in which images may be."""
        self._folders.add(path)

    def no_image(self, kind: str) -> None:
        """A file that is left out, by what it counts as."""
        self._left_out[kind] += 1

    def nobodys(self, path: str) -> None:
        """A folder that is left out by its name."""
        self._nobodys.add(path)

    def dangling(self, path: str, target: str) -> None:
        """A link to what is not there."""
        self._dangling[path] = target

    def findings(self, above: Collection[tuple[str, ...]], meaning: Layout, origin: str) -> Findings:
        """What it comes to, given the folders that have images (three levels of them), and what they mean.

        Raises BadInput for a link to nowhere where a class folder should be: it would be a class that is missing.
        """
        for path, target in self._dangling.items():
            if meaning.is_class(path.split("/")) and not _FILE_LIKE.fullmatch(path):
                raise BadInput(
                    f"{path} in {origin} should be a folder of images. Found: a link to {target}, which is not there.\n"
                    "Mend the link, or remove it."
                )
        full = _with_outer(above)
        empty = _with_outer(tuple(path.split("/")[:_LEVELS]) for path in self._folders) - full
        return Findings(
            left_out=dict(self._left_out),
            by_name=Counter(path.rpartition("/")[2] for path in self._nobodys),
            dangling=sorted(self._dangling),
            empty=sorted("/".join(one) for one in empty if one[:-1] in full and meaning.is_class(one)),
            wrapper=meaning.wrapper,
            undivided=_undivided(above, meaning),
        )


def _with_outer(folders: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {one[:depth] for one in folders for depth in range(len(one) + 1)}


def _undivided(above: Collection[tuple[str, ...]], meaning: Layout) -> list[str]:
    """Class folders that are all called as splits are, of two splits at least."""
    tops = {name for folders in above for name in meaning.label(folders)}
    splits = {split_name(name) for name in tops}
    return sorted(tops) if not meaning.splits and None not in splits and len(splits) > 1 else []


def kind_of(name: str) -> str:
    """What a file that is no image counts as: its ending in small letters, or `no ending`."""
    ending = os.path.splitext(name)[1].lower()
    return ending if _ENDING.fullmatch(ending) else "no ending" if not ending else "other endings"


def tell(listing: Listing, images: str, progress: Progress) -> None:
    """Say what IMAGES are, and what a person should know of them."""
    lines = [f"{'standard input' if images == '-' else images}: {summary(listing)}"]
    for line in lines + [f"  {line}" for line in remarks(listing)]:
        progress.note(line.replace("\n", "\\n"))  # which a file's name may have


def summary(listing: Listing) -> str:
    """`26 images (train 17, test 9), 3 classes, 2 images without label`."""
    count = Counter(listing.splits)
    splits = [f"{name} {count[name]:,}" for name in ("train", "val", "test") if count[name]]
    if splits and count[""]:
        splits.append(f"without split {count['']:,}")
    without = counted(sum(not names for names in listing.labels), "image")
    kinds = f"{len(listing.classes):,} {'class' if len(listing.classes) == 1 else 'classes'}"
    return f"{counted(len(listing), 'image')} ({', '.join(splits) or 'no splits'}), {kinds}, {without} without label"


def remarks(listing: Listing) -> list[str]:
    """What a person should know of what was found, a sentence each; none if there is nothing."""
    found, lines = listing.findings, []
    if found.wrapper:
        lines.append(f"looked through the folder {found.wrapper}, which is around everything")
    if left := found.left_out_text():
        lines.append(left)
    if found.by_name:
        lines.append(f"folders left out by name: {_most(found.by_name)}")
    if found.dangling:
        links = "1 link that leads" if len(found.dangling) == 1 else f"{len(found.dangling):,} links that lead"
        lines.append(f"{links} nowhere: {_few(found.dangling)}")
    if found.empty:
        lines.append(f"{counted(len(found.empty), 'class folder')} without images: {_few(found.empty)}")
    if found.undivided:
        lines.append(f"taken for classes, not splits, as no class folders are in them: {_few(found.undivided)}")
    if len(listing.classes) == 1 and not listing.several:
        lines.append(f"all labelled images are of one class: {listing.classes[0]}")
    alike: dict[str, list[str]] = {}
    for name in listing.classes:
        alike.setdefault(unicodedata.normalize("NFC", name).casefold().strip(), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            lines.append(f"classes whose names are nearly the same: {_few([repr(name) for name in names])}")
    return lines


def _most(counts: Mapping[str, int]) -> str:
    """The most frequent with their numbers, and how many the others are."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(number for _, number in ranked[_NAMED:])
    return ", ".join(f"{name} {number:,}" for name, number in [*ranked[:_NAMED], *([("others", rest)] if rest else [])])


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
