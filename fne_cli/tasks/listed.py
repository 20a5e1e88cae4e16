"""A listing as the image table of a file to be, before any image has been read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fne_cli.images.lists.listing import Listing
from fne_cli.images.names import repeated
from fne_cli.store.format.schema import Images


def image_table(listing: Listing, sha256: Sequence[str] | None = None) -> Images:
    """The table of `listing`. sha256: of each image's bytes, if they are known."""
    count = len(listing)
    return Images(
        path=listing.ids,
        split=listing.splits,
        label=listing.label_array(),
        classes=listing.classes,
        status=np.zeros(count, np.uint8),
        message=repeated("", count),
        sha256=repeated("", count) if sha256 is None else sha256,
    )
