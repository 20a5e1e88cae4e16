"""What the word IMAGES on the command line may be: a folder, a manifest, a tar, or - for paths on standard input."""

from __future__ import annotations

import os
import sys

from fne_cli.errors import BadInput
from fne_cli.images.archive import from_tar
from fne_cli.images.listing import Listing, from_folder, from_paths, printable
from fne_cli.images.manifest import read_manifest


def list_images(images: str, root: str | None = None) -> Listing:
    """The listing of IMAGES. Raises BadInput that says what was expected and found."""
    if images == "-":
        return _from_lines([os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines()], root or ".")
    if os.path.isdir(images):
        return from_folder(images)
    if not os.path.exists(images):
        raise BadInput(f"{images} should be a folder, a manifest (.csv, .jsonl), a .tar or -. Found: no such file.")
    ending = os.path.splitext(images)[1].lower()
    if ending in (".csv", ".jsonl"):
        return read_manifest(images, root)
    if ending == ".tar":
        return from_tar(images)
    raise BadInput(
        f"{images} should be a folder, a manifest (.csv, .jsonl), a .tar or - for paths on standard input. "
        f"Found: a file ending in {ending or 'nothing'}."
    )


def _from_lines(lines: list[str], root: str) -> Listing:
    """Paths, one a line, in the given order; below `root` they name their class as a folder's paths do."""
    lines = [line for line in lines if line]
    relative = [os.path.relpath(line, root) if os.path.isabs(line) else os.path.normpath(line) for line in lines]
    for line, path in zip(lines, relative, strict=True):
        if path.split("/")[0] == "..":
            raise BadInput(f"The paths on standard input should lie below --root {root}. Found: {printable(line)}.")
    files = [os.path.join(root, path) for path in relative]
    return from_paths([printable(path) for path in relative], files, "standard input")
