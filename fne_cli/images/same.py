"""Whether image files show the same pixels, whatever their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from fne_cli.errors import is_of_memory
from fne_cli.images.pixels.bad import BadImage
from fne_cli.images.pixels.geometry import MAX_PIXELS
from fne_cli.images.pixels.opening import upright
from fne_cli.images.pixels.reading import read_file
from fne_cli.images.thumbnails import Places


def pixel_digests(places: Places, sha256: Sequence[str], threads: int, advance: Callable[[int], object]) -> list[str]:
    """Of each image a SHA-256 of its size and its pixels as RGB, upright; "" for one that is missing, changed or bad.

    sha256: of the bytes that each should have, "" if unknown.
    """

    def digest(number: int) -> str:
        file, span = places.files[number], places.spans[number]
        if file is None:
            return ""
        try:
            content = read_file(file, *(span or ()))
            if sha256[number] and hashlib.sha256(content).hexdigest() != sha256[number]:
                return ""
            image = upright(content, MAX_PIXELS)
            box = places.boxes[number]
            image = image if box is None else image.crop(tuple(box.tolist()))
            found = hashlib.sha256(repr(image.size).encode())
            found.update(image.tobytes())
            return found.hexdigest()
        except BadImage:
            return ""
        except Exception as error:
            if is_of_memory(error):
                return ""
            raise
        finally:
            advance(1)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(digest, range(len(places.files))))
