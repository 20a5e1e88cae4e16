"""What decoding takes, and how threads share what there is: a large image waits until there is room for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.machine import free_memory

_STEPS = 1 << 20, 20  # pixels that are converted at a time, and bytes that the steps take for each of them


class DecodeMemory:
    """`size` bytes that decoding threads share. What needs more than all of them is decoded while nothing else is.

    First come, first served, and nobody waits for memory while holding any: so nobody waits for ever.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._used = 0
        self._changed = threading.Condition()
        self._waiting: deque[Share] = deque()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """What one image takes of it, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self._give_back(share)

    def _take(self, share: Share, size: int) -> None:
        self._give_back(share)
        with self._changed:
            self._waiting.append(share)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is share and self._holds(size))
                self._used += size
                share.size = size
            finally:
                self._waiting.remove(share)
                self._changed.notify_all()

    def _grow(self, share: Share, size: int) -> bool:
        with self._changed:
            more = max(0, size - share.size)
            if more and share.size < self._used and self._used + more > self.size:
                return False
            self._used += more
            share.size += more
            return True

    def _give_back(self, share: Share) -> None:
        with self._changed:
            self._used -= share.size
            share.size = 0
            self._changed.notify_all()

    def _holds(self, size: int) -> bool:
        return not self._used or self._used + size <= self.size


class Share:
    """The part of the memory that one image has: `size` bytes."""

    def __init__(self, memory: DecodeMemory) -> None:
        self._memory = memory
        self.size = 0

    def take(self, size: int) -> None:
        """Have `size` bytes in place of those that it has, which are given back first; waits until they are free.

        Raises BadImage if that is more than is shared, and more than this machine has free.
        """
        self._memory._take(self, size)
        self._check(size)

    def grow(self, size: int) -> bool:
        """Have `size` bytes if they are free now. Raises as `take`."""
        grown = self._memory._grow(self, size)
        if grown:
            self._check(size)
        return grown

    def _check(self, size: int) -> None:
        if size > self._memory.size and size > free_memory():
            raise BadImage(Status.TOO_LARGE, f"it takes about {size / 1e6:,.0f} MB to decode, and less is free")


def needed(image: Image.Image, encoded: int) -> int:
    """Bytes that an image of `encoded` bytes takes at most until it is resized, by its header, as measured.

    scripts/measure_decoding.py measures it for every format.
    """
    pixels = image.width * image.height
    steps, bytes_of_step = _STEPS
    converting = 0 if image.mode in ("RGB", "L") else bytes_of_step * min(pixels, steps)
    # The pixels as RGB, four bytes each, and beside them either what they are converted from or what they become.
    return 2 * encoded + converting + pixels * max(10 if image.mode.startswith("I") else 8, _decoding(image))


def _decoding(image: Image.Image) -> int:
    """Bytes for each pixel while it is decoded: those of the image, and those of the decoder beside it."""
    bands = len(image.getbands())
    own = bands if bands == 1 else 4
    match image.format:
        case "JPEG" | "MPO":  # a progressive one is kept as coefficients
            return own + 2 * bands
        case "TIFF":  # all may be one strip, of 16 bits
            return own + 2 * bands
        case "WEBP":
            return 18
        case "AVIF" | "HEIF":  # up to 16 bits
            return 18
        case "JPEG2000":
            return own + 6 * bands
        case _:
            return own
