"""Batches of decoded images, prepared by threads: while the network computes, or between its batches."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import decoded_parts
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.memory import DecodeMemory
from fne_cli.images.pixels.reading import read_ahead, read_file, stored_bytes
from fne_cli.machine import free_memory, processors

_BLANK = -1
_CUT_BYTES = 1 << 24  # bytes of regions that are cut of an image at once
_AHEAD = 2  # batches that are decoded before they are asked for
_TOGETHER, _SHARES = 16, 4  # pieces of work that a thread gets at once, at most; and how often it gets some of a batch
_SCARCE = 4  # processors that a network has use for, all of them


@dataclass(frozen=True)
class ImageBatch:
    """Decoded images of a listing, each at the place in the batch that its number gives it.

    numbers: (images,) int64, which images these are, ascending. slots: (images,) int64, their places in the batch.
    pixels: (batch_images * crops, height, width, 3) uint8, always of that shape; zeros for bad images and empty slots.
    status, message, sha256: one entry for each of `numbers`.
    """

    numbers: np.ndarray
    slots: np.ndarray
    pixels: np.ndarray
    status: np.ndarray
    message: list[str]
    sha256: list[str]


def placed(numbers: Sequence[int] | np.ndarray, batch_images: int) -> np.ndarray:
    """(batches, batch_images) int64: image i in slot i % batch_images, so that its neighbours never change its place.

    A batch ends where the slot of the next image is taken, so that few images that are far apart are few batches, each
    of images that follow each other among `numbers`. Empty slots are -1.
    """
    wanted = np.asarray(numbers, np.int64)
    if not len(wanted):
        return np.zeros((0, batch_images), np.int64)
    if (np.diff(wanted) == 1).all():  # as mostly, and of millions
        table = np.full((-(-len(wanted) // batch_images), batch_images), _BLANK, np.int64)
        table[np.arange(len(wanted)) // batch_images, wanted % batch_images] = wanted
        return table
    slots = (wanted % batch_images).tolist()
    batches, taken = [0], set[int]()
    for slot in slots:
        if slot in taken:
            batches.append(batches[-1] + 1)
            taken.clear()
        else:
            batches.append(batches[-1])
        taken.add(slot)
    table = np.full((batches[-1] + 1, batch_images), _BLANK, np.int64)
    table[batches[1:], slots] = wanted
    return table


def _together(listing: Listing, numbers: np.ndarray, most: int) -> np.ndarray:
    """How many of the numbers, in their order, are regions of one image, each time: they are decoded together.

    At most so many, so that what is cut of an image waits in little memory. An empty slot is one.
    """
    spans, lengths, before = listing.spans, [0] * min(1, len(numbers)), _BLANK
    for number in numbers.tolist():
        same = (
            _BLANK not in (before, number)
            and listing.files[before] == listing.files[number]
            and (spans is None or bool((spans[before] == spans[number]).all()))
        )
        if lengths[-1] and (not same or lengths[-1] == most):
            lengths.append(0)
        lengths[-1] += 1
        before = number
    return np.array(lengths, np.int64)


class _Plan:
    """Which images go into which of `batches`, and which places of these are filled by one piece of work.

    Nothing is kept of images that follow each other: there may be millions of them.
    """

    def __init__(self, listing: Listing, numbers: Sequence[int] | np.ndarray, batch_images: int, most: int) -> None:
        """most: regions of an image that are cut out at once."""
        following = isinstance(numbers, range) and numbers.step == 1 and listing.boxes is None
        self._size, self._numbers = batch_images, numbers
        self._table: np.ndarray | None = None
        self._lengths: np.ndarray | None = None
        self.batches = -(-len(numbers) // batch_images)
        if not following:
            self._table = placed(numbers, batch_images)
            self.batches = len(self._table)
            if listing.boxes is not None:
                self._lengths = _together(listing, self._table.reshape(-1), most)

    def row(self, number: int) -> np.ndarray:
        """(batch_images,) int64, the images of a batch by their slots, -1 for none."""
        if self._table is not None:
            return self._table[number]
        return placed(self._numbers[number * self._size : (number + 1) * self._size], self._size)[0]

    def pieces(self) -> Iterator[range]:
        """Places in all batches, one behind the other."""
        if self._lengths is None:
            yield from (range(place, place + 1) for place in range(self.batches * self._size))
            return
        start = 0
        for length in self._lengths:
            yield range(start, start + int(length))
            start += int(length)


@dataclass
class _Filling:
    """A batch that is being decoded: what is known of each of its slots, and who is at work on it."""

    row: np.ndarray
    pixels: np.ndarray
    status: np.ndarray
    message: list[str]
    sha256: list[str]
    work: list[Future[None]] = field(default_factory=list)

    @classmethod
    def of(cls, row: np.ndarray, shape: tuple[int, ...]) -> _Filling:
        """An empty one; `shape` is that of an image's crops."""
        size = len(row)
        pixels = np.zeros((size, *shape), np.uint8)
        return cls(row, pixels, np.full(size, Status.GOOD, np.uint8), [""] * size, [""] * size)

    def batch(self) -> ImageBatch:
        """The batch, once all of the work is done. Raises what the work did."""
        for future in self.work:
            future.result()
        slots = np.flatnonzero(self.row != _BLANK)
        slots = slots[np.argsort(self.row[slots])]
        return ImageBatch(
            numbers=self.row[slots],
            slots=slots,
            pixels=self.pixels.reshape(-1, *self.pixels.shape[2:]),
            status=self.status[slots],
            message=[self.message[slot] for slot in slots],
            sha256=[self.sha256[slot] for slot in slots],
        )


