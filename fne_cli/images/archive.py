"""Images inside a .tar: only the index is read here, nothing is ever unpacked."""

from __future__ import annotations

import posixpath
import tarfile

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.listing import SPLITS, Listing, from_paths, is_image_name, printable

_BLOCK = 512
_PACKED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


class _Sparse(Exception):
    """An image that GNU tar has left the zeros out of: its bytes do not stand in the archive as they are."""


def from_tar(archive: str) -> Listing:
    """All images of an uncompressed tar, sorted by name. A member's name is a name, never a place to write to.

    Hard links are the files they name; symbolic links and devices are left out. Raises BadInput for an archive that is
    compressed, damaged or cut off, or has an image without its holes.
    """
    try:
        names, files = _members(archive)
    except _Sparse as error:
        raise BadInput(
            f"{archive} should have its images whole. Found: {str(error)!r} without its holes.\n"
            "Pack it again without tar's option --sparse: tar -cf IMAGES.tar FOLDER."
        ) from error
    except Exception as error:  # hostile headers: tarfile raises OSError, EOFError, ValueError, OverflowError, ...
        raise BadInput(f"{archive} should be an uncompressed tar. Found: {error}.\n{_remedy(archive)}") from error
    names.sort()
    spans = np.array([files[name] for name in names], np.int64).reshape(-1, 2)
    return from_paths(names, [archive] * len(names), archive, spans, wrapped=_wrapped(names))


def _members(archive: str) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """The names of the images, and offset and size of every regular file."""
    names: list[str] = []
    files: dict[str, tuple[int, int]] = {}
    with tarfile.open(archive, "r:") as index:
        for member in index:
            name = _plain(member.name)
            if index.offset <= member.offset:
                raise tarfile.TarError(f"{name!r} has a negative size")  # reading on would never end
            index.members = []  # type: ignore[attr-defined]  # else tarfile keeps every header in memory
            hidden = any(part.startswith(".") for part in name.split("/"))
            is_image = is_image_name(posixpath.basename(name)) and not hidden
            if member.issparse():
                if is_image:
                    raise _Sparse(name)
                continue
            if member.isreg():
                files[name] = member.offset_data, member.size
            elif member.islnk() and _plain(member.linkname) in files:
                files[name] = files[_plain(member.linkname)]
            else:
                continue
            if is_image:
                names.append(name)
        _check_end(index)
    return names, files


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


def _wrapped(names: list[str]) -> bool:
    """Whether one folder holds everything, as tar files often have it (caltech/cat/1.jpg): it is not a class."""
    tops = {name.split("/")[0] for name in names}
    return len(tops) == 1 and not tops & set(SPLITS) and all(name.count("/") > 1 for name in names)
