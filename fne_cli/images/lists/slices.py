"""A part of a listing as a file, so that whoever reads its images need not list all of them again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.images.lists.listing import Listing


def write_slice(listing: Listing, path: Path) -> None:
    """Write a listing as JSON, whole or not at all, with absolute paths: its reader may stand in another folder."""
    document = {
        "ids": list(listing.ids),
        "files": list(_absolute(listing.files)),
        "splits": list(listing.splits),
        "labels": list(listing.labels),
        "ignored": list(listing.ignored),
        "boxes": None if listing.boxes is None else listing.boxes.tolist(),
        "spans": None if listing.spans is None else listing.spans.tolist(),
        "several": listing.several,
        "classes": list(listing.classes),
    }
    # In ASCII, so that names with half characters come back as they were.
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    with open(scratch, "x", encoding="ascii") as file:  # new: never what a link of this name points to
        file.write(json.dumps(document))
    os.replace(scratch, path)


def _absolute(files: Iterable[str]) -> Iterator[str]:
    """`os.path.abspath` of each, which is asked only where a path may not be as short as it can be."""
    here = os.path.join(os.getcwd(), "")
    for file in files:
        path = file if file.startswith("/") else here + file
        plain = "//" not in path and "/." not in path and not path.endswith("/")
        yield path if plain else os.path.abspath(file)


def read_slice(path: Path) -> Listing:
    """The listing that `write_slice` wrote. Raises DamagedFile."""
    try:
        document = json.loads(path.read_text(encoding="ascii"))
        rows = {name: [tuple(names) for names in document[name]] for name in ("labels", "ignored")}
        arrays = {
            name: None if document[name] is None else np.array(document[name], dtype)
            for name, dtype in (("boxes", np.float64), ("spans", np.int64))
        }
        return Listing(**document | rows | arrays)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedFile(
            f"{path} should be the list of a shard's images. Found: {error}.\n"
            "Is it on a file system that all workers see? --overwrite begins again."
        ) from error
