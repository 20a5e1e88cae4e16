"""Images inside a .tar: only the index is read here, nothing is ever unpacked."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.findings import Seen, kind_of
from fne_cli.images.lists.layout import is_nobodys
from fne_cli.images.lists.listing import HEAD, Listing, content_decides, from_paths, is_image_name, printable
from fne_cli.images.names import repeated
from fne_cli.images.pixels.formats import looks_like_image

_BLOCK = 512
_PACKED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


class _Sparse(Exception):
    """An image that GNU tar has left the zeros out of: its bytes do not stand in the archive as they are."""


def from_tar(archive: str) -> Listing:
    """All images of an uncompressed tar, as `_listed` finds them; one that has not changed is not read again."""
    try:
        status = os.stat(archive)
    except OSError:
        return _listed(archive)
    return _remembered(archive, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _remembered(archive: str, *state: int) -> Listing:
    return _listed(archive)


def _listed(archive: str) -> Listing:
    """All images of an uncompressed tar, sorted by name, as of the folder that it was made of.

    A member's name is a name, never a place to write to. Hard links are the files they name; symbolic links and devices
    are left out. Raises BadInput for an archive that is compressed, damaged or cut off, or has an image without its
    holes.
    """
    seen = Seen()
    try:
        names, files = _members(archive, seen)
    except _Sparse as error:
        raise BadInput(
            f"{archive} should have its images whole. Found: {str(error)!r} without its holes.\n"
            "Pack it again without tar's option --sparse: tar -cf IMAGES.tar FOLDER."
        ) from error
    except Exception as error:  # hostile headers: tarfile raises OSError, EOFError, ValueError, OverflowError, ...
        raise BadInput(f"{archive} should be an uncompressed tar. Found: {error}.\n{_remedy(archive)}") from error
    names.sort()
    spans = np.array([files[name] for name in names], np.int64).reshape(-1, 2)
    return from_paths(names, repeated(archive, len(names)), archive, spans, seen)


def _members(archive: str, seen: Seen) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """The names of the images, and offset and size of every regular file."""
    names: list[str] = []
    unclear: list[str] = []
    files: dict[str, tuple[int, int]] = {}
    with tarfile.open(archive, "r:") as index:
        for member in index:
            name = _plain(member.name)
            if index.offset <= member.offset:
                raise tarfile.TarError(f"{name!r} has a negative size")  # reading on would never end
            index.members = []  # type: ignore[attr-defined]  # else tarfile keeps every header in memory
            if member.issparse() and is_image_name(posixpath.basename(name)) and _is_wanted(name, seen):
                raise _Sparse(name)
            span = None if member.issparse() else _span(member, files)
            if span is not None:
                files[name] = span
            if not _is_wanted(f"{name}/" if member.isdir() else name, seen) or member.isdir():
                continue
            if span is None:
                seen.no_image("links" if member.issym() or member.islnk() else "special files")
            elif is_image_name(posixpath.basename(name)):
                names.append(name)
            else:
                unclear.append(name)
        _check_end(index)
    with open(archive, "rb") as file:
        for name in unclear:
            offset, size = files[name]
            file.seek(offset)
            if content_decides(posixpath.basename(name)) and looks_like_image(file.read(HEAD)[:size]):
                names.append(name)
            else:
                seen.no_image(kind_of(name))
    return names, files


def _span(member: tarfile.TarInfo, files: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None:
    """Offset and size of what a member holds; None for what is no file, and for a link to what is none."""
    if member.islnk():
        return files.get(_plain(member.linkname))
    return (member.offset_data, member.size) if member.isreg() and not member.issparse() else None


def _is_wanted(name: str, seen: Seen) -> bool:
    """Whether a member is in no hidden folder, and in none that is left out by name; folders are noted."""
    above, _, last = name.rpartition("/")
    folders = above.split("/") if above else []
    for depth, folder in enumerate(folders, start=1):
        if is_nobodys(folder):
            seen.nobodys("/".join(folders[:depth]))
            return False
        if folder.startswith("."):
            return False
    if folders:
        seen.folder(above)
    return not last.startswith(".")


def _check_end(index: tarfile.TarFile) -> None:
    """Raises TarError if the archive does not end as it should: tarfile stops silently at a damaged or cut header."""
    file = index.fileobj
    assert file is not None
    file.seek(index.offset)
    block = file.read(_BLOCK)
    if not block:
        raise tarfile.TarError(f"it breaks off after {index.offset} bytes")
    if block.strip(b"\0"):
        raise tarfile.TarError(f"a damaged header at byte {index.offset}")


def _plain(name: str) -> str:
    """A member's name as a relative path without . and .."""
    return posixpath.normpath("/" + printable(name)).lstrip("/")


def _remedy(archive: str) -> str:
    try:
        with open(archive, "rb") as file:
            start = file.read(8)
    except OSError:
        start = b""
    for magic, program in _PACKED.items():
        if start.startswith(magic):
            return f"Uncompress it first: {program}."
    return "Pack or copy it again: tar -cf IMAGES.tar FOLDER."
