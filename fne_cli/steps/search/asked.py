"""QUERIES that are images: paths of some, or a folder, a manifest or an archive of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing, is_image_name, printable
from fne_cli.images.lists.source import list_images


def list_asked(paths: Sequence[str], root: str | None = None) -> Listing:
    """The images that QUERIES name, those of a manifest below `root`.

    Raises BadInput for what is neither an image nor a list of some.
    """
    if len(paths) == 1 and not _is_image(paths[0]):
        if not os.path.exists(paths[0]) and paths[0] != "-":
            raise BadInput(
                f"{paths[0]} should be QUERIES (images, a folder, a manifest, an archive, a features file), or an "
                "OUTPUT that ends in .csv, .jsonl or .html. Found: no such file."
            )
        return list_images(paths[0], root)
    for path in paths:
        if not _is_image(path):
            found = (
                "a folder" if os.path.isdir(path) else "no such file" if not os.path.exists(path) else "another file"
            )
            raise BadInput(
                f"QUERIES should be images, or one folder, manifest, archive or features file. Found: {path}, {found}, "
                f"among {len(paths)} paths."
            )
    names = [printable(os.path.normpath(path)) for path in paths]
    return Listing(names, list(paths), [""] * len(paths), [()] * len(paths)).checked("QUERIES")


def _is_image(path: str) -> bool:
    """Whether it is a file with the name of an image."""
    return os.path.isfile(path) and is_image_name(os.path.basename(path))
