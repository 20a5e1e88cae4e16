"""A folder of images: everything below it is looked at, and what is no image is counted."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fne_cli.errors import BadInput
from fne_cli.images.gathering import SortedTexts, Texts
from fne_cli.images.lists.findings import Seen, kind_of
from fne_cli.images.lists.layout import Layout, is_nobodys
from fne_cli.images.lists.listing import HEAD, Listing, content_decides, from_paths, is_image_name, printable
from fne_cli.images.names import Below
from fne_cli.images.pixels.formats import looks_like_image


def from_folder(root: str) -> Listing:
    """All images below a folder, sorted by path. Links are followed; hidden files and folders are left out.

    A file whose name does not say what it is is looked into. Raises BadInput as `from_paths`, and for no images.
    """
    seen = Seen()
    try:
        gathered, others = _walked(root, seen)
    except OSError as error:
        raise BadInput(f"{root} should be a folder that can be read. Found: {error}.") from error
    if not gathered:
        left = seen.findings((), Layout(), root).left_out_text()
        raise BadInput(
            f"{root} should hold images. Found: none{f'; {left}' if left else ''}.\n"
            f"Put them in class folders ({root}/cat/1.jpg), or give a manifest with a column path."
        )
    found = gathered.column()
    files: Sequence[str] = Below(os.path.join(root, ""), found)
    if others:
        own = Texts()
        for path, file in zip(found, files, strict=True):
            own.append(others.get(path, file))
        files = own.column()
    return from_paths(found, files, root, seen=seen)


def _walked(root: str, seen: Seen) -> tuple[SortedTexts, dict[str, str]]:
    """The names of all images, and the files of those that are called otherwise. Raises OSError."""
    found, others, below = SortedTexts(), dict[str, str](), os.path.join(root, "")
    pending: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(root, "", frozenset())]
    while pending:
        folder, prefix, above = pending.pop()
        status = os.stat(folder)
        here = above | {(status.st_dev, status.st_ino)}
        if here == above:  # a link that leads back up
            continue
        if prefix:
            seen.folder(printable(prefix[:-1]))
        folders = []
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if _is_folder(entry):
                    if is_nobodys(entry.name):
                        seen.nobodys(printable(path))
                    elif not entry.name.startswith("."):
                        folders.append((entry.path, f"{path}/", here))
                elif not entry.name.startswith(".") and _is_image(entry, name := printable(path), seen):
                    found.append(name)
                    if entry.path != below + name:
                        others[name] = entry.path
        # The first one last, as it is the next: so what is found comes nearly in order.
        pending += sorted(folders, key=lambda one: printable(one[1]), reverse=True)
        found.pause()
    return found, others


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_image(entry: os.DirEntry[str], path: str, seen: Seen) -> bool:
    """Whether to list what is no folder. What is called an image is one, even if nobody can read it: it has a row."""
    if entry.is_symlink() and _leads_nowhere(entry):
        seen.dangling(path, printable(os.readlink(entry.path)))
        return is_image_name(entry.name)
    if is_image_name(entry.name):
        return True
    if content_decides(entry.name) and entry.is_file() and looks_like_image(_head(entry.path)):
        return True
    seen.no_image(kind_of(entry.name))
    return False


def _leads_nowhere(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except OSError:
        return True
    return False


def _head(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(HEAD)
    except OSError:
        return b""
