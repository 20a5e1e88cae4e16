"""The pixels of images that are looked at again and again: kept in memory where they fit, else decoded each time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.contents import file_states
from fne_cli.images.lists.listing import Listing
from fne_cli.images.pipeline import image_batches
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.memory import DecodeMemory
from fne_cli.images.pixels.reading import read_file, stored_bytes
from fne_cli.machine import free_memory

_Made = TypeVar("_Made")
_TOGETHER = 32  # images that are decoded in one call


class _Known:
    """Pixels that were decoded before, by what they are of: the place and state of the file, the box, the geometry."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self.pixels: dict[tuple[Any, ...], tuple[np.ndarray, str]] = {}

    def put(self, key: tuple[Any, ...], pixels: np.ndarray, sha256: str) -> None:
        """Keep the pixels of an image, if there is room."""
        if key not in self.pixels and self.bytes + pixels.nbytes <= self.limit:
            self.pixels[key] = (pixels.copy(), sha256)
            self.bytes += pixels.nbytes


_known: ContextVar[_Known | None] = ContextVar("known", default=None)


@contextmanager
def keeping() -> Iterator[None]:
    """While open, images that were decoded stay in memory (in half of what is free), for whoever asks again.

    A file counts as the same while its size and its time are.
    """
    token = _known.set(_Known(free_memory() // 2))
    try:
        yield
    finally:
        _known.reset(token)


class DecodedImages:
    """The pixels of a listing, one crop each.

    `good` says which images have any, `bad` why the others have none, `sha256` has the digest of each image's bytes.
    memory: bytes for pixels that are kept (default: half of what is free); without room for all of them none is.
    """

    def __init__(
        self,
        listing: Listing,
        geometry: Geometry,
        workers: int | None = None,
        memory: int | None = None,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        self._listing, self._geometry = listing, geometry
        self.workers = workers or len(os.sched_getaffinity(0))
        self.bytes = len(listing) * geometry.height * geometry.width * 3
        self.kept = self.bytes <= (free_memory() // 2 if memory is None else memory)
        shape = (len(listing) if self.kept else 0, geometry.height, geometry.width, 3)
        self._pixels = np.empty(shape, np.uint8)
        self._decoding = DecodeMemory(free_memory() // 2)
        self.good = np.zeros(len(listing), bool)
        self.bad: list[tuple[str, str]] = []
        self.sha256 = [""] * len(listing)
        known = _known.get() if self.kept else None
        keys = [] if known is None else _keys(listing, geometry)
        new = [
            number for number in range(len(listing)) if known is None or not self._recall(number, keys[number], known)
        ]
        advance(len(listing) - len(new))
        for batch in image_batches(listing, geometry, _TOGETHER, new, self.workers) if new else ():
            if self.kept:
                self._pixels[batch.numbers] = batch.pixels[batch.slots]
            self.good[batch.numbers] = batch.status == Status.GOOD
            for place, number in enumerate(batch.numbers.tolist()):
                self.sha256[number] = batch.sha256[place]
                if batch.status[place] != Status.GOOD:
                    self.bad.append((listing.ids[number], batch.message[place]))
                elif known is not None:
                    known.put(keys[number], self._pixels[number], batch.sha256[place])
            advance(len(batch.numbers))

    def _recall(self, number: int, key: tuple[Any, ...], known: _Known) -> bool:
        """Have the pixels of an image that is known."""
        found = known.pixels.get(key)
        if found is None:
            return False
        self._pixels[number], self.sha256[number] = found
        self.good[number] = True
        return True

    def pixels(self, numbers: np.ndarray) -> np.ndarray:
        """(n, height, width, 3) uint8 of these images. Raises BadInput if one is not what it was at first."""
        return self._pixels[numbers] if self.kept else np.stack([self._decoded(number) for number in numbers.tolist()])

    def _decoded(self, number: int) -> np.ndarray:
        listing = self._listing
        span = (0, None) if listing.spans is None else listing.spans[number].tolist()
        box = None if listing.boxes is None else listing.boxes[number]
        with self._decoding.share() as share:
            read = partial(read_file, listing.files[number], *span)
            image = decode(read, self._geometry, box, share, stored_bytes(listing.files[number], *span))
        if image.sha256 != self.sha256[number]:
            raise BadInput(
                f"{listing.ids[number]} should stay as it is while a network is trained on it. Found: other bytes than "
                "at the beginning.",
                remedy="Run the same command again when the images are at rest.",
            )
        return image.pixels[0]

    @contextmanager
    def ahead(self, items: Iterable[np.ndarray], make: Callable[[np.ndarray], _Made]) -> Iterator[Iterator[_Made]]:
        """What `make` returns for each item, in order, made by threads while the caller is busy with earlier ones."""
        with ThreadPoolExecutor(1 if self.kept else self.workers) as pool:
            waiting: deque[Future[_Made]] = deque()

            def made() -> Iterator[_Made]:
                for item in items:
                    waiting.append(pool.submit(make, item))
                    if len(waiting) > (2 if self.kept else 2 * self.workers):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()

            try:
                yield made()
            finally:
                for future in waiting:
                    future.cancel()


def _keys(listing: Listing, geometry: Geometry) -> list[tuple[Any, ...]]:
    """What tells the pixels of each image from all others."""
    count = len(listing)
    spans = [()] * count if listing.spans is None else [tuple(span) for span in listing.spans.tolist()]
    boxes = [()] * count if listing.boxes is None else [tuple(box) for box in listing.boxes.tolist()]
    rows = zip(listing.files, file_states(listing.files), spans, boxes, strict=True)
    return [(file, *state, span, box, geometry) for file, state, span, box in rows]
