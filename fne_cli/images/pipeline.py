"""Batches of decoded images, prepared by threads: while the network computes, or between its batches."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import decoded_parts
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.memory import DecodeMemory
from fne_cli.images.pixels.reading import read_ahead, read_file, stored_bytes
from fne_cli.images.workers import Workers
from fne_cli.machine import free_memory, processors

_BLANK = -1
_CUT_BYTES = 1 << 24  # bytes of regions that are cut of an image at once
_AHEAD = 2  # batches that are given to threads before they are asked for
_TURN_SECONDS = 0.25  # of decoding, in which many small images are done, or a batch of large ones
_TURN_BYTES = 1 << 25  # of pixels that wait for their turn to end
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
        self.batch_images, self._numbers = batch_images, numbers
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
        start = number * self.batch_images
        return placed(self._numbers[start : start + self.batch_images], self.batch_images)[0]

    def pieces(self) -> Iterator[range]:
        """Places in all batches, one behind the other."""
        if self._lengths is None:
            yield from (range(place, place + 1) for place in range(self.batches * self.batch_images))
            return
        start = 0
        for length in self._lengths:
            yield range(start, start + int(length))
            start += int(length)


@dataclass
class _Filling:
    """A batch that is being decoded: what is known of each of its slots."""

    row: np.ndarray
    pixels: np.ndarray
    status: np.ndarray
    message: list[str]
    sha256: list[str]

    @classmethod
    def of(cls, row: np.ndarray, shape: tuple[int, ...]) -> _Filling:
        """An empty one; `shape` is that of an image's crops."""
        size = len(row)
        pixels = np.zeros((size, *shape), np.uint8)
        return cls(row, pixels, np.full(size, Status.GOOD, np.uint8), [""] * size, [""] * size)

    def batch(self) -> ImageBatch:
        """The batch, once all of the work is done."""
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


_Piece = list[tuple[_Filling, int]]  # the slots of some regions of one image, or of one whole image


class _Decoding:
    """Decodes pieces of work into the slots of their batches."""

    def __init__(self, listing: Listing, geometry: Geometry, memory: int) -> None:
        self._listing, self._geometry = listing, geometry
        self._shared = DecodeMemory(memory)

    def _span(self, number: int) -> tuple[int, int | None]:
        spans = self._listing.spans
        return (0, None) if spans is None else (int(spans[number, 0]), int(spans[number, 1]))

    def ahead(self, piece: _Piece) -> None:
        """Have the system read the bytes of an image, and do not wait for them."""
        filling, slot = piece[0]
        number = int(filling.row[slot])
        read_ahead(self._listing.files[number], *self._span(number))

    def fill(self, piece: _Piece) -> None:
        """Decode what belongs into these slots."""
        listing = self._listing
        numbers = [int(filling.row[slot]) for filling, slot in piece]
        file, span = listing.files[numbers[0]], self._span(numbers[0])
        own = [None if listing.boxes is None else listing.boxes[number] for number in numbers]
        with self._shared.share() as share:
            parts = decoded_parts(
                partial(read_file, file, *span), self._geometry, own, share, stored_bytes(file, *span)
            )
        for (filling, slot), part in zip(piece, parts, strict=True):
            if part.status == Status.GOOD:
                filling.pixels[slot] = part.pixels
            filling.status[slot], filling.message[slot], filling.sha256[slot] = part.status, part.message, part.sha256


class _Batches:
    """The batches of a plan, given to the workers a few ahead of the one that is waited for."""

    def __init__(self, plan: _Plan, batch_images: int, shape: tuple[int, ...], workers: Workers[_Piece]) -> None:
        self._plan, self._size, self._shape, self._workers = plan, batch_images, shape, workers
        self._coming = plan.pieces()
        self._places = next(self._coming, None)
        self._given = self._first = 0  # pieces; the batch that `filling` begins with
        self._filling: deque[_Filling] = deque()
        self._due: dict[int, int] = {}  # of each batch that has been given, how many pieces are to be done for it

    def decode(self, number: int) -> None:
        """Wait until batch `number` is decoded; those behind it are given to the workers before."""
        size, pieces = self._size, list[_Piece]()
        while self._places is not None and self._places.start < (number + 1 + _AHEAD) * size:
            places = self._places
            self._places = next(self._coming, None)
            while (self._first + len(self._filling)) * size < places.stop:
                row = self._plan.row(self._first + len(self._filling))
                self._filling.append(_Filling.of(row, self._shape))
            piece = [(self._filling[place // size - self._first], place % size) for place in places]
            batch, slot = piece[0]
            if batch.row[slot] != _BLANK:
                pieces.append(piece)
            for due in range(places.start // size, (places.stop - 1) // size + 1):
                self._due[due] = self._given + len(pieces)
        self._workers.give(pieces)
        self._given += len(pieces)
        self._workers.wait(self._due.pop(number))

    def next(self) -> ImageBatch:
        """The batch that follows, which has been decoded."""
        self._first += 1
        return self._filling.popleft().batch()


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
    takes the batches computes on the same processors. Where these are few, images are decoded in turns, some batches at
    once, and not while the taker has one, as a thread that decodes holds up all threads of a network. The batches
    depend on neither.
    """
    # Broken EXIF and the like: what matters of it becomes an image's status. Filters are the process's, not a thread's.
    warnings.filterwarnings("ignore", module="PIL")
    decoding = _Decoding(listing, geometry, free_memory() // 2 if memory is None else memory)
    shape = (geometry.crops, geometry.height, geometry.width, 3)
    plan = _Plan(listing, numbers, batch_images, max(1, _CUT_BYTES // int(np.prod(shape))))
    taking_turns = competing and processors() <= _SCARCE
    most = max(1, _TURN_BYTES // (batch_images * int(np.prod(shape)))) if taking_turns else 1
    team = Workers(min(workers or processors(), max(1, len(numbers))), decoding.fill, decoding.ahead)
    try:
        batches, decoded = _Batches(plan, batch_images, shape, team), 0
        for number in range(plan.batches):
            if decoded == number:
                team.turn(True)
                began = time.monotonic()
                # The first batch is not kept waiting.
                last = min(plan.batches, number + (most if number else 1))
                while decoded == number or (decoded < last and time.monotonic() - began < _TURN_SECONDS):
                    batches.decode(decoded)
                    decoded += 1
                team.turn(not taking_turns)
            yield batches.next()
    finally:
        team.close()
