"""A PNG without what is not its picture: comments and profiles may be huge, or damaged, and the pixels are still right.

Pillow refuses a whole file for a comment with a wrong checksum, or of more than a megabyte once it is decompressed.
Here nothing is decompressed but what may say which way is up, and of that a megabyte at most.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from fne_cli.images.pixels.bad import BadImage, Status

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = 12  # bytes of a chunk beside its data: length, type, checksum
_PICTURE = frozenset([b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
_TEXTS = frozenset([b"tEXt", b"zTXt", b"iTXt"])
_UPRIGHT = frozenset([b"exif", b"Raw profile type exif", b"XML:com.adobe.xmp"])  # where Pillow looks for orientation
_PACKED, _UNPACKED = 1 << 20, 1 << 24  # bytes of such a text: if it is compressed, if it is not


@dataclass(frozen=True)
class _Chunk:
    """A chunk of a PNG: its type, and where in the file it begins and ends."""

    name: bytes
    start: int
    end: int


def picture(content: bytes) -> bytes:
    """The PNG with nothing in it but its picture; what is no chunk, or cut off, stays for the decoder to judge.

    Raises BadImage if the checksum of a chunk that the pixels depend on is wrong.
    """
    view = memoryview(content)
    kept: list[memoryview] = [view[: len(_SIGNATURE)]]
    texts: dict[bytes, memoryview] = {}  # of each the last, as Pillow has it
    end, dropped = len(_SIGNATURE), False
    for chunk in _chunks(content):
        end = chunk.end
        part = view[chunk.start : chunk.end]
        if chunk.name in _PICTURE:
            if not _is_whole(part):
                name = chunk.name.decode()
                raise BadImage(
                    Status.DAMAGED, f"damaged: the PNG's chunk {name} at byte {chunk.start} has a wrong checksum"
                )
            kept.append(part)
        elif chunk.name == b"eXIf":
            if _is_whole(part):
                kept.append(part)
            else:
                dropped = True
        elif chunk.name in _TEXTS:
            dropped = True
            keyword = bytes(part[8:40]).partition(b"\0")[0]
            if keyword in _UPRIGHT and _is_whole(part) and _is_small(chunk.name, bytes(part[8:-4])):
                texts[keyword] = part
        elif not chunk.name[0] & 0x20:  # a critical chunk: IEND, or one that nobody knows
            kept.append(part)
        else:
            dropped = True
    if not dropped:
        return content
    # Texts may stand anywhere after the header, and behind it they are read before the pixels.
    return b"".join([*kept[:2], *texts.values(), *kept[2:], view[end:]])


def without_pixels(content: bytes) -> bytes:
    """The picture with nothing in it but what says how large it is and which way is up. Raises BadImage as `picture`.

    What says so may stand behind the pixels, and is put before them.
    """
    content = picture(content)
    parts = [(chunk, content[chunk.start : chunk.end]) for chunk in _chunks(content)]
    first = [part for chunk, part in parts if chunk.name == b"IDAT"][:1]
    rest = [part for chunk, part in parts if chunk.name not in (b"IDAT", b"IEND")]
    return b"".join([_SIGNATURE, *rest, *first])


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """The chunks up to the last one, or to the first that is none or is cut off."""
    start = len(_SIGNATURE)
    while start + _FRAME <= len(content):
        length, name = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        end = start + _FRAME + length
        if not name.isalpha() or end > len(content):
            return
        yield _Chunk(name, start, end)
        if name == b"IEND":
            return
        start = end


def _is_whole(part: memoryview) -> bool:
    """Whether a chunk's checksum is that of its type and data."""
    return zlib.crc32(part[4:-4]) == int.from_bytes(part[-4:], "big")


def _is_small(name: bytes, data: bytes) -> bool:
    """Whether a text can be given to Pillow: compressed as it knows it, and no larger than it takes."""
    _, _, rest = data.partition(b"\0")
    if name == b"iTXt":
        flag, rest = rest[:1], rest[2:].split(b"\0", 2)[-1]
        if flag in (b"", b"\0"):
            return len(data) <= _UNPACKED
    elif name == b"zTXt":
        if rest[:1] != b"\0":
            return False
        rest = rest[1:]
    else:
        return len(data) <= _UNPACKED
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(rest, _PACKED)
    except zlib.error:
        return False
    return not unpacking.unconsumed_tail
