"""What the word IMAGES on the command line may be: a folder, a manifest, a tar, or - for paths on standard input."""

from __future__ import annotations

import codecs
import os
import re
import sys

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing, from_paths, is_image_name, printable
from fne_cli.images.lists.manifest import LABEL, read_manifest
from fne_cli.images.lists.paths import as_on_disk, why_missing
from fne_cli.images.lists.rows import TABLES, is_table
from fne_cli.images.lists.tree import from_folder

_TAR = re.compile(r".*\.(?:tar\.(?:gz|bz2|xz|zst)|tgz|tbz2?|txz)", re.IGNORECASE | re.DOTALL)
_WANTED = f"a folder, a manifest ({', '.join(TABLES)}), a .tar or -"


def list_images(images: str, root: str | None = None, label_column: str | None = LABEL) -> Listing:
    """The listing of IMAGES. label_column: of a manifest, None if classes do not matter.

    Raises BadInput that says what was expected and found.
    """
    if root is not None and not os.path.isdir(root):
        raise BadInput(f"--root should be the folder that the paths of {images} start from. Found: no folder {root}.")
    table = is_table(images) and not os.path.isdir(images)
    if label_column not in (LABEL, None) and not table:
        raise BadInput(f"--label-column names a column of a manifest ({', '.join(TABLES)}). Found: {images}.")
    if images == "-":
        return _not_all_missing(_from_lines(_lines(), root or "."), "standard input", root or ".")
    if os.path.isdir(images):
        return from_folder(images)
    if not os.path.exists(images):
        raise BadInput(f"{images} should be {_WANTED}. Found: no such file.")
    if table:
        base = os.path.dirname(images) if root is None else root
        return _not_all_missing(read_manifest(images, root, label_column), images, base)
    ending = os.path.splitext(images)[1].lower()
    if ending == ".tar" or _TAR.fullmatch(images):
        from fne_cli.images.lists.archive import from_tar  # with tarfile, for those who have one

        return from_tar(images)
    raise BadInput(
        f"{images} should be {_WANTED} for paths on standard input. Found: a file ending in {ending or 'nothing'}."
        f"{_remedy(images, ending)}"
    )


def _remedy(images: str, ending: str) -> str:
    if ending in (".zip", ".7z", ".rar"):
        return "\nUnpack it first, and give the folder" + (": unzip -d FOLDER ARCHIVE" if ending == ".zip" else ".")
    if ending in (".txt", ".lst"):
        return "\nA list of paths is read from standard input: fne extract - OUTPUT < LIST"
    return "\nGive the folder that it is in." if is_image_name(os.path.basename(images)) else ""


def _lines() -> list[str]:
    """What stands on standard input, one path a line, or between NULs as `find -print0` writes them."""
    if sys.stdin is None:
        raise BadInput("Standard input should have a path on every line. Found: it is closed.")
    content = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    return [os.fsdecode(line) for line in (content.split(b"\0") if b"\0" in content else content.splitlines()) if line]


def _from_lines(lines: list[str], root: str) -> Listing:
    """Paths in the given order; below `root` they name their class as a folder's paths do."""
    relative = [
        os.path.normpath(as_on_disk(root, os.path.relpath(line, root) if os.path.isabs(line) else line))
        for line in lines
    ]
    for line, path in zip(lines, relative, strict=True):
        if path.split("/")[0] == "..":
            raise BadInput(f"The paths on standard input should lie below --root {root}. Found: {printable(line)}.")
    files = [os.path.join(root, path) for path in relative]
    return from_paths([printable(path) for path in relative], files, "standard input")


def _not_all_missing(listing: Listing, origin: str, base: str) -> Listing:
    """The listing. Raises BadInput if it names no file that exists: a million zeros need not go through a network."""
    if not any(map(os.path.lexists, listing.files)):
        name = listing.ids[0].partition("#")[0] if listing.boxes is not None else listing.ids[0]
        raise BadInput(
            f"{origin} should name files that exist. Found: none of its {len(listing):,} does, such as "
            f"{listing.files[0]}.\n{why_missing(name, base)}"
        )
    return listing
