"""Images inside a .tar: only the index is read here, nothing is ever unpacked."""

from __future__ import annotations

import posixpath
import tarfile

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.listing import SPLITS, Listing, from_paths, is_image_name, printable


def from_tar(archive: str) -> Listing:
    """All images of an uncompressed tar, sorted by name. A member's name is a name, never a place to write to."""
    found: list[tuple[str, int, int]] = []
    try:
        with tarfile.open(archive, "r:") as index:
            for member in index:
                name = posixpath.normpath("/" + printable(member.name)).lstrip("/")
                hidden = any(part.startswith(".") for part in name.split("/"))
                if member.isreg() and not member.issparse() and is_image_name(posixpath.basename(name)) and not hidden:
                    found.append((name, member.offset_data, member.size))
                index.members = []  # type: ignore[attr-defined]  # else tarfile keeps every header in memory
    except (OSError, EOFError, tarfile.TarError) as error:
        raise BadInput(
            f"{archive} should be an uncompressed tar. Found: {error}.\nUncompress it first: gunzip, unxz or unzstd."
        ) from error
    found.sort()
    spans = np.array([(offset, size) for _, offset, size in found], np.int64).reshape(-1, 2)
    names = [name for name, _, _ in found]
    return from_paths(names, [archive] * len(found), archive, spans, wrapped=_wrapped(names))


def _wrapped(names: list[str]) -> bool:
    """Whether one folder holds everything, as tar files often have it (caltech/cat/1.jpg): it is not a class."""
    tops = {name.split("/")[0] for name in names}
    return len(tops) == 1 and not tops & set(SPLITS) and all(name.count("/") > 1 for name in names)