_Piece = Sequence[tuple[_Filling, int]]
"""The slots of batches that one image, or regions of it, are for."""


def _handed_over(pieces: Sequence[_Piece], threads: int) -> Iterator[Sequence[_Piece]]:
    """The pieces as a thread gets them: some at once, as handing over takes as long as reading a small image.

    No thread is left without any: they are several times as many as there are threads, if there are so many pieces.
    """
    some = min(_TOGETHER, max(1, len(pieces) // (_SHARES * threads)))
    return (pieces[start : start + some] for start in range(0, len(pieces), some))


class _Decoding:
    """Decodes pieces of work, each some regions of one image, or one whole image, into the slots of their batches."""

    def __init__(self, listing: Listing, geometry: Geometry, memory: int) -> None:
        self._listing, self._geometry = listing, geometry
        self._shared = DecodeMemory(memory)
        self.turn = threading.Event()
        self.turn.set()

    def _span(self, number: int) -> tuple[int, int | None]:
        spans = self._listing.spans
        return (0, None) if spans is None else (int(spans[number, 0]), int(spans[number, 1]))

    def ahead(self, pieces: Sequence[_Piece]) -> None:
        """Have the system read the bytes of the images of these pieces, and do not wait for them."""
        for (filling, slot), *_ in pieces:
            number = int(filling.row[slot])
            read_ahead(self._listing.files[number], *self._span(number))

    def fill(self, pieces: Sequence[_Piece]) -> None:
        """Decode one piece after the other into its slots, when it is our turn."""
        for places in pieces:
            self.turn.wait()
            self._fill(places)

    def _fill(self, places: _Piece) -> None:
        listing = self._listing
        numbers = [int(filling.row[slot]) for filling, slot in places]
        file, span = listing.files[numbers[0]], self._span(numbers[0])
        own = [None if listing.boxes is None else listing.boxes[number] for number in numbers]
        with self._shared.share() as share:
            parts = decoded_parts(
                partial(read_file, file, *span), self._geometry, own, share, stored_bytes(file, *span)
            )
        for (filling, slot), part in zip(places, parts, strict=True):
            if part.status == Status.GOOD:
                filling.pixels[slot] = part.pixels
            filling.status[slot], filling.message[slot], filling.sha256[slot] = part.status, part.message, part.sha256


def image_batches(
    listing: Listing,
    geometry: Geometry,
    batch_images: int,
    numbers: Sequence[int] | np.ndarray,
    workers: int | None = None,
    memory: int | None = None,
    competing: bool = False,
) -> Generator[ImageBatch]:
    """Decode the images of the given ascending numbers, in order, on `workers` threads (default: one a core).

    An image is decoded once for all its regions that follow each other.

    memory: bytes that these threads share for what is being decoded (default: half of what is free). competing: whoever
    takes the batches computes on the same processors. Where these are few, images are decoded only while a batch is
    waited for, as a thread that decodes one holds up all threads of a network. The batches depend on neither.
    """
    # Broken EXIF and the like: what matters of it becomes an image's status. Filters are the process's, not a thread's.
    warnings.filterwarnings("ignore", module="PIL")
    decoding = _Decoding(listing, geometry, free_memory() // 2 if memory is None else memory)
    shape = (geometry.crops, geometry.height, geometry.width, 3)
    plan = _Plan(listing, numbers, batch_images, max(1, _CUT_BYTES // int(np.prod(shape))))
    taking_turns = competing and processors() <= _SCARCE
    filling: deque[_Filling] = deque()
    begun, coming = 0, plan.pieces()
    places = next(coming, None)
    threads = workers or processors()
    pool, reader = ThreadPoolExecutor(threads), ThreadPoolExecutor(1)
    try:
        for number in range(plan.batches):
            pieces: list[_Piece] = []
            while places is not None and places.start < (number + 1 + _AHEAD) * batch_images:
                while begun * batch_images < places.stop:
                    filling.append(_Filling.of(plan.row(begun), shape))
                    begun += 1
                piece = [(filling[place // batch_images - number], place % batch_images) for place in places]
                places = next(coming, None)
                batch, slot = piece[0]
                if batch.row[slot] != _BLANK:
                    pieces.append(piece)
            if pieces:
                reader.submit(decoding.ahead, pieces)
            for some in _handed_over(pieces, threads):
                work = pool.submit(decoding.fill, some)
                for one in {id(batch): batch for places in some for batch, _ in places}.values():
                    one.work.append(work)
            decoding.turn.set()
            finished = filling[0].batch()
            filling.popleft()
            if taking_turns:
                decoding.turn.clear()
            yield finished
    finally:
        decoding.turn.set()
        reader.shutdown(cancel_futures=True)
        pool.shutdown(cancel_futures=True)
