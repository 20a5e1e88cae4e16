"""The bytes of a file -> upright RGB pixels, as a person would see them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.formats import looks_like_image, not_an_image
from fne_cli.images.pixels.geometry import Whole
from fne_cli.images.pixels.plugins import opener
from fne_cli.images.pixels.png import picture, without_pixels

# Formats whose decoders are part of Pillow itself. EPS would start Ghostscript; PDF and WMF need other programs.
Image.init()
_WANTED = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "TGA")
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)

REDUCIBLE = ("JPEG", "MPO")  # whose blocks of 8 x 8 are decoded to as few pixels as are wanted

# The limit is checked below, before any pixel is decoded, and can be set; Pillow's own would only warn.
Image.MAX_IMAGE_PIXELS = None

_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BACKWARDS = {2: (True, False), 3: (True, True), 4: (False, True), 6: (True, False), 7: (True, True), 8: (False, True)}
_ON_THE_SIDE = {_TO_UPRIGHT[number] for number in (5, 6, 7, 8)}
_WIDTH, _HEIGHT, _BITS_PER_SAMPLE, _PHOTOMETRIC = 256, 257, 258, 262  # tags of TIFF
_STRIP = 1 << 20  # pixels that are converted at a time, where a conversion has several steps


def upright(
    content: bytes, max_pixels: int, begin: Callable[[Image.Image], None] | None = None, reduction: int = 1
) -> Image.Image:
    """The image as upright RGB. `begin` is told of the image when its size is known, before a pixel is decoded.

    reduction: 2, 4 or 8 have a JPEG decoded to that part of its width and height, rounded up. Raises BadImage, also for
    more than `max_pixels` pixels.
    """
    if not content:
        raise BadImage(Status.EMPTY, "0 bytes")
    kind = looks_like_image(content[:64])
    with _blamed(content, kind):
        image = _opened(picture(content) if kind == "PNG" else content, kind)
        _check_size(image, max_pixels)
        if begin is not None:
            begin(image)
        if reduction > 1 and image.format in REDUCIBLE:
            image.draft(None, (image.width // reduction, image.height // reduction))
        image.load()
        _check_size(image, max_pixels)  # a plugin may have believed a header before
        turn = _TO_UPRIGHT.get(_orientation(image))
        rgb = _rgb(image)
    del image  # its pixels, unless they are those of `rgb`
    return rgb if turn is None else rgb.transpose(turn)


def upright_size(content: bytes, max_pixels: int) -> tuple[int, int]:
    """Width and height of what `upright` makes of the image, without its pixels being decoded. Raises BadImage."""
    return whole(content, max_pixels).size


def whole(content: bytes, max_pixels: int) -> Whole:
    """What `upright` makes of the image, without its pixels being decoded. Raises BadImage."""
    if not content:
        raise BadImage(Status.EMPTY, "0 bytes")
    kind = looks_like_image(content[:64])
    with _blamed(content, kind):
        image = _opened(without_pixels(content) if kind == "PNG" else content, kind)
        _check_size(image, max_pixels)
        width, height = image.size
        if kind == "TIFF":  # newer Pillows have turned the size already, but not what the file says
            tags = getattr(image, "tag_v2", {})
            width, height = int(tags.get(_WIDTH, width)), int(tags.get(_HEIGHT, height))
        orientation = _orientation(image, decoding=False)
    turned = _TO_UPRIGHT.get(orientation) in _ON_THE_SIDE
    return Whole((height, width) if turned else (width, height), _BACKWARDS.get(orientation, (False, False)))


@contextmanager
def _blamed(content: bytes, kind: str | None) -> Iterator[None]:
    """Raises BadImage for whatever a decoder says against bytes that begin as an image of this kind."""
    try:
        yield
    except UnidentifiedImageError as error:
        if kind is not None:
            raise BadImage(Status.DAMAGED, f"damaged: it begins as {kind}, but cannot be read on") from error
        raise BadImage(Status.NOT_AN_IMAGE, not_an_image(len(content), content)) from error
    except (BadImage, MemoryError):
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError, ...
        raise BadImage(Status.DAMAGED, f"damaged: {type(error).__name__}: {error}") from error


def _opened(content: bytes, kind: str | None) -> Image.Image:
    """The image with its header read."""
    if kind is None or opener(kind) in FORMATS:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    return Image.open(io.BytesIO(content), formats=[opener(kind)])


def _check_size(image: Image.Image, max_pixels: int) -> None:
    """Raises BadImage for an image that is too large."""
    width, height = image.size
    if width * height > max_pixels:
        raise BadImage(
            Status.TOO_LARGE, f"{width} x {height} pixels, more than the limit of {max_pixels} (--max-pixels)"
        )


def _orientation(image: Image.Image, decoding: bool = True) -> int:
    """1 ... 8 as EXIF has it; 1 where EXIF is damaged, for the pixels are not.

    decoding: whether a PNG may be decoded for it, as it is to look behind the pixels.
    """
    try:
        exif = image.getexif() if decoding else Image.Image.getexif(image)
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # as many kinds as decoders have
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: 16 bits are scaled, not clipped; transparency is put on white, as pages and viewers do."""
    if image.mode == "F":
        raise BadImage(Status.UNSUPPORTED, "floating-point pixels have no known white; convert them to 8 bits")
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # these two hand over 16 bits so
        raise BadImage(Status.UNSUPPORTED, "32-bit or signed grey has no known white; convert it to 8 bits")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.mode == "La" or image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """A transparent image on white; in strips, as each of the steps makes another image."""
    width, height = image.size
    rows = max(1, _STRIP // width)
    rgb = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if strip.mode == "La":
            strip = strip.convert("LA")
        strip = strip.convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        rgb.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return rgb


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey (I;16 and its byte orders) as L; what its transparent value marks becomes white."""
    tags = getattr(image, "tag_v2", {})
    white = 2 ** int(tags.get(_BITS_PER_SAMPLE, (16,))[0]) - 1
    width, height = image.size
    grey = np.empty((height, width), np.uint8)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        values = np.asarray(image.crop((0, top, width, min(top + rows, height)))).astype(np.uint32)
        strip = ((values * 255 + white // 2) // white).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == 0:  # WhiteIsZero, which Pillow turns round for 8 bits only
            strip = 255 - strip
        if "transparency" in image.info:
            strip[values == image.info["transparency"]] = 255
        grey[top : top + rows] = strip
    return Image.fromarray(grey)
