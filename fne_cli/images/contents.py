"""Whether image files are still what they were: by size and time, as make does it, or by reading them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat

from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.bad import BadImage
from fne_cli.images.pixels.reading import read_file

_AHEAD = 256  # images handed to the threads at once
_LINES = 1 << 12  # hashed at once


def listing_digest(listing: Listing) -> str:
    """SHA-256 over what a listing says: ids (which name the boxes), splits, labels."""
    digest = hashlib.sha256(b"several\n" if listing.several else b"")
    ignored = listing.ignored or repeat((), len(listing))
    rows = zip(listing.ids, listing.splits, listing.labels, ignored, strict=True)
    _add_lines(digest, (f"{row}\n" for row in rows))
    return digest.hexdigest()


def _add_lines(digest: hashlib._Hash, lines: Iterator[str]) -> None:
    """Hash lines, many at once."""
    while some := "".join(islice(lines, _LINES)):
        digest.update(some.encode("utf-8", "backslashreplace"))


def state_digest(listing: Listing) -> str:
    """SHA-256 over path, size and modification time of every file of a listing."""
    return states(listing)[0]


def states(listing: Listing) -> tuple[str, int]:
    """The same, and the latest of the times, in nanoseconds."""
    digest, latest = hashlib.sha256(), 0

    def lines() -> Iterator[str]:
        nonlocal latest
        for name, state in zip(listing.ids, file_states(listing.files), strict=True):
            latest = max(latest, state[1])
            yield f"{name}\0{state}\n"

    _add_lines(digest, lines())
    return digest.hexdigest(), latest


def file_states(files: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(size, modification time in ns) of each file, (-1, 0) for one that is not a regular file."""
    last, state = None, (-1, 0)
    for file in files:
        if file != last:  # an archive stands there once for each of its members
            last = file
            try:
                status = os.stat(file)
                state = (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (-1, 0)
            except OSError:
                state = (-1, 0)
        yield state


def read_digests(listing: Listing, threads: int, advance: Callable[[int], object]) -> list[str]:
    """The SHA-256 of the bytes of each image, "" for one that cannot be read, in hexadecimal digits."""
    from concurrent.futures import ThreadPoolExecutor  # with logging: who is up to date need not wait

    def digest(number: int) -> str:
        span: Sequence[int | None] = (0, None) if listing.spans is None else listing.spans[number].tolist()
        try:
            content = read_file(listing.files[number], *span)  # type: ignore[arg-type]  # (offset, size or None)
        except BadImage:
            return ""
        return hashlib.sha256(content).hexdigest()

    found: list[str] = []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(listing), _AHEAD):  # a million waiting calls would fill the memory
            found += pool.map(digest, range(start, min(start + _AHEAD, len(listing))))
            advance(len(found) - start)
    return found
