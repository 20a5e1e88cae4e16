"""Whether image files are still what they were: by size and time, as make does it, or by reading them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from fne_cli.images.decode import BadImage, read_file
from fne_cli.images.listing import Listing, state_of


def listing_digest(listing: Listing) -> str:
    """SHA-256 over what a listing says: ids, splits, labels, boxes."""
    digest = hashlib.sha256()
    ignored = listing.ignored or [()] * len(listing)
    for row in zip(listing.ids, listing.splits, listing.labels, ignored, strict=True):
        digest.update(f"{row}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def state_digest(listing: Listing) -> str:
    """SHA-256 over path, size and modification time of every file of a listing."""
    digest = hashlib.sha256()
    for name, state in zip(listing.ids, state_of(listing.files), strict=True):
        digest.update(f"{name}\0{state}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def changed_image(listing: Listing, sha256: Sequence[str], advance: Callable[[int], object]) -> str | None:
    """The id of the first image whose bytes no longer have the given SHA-256 ("" if it could not be read), or None."""
    for number, (name, expected) in enumerate(zip(listing.ids, sha256, strict=False)):
        span: Sequence[int | None] = (0, None) if listing.spans is None else listing.spans[number].tolist()
        try:
            content = read_file(listing.files[number], *span)  # type: ignore[arg-type]  # (offset, size or None)
            found = hashlib.sha256(content).hexdigest()
        except BadImage:
            found = ""
        if found != expected:
            return name
        advance(1)
    return None
