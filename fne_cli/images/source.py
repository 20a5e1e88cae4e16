"""What the word IMAGES on the command line may be: a folder, a manifest, a tar, or - for paths on standard input."""

from __future__ import annotations

import os
import sys

from fne_cli.errors import BadInput
from fne_cli.images.archive import from_tar
from fne_cli.images.listing import Listing, from_paths, printable
from fne_cli.images.manifest import read_manifest
from fne_cli.images.tree import from_folder


def list_images(images: str, root: str | None = None) -> Listing:
    """The listing of IMAGES. Raises BadInput that says what was expected and found."""
    if root is not None and not os.path.isdir(root):
        raise BadInput(f"--root should be the folder that the paths of {images} start from. Found: no folder {root}.")
    if images == "-":
        return _not_all_missing(_from_lines(_lines(), root or "."), "standard input")
    if os.path.isdir(images):
        return from_folder(images)
    if not os.path.exists(images):
        raise BadInput(f"{images} should be a folder, a manifest (.csv, .jsonl), a .tar or -. Found: no such file.")
    ending = os.path.splitext(images)[1].lower()
    if ending in (".csv", ".jsonl"):
        return _not_all_missing(read_manifest(images, root), images)
    if ending == ".tar":
        return from_tar(images)
    raise BadInput(
        f"{images} should be a folder, a manifest (.csv, .jsonl), a .tar or - for paths on standard input. "
        f"Found: a file ending in {ending or 'nothing'}."
    )


def _lines() -> list[str]:
    """What stands on standard input, one path a line, or between NULs as `find -print0` writes them."""
    if sys.stdin is None:
        raise BadInput("Standard input should have a path on every line. Found: it is closed.")
    content = sys.stdin.buffer.read()
    return [os.fsdecode(line) for line in (content.split(b"\0") if b"\0" in content else content.splitlines()) if line]


def _from_lines(lines: list[str], root: str) -> Listing:
    """Paths in the given order; below `root` they name their class as a folder's paths do."""
    relative = [os.path.relpath(line, root) if os.path.isabs(line) else os.path.normpath(line) for line in lines]
    for line, path in zip(lines, relative, strict=True):
        if path.split("/")[0] == "..":
            raise BadInput(f"The paths on standard input should lie below --root {root}. Found: {printable(line)}.")
    files = [os.path.join(root, path) for path in relative]
    return from_paths([printable(path) for path in relative], files, "standard input")


def _not_all_missing(listing: Listing, origin: str) -> Listing:
    """The listing. Raises BadInput if it names no file that exists: a million zeros need not go through a network."""
    if not any(map(os.path.lexists, listing.files)):
        raise BadInput(
            f"{origin} should name files that exist. Found: none of its {len(listing):,} does, such as "
            f"{listing.files[0]}.\nGive the folder that its paths start from: --root FOLDER."
        )
    return listing
