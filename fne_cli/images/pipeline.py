"""Batches of decoded images, prepared by tf.data while the network computes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.decode import decode, decoded_parts, read_file, stored_bytes
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.memory import DecodeMemory
from fne_cli.machine import free_memory

_BLANK = -1
_CUT_BYTES = 1 << 24  # bytes of regions that are cut of an image at once


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


def image_batches(
    listing: Listing,
    geometry: Geometry,
    batch_images: int,
    numbers: Sequence[int] | np.ndarray,
    workers: int | None = None,
    memory: int | None = None,
) -> Iterator[ImageBatch]:
    """Decode the images of the given ascending numbers, in order, on `workers` threads (default: one a core).

    An image is decoded once for all its regions that follow each other.

    memory: bytes that these threads share for what is being decoded (default: half of what is free); the batches do
    not depend on it.
    """
    import tensorflow as tf

    # Broken EXIF and the like: what matters of it becomes an image's status. Filters are the process's, not a thread's.
    warnings.filterwarnings("ignore", module="PIL")
    shared = DecodeMemory(free_memory() // 2 if memory is None else memory)
    shape = (geometry.crops, geometry.height, geometry.width, 3)
    nothing = np.zeros(shape, np.uint8)

    def load(number: np.ndarray) -> tuple[np.ndarray, int, str, str]:
        index = int(number)
        if index == _BLANK:
            return nothing, 0, "", ""
        span = (0, None) if listing.spans is None else listing.spans[index].tolist()
        box = None if listing.boxes is None else listing.boxes[index]
        with shared.share() as share:
            read = partial(read_file, listing.files[index], *span)
            image = decode(read, geometry, box, share, stored_bytes(listing.files[index], *span))
        return image.pixels, int(image.status), image.message, image.sha256

    def load_parts(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
        """Several regions of one image."""
        first = int(numbers[0])
        if first == _BLANK:
            return nothing[None], np.zeros(1, np.int64), [""], [""]
        span = (0, None) if listing.spans is None else listing.spans[first].tolist()
        own = [None if listing.boxes is None else listing.boxes[number] for number in numbers.tolist()]
        with shared.share() as share:
            read = partial(read_file, listing.files[first], *span)
            parts = decoded_parts(read, geometry, own, share, stored_bytes(listing.files[first], *span))
        return (
            np.stack([part.pixels for part in parts]),
            np.array([int(part.status) for part in parts], np.int64),
            [part.message for part in parts],
            [part.sha256 for part in parts],
        )

    def mapped_parts(numbers: Any) -> tuple[Any, ...]:
        kinds = (tf.uint8, tf.int64, tf.string, tf.string)
        pixels, *rest = tf.numpy_function(load_parts, [numbers], kinds, stateful=False)
        return tf.ensure_shape(pixels, (None, *shape)), *(tf.ensure_shape(value, (None,)) for value in rest)

    def mapped(number: Any) -> tuple[Any, ...]:
        pixels, *rest = tf.numpy_function(load, [number], (tf.uint8, tf.int64, tf.string, tf.string), stateful=False)
        return tf.ensure_shape(pixels, shape), *(tf.ensure_shape(value, ()) for value in rest)

    table = placed(numbers, batch_images)
    threads = workers or len(os.sched_getaffinity(0))
    with tf.device("/CPU:0"):
        if listing.boxes is None:
            dataset = tf.data.Dataset.from_tensor_slices(table.reshape(-1))
            dataset = dataset.map(mapped, num_parallel_calls=threads, deterministic=True)
        else:
            order = table.reshape(-1)
            lengths = _together(listing, order, max(1, _CUT_BYTES // nothing.nbytes))
            ragged = tf.RaggedTensor.from_row_lengths(order, lengths)
            dataset = tf.data.Dataset.from_tensor_slices(ragged)
            dataset = dataset.map(mapped_parts, num_parallel_calls=threads, deterministic=True).unbatch()
        dataset = dataset.batch(batch_images, drop_remainder=True).prefetch(2)
    for row, (pixels, status, message, sha256) in zip(table, dataset.as_numpy_iterator(), strict=True):
        slots = np.flatnonzero(row != _BLANK)
        slots = slots[np.argsort(row[slots])]
        yield ImageBatch(
            numbers=row[slots],
            slots=slots,
            pixels=pixels.reshape(-1, *shape[1:]),
            status=status[slots].astype(np.uint8),
            message=[message[slot].decode("utf-8", "replace") for slot in slots],
            sha256=[sha256[slot].decode() for slot in slots],
        )
