#!/usr/bin/env python
"""A set of photographs and changed copies of each, after INRIA's Copydays.

    python scripts/make_copies.py IMAGES OUT [--root DIR] [--images 500] [--distractors 500] [--seed 0]

IMAGES is a folder or a manifest. Photographs are drawn from it by chance, none with the bytes of another. OUT gets
originals/, distractors/ (further photographs, to be mistaken for the originals), copies/, and manifest.csv with the
columns path, label (the number of the original), split (train: originals and distractors; test: copies), kind, change
and source (the path in IMAGES). The same seed, images and Pillow make the same bytes.

Copydays has the crops and the JPEG qualities; its third part was made by hand (print and scan, paint, ...), and blur,
rotation and brightness stand in for it here:

    crop        10 to 80 % of the surface cut away all around, the middle kept
    jpeg        compressed at quality 3 to 75
    blur        Gaussian, of radius 1 to 8 pixels
    rotation    by 2 to 90 degrees, the corners black
    brightness  30 to 250 % as bright

All but the JPEG copies are PNG: each has one change, and no other.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from fne_cli.errors import BadInput, FneError
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.source import list_images
from fne_cli.images.pixels.bad import BadImage
from fne_cli.images.pixels.opening import upright

CROPS = (10, 15, 20, 30, 40, 50, 60, 70, 80)  # per cent of the surface
QUALITIES = (75, 50, 30, 20, 15, 10, 8, 5, 3)
RADII = (1, 2, 4, 8)  # pixels
ANGLES = (2, 5, 10, 20, 45, 90)  # degrees
BRIGHTNESSES = (30, 60, 150, 250)  # per cent
COLUMNS = ("path", "label", "split", "kind", "change", "source")
MAX_PIXELS = 100_000_000


def cropped(image: Image.Image, percent: int) -> Image.Image:
    """The middle, without so many per cent of the surface; the sides keep their proportion."""
    share = (1 - percent / 100) ** 0.5
    width, height = max(1, round(image.width * share)), max(1, round(image.height * share))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def changed(image: Image.Image) -> Iterator[tuple[str, str, Image.Image]]:
    """Kind, change and picture of each copy that is no JPEG."""
    for percent in CROPS:
        yield "crop", f"crop-{percent}", cropped(image, percent)
    for radius in RADII:
        yield "blur", f"blur-{radius}", image.filter(ImageFilter.GaussianBlur(radius))
    for angle in ANGLES:
        yield "rotation", f"rotation-{angle}", image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    for percent in BRIGHTNESSES:
        yield "brightness", f"brightness-{percent}", ImageEnhance.Brightness(image).enhance(percent / 100)


def copies(image: Image.Image) -> Iterator[tuple[str, str, str, bytes]]:
    """Kind, change, ending and bytes of every copy."""
    for quality in QUALITIES:
        yield "jpeg", f"jpeg-{quality}", ".jpg", encoded(image, "JPEG", quality=quality)
    for kind, change, copy in changed(image):
        yield kind, change, ".png", encoded(copy, "PNG", compress_level=1)


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drawn(listing: Listing, count: int, seed: int) -> Iterator[tuple[int, bytes, Image.Image]]:
    """`count` images that can be read, by chance, no two with the same bytes: number, bytes and pixels of each."""
    seen: set[bytes] = set()
    for number in np.random.default_rng(seed).permutation(len(listing)).tolist():
        if len(seen) == count:
            return
        try:
            content = Path(listing.files[number]).read_bytes()
            image = upright(content, MAX_PIXELS)
        except (OSError, BadImage):
            continue
        digest = hashlib.sha256(content).digest()
        if digest not in seen:
            seen.add(digest)
            yield number, content, image
    if len(seen) < count:
        raise BadInput(f"There should be {count:,} different images that can be read. Found: {len(seen):,}. Ask for "
                       "fewer with --images and --distractors.")  # fmt: skip


def make(listing: Listing, out: Path, images: int, distractors: int, seed: int) -> int:
    """Write the set, the manifest last. Returns how many files it has."""
    rows: list[tuple[str, str, str, str, str, str]] = []

    def add(folder: str, name: str, content: bytes, row: tuple[str, str, str, str, str]) -> None:
        path = Path(folder) / name
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
        rows.append((path.as_posix(), *row))

    for place, (number, content, image) in enumerate(drawn(listing, images + distractors, seed)):
        label, source = f"{place:05}", listing.ids[number]
        kind = "original" if place < images else "distractor"
        ending = Path(listing.files[number]).suffix.lower()
        add(f"{kind}s", label + ending, content, (label, "train", kind, kind, source))
        for what, change, suffix, copy in copies(image) if place < images else ():
            add(f"copies/{change}", label + suffix, copy, (label, "test", what, change, source))
    with (out / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return len(rows)


def main() -> None:
    """Make the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images_from", metavar="IMAGES")
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--root", help="the folder that the paths of a manifest start from")
    parser.add_argument("--images", type=int, default=500, help="originals (default: 500)")
    parser.add_argument("--distractors", type=int, default=500, help="further photographs (default: 500)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    out: Path = options.out
    if out.exists():
        parser.error(f"{out} should be a new folder. Found: it exists. Remove it, or name another.")
    if options.images < 1 or options.distractors < 0:
        parser.error("--images should be at least 1, and --distractors at least 0.")
    unfinished = out.with_name(out.name + ".partial")
    try:
        listing = list_images(options.images_from, options.root, label_column=None)
        if listing.boxes is not None or listing.spans is not None:
            raise BadInput(f"{options.images_from} should be a folder, or a manifest of whole images.")
        shutil.rmtree(unfinished, ignore_errors=True)
        count = make(listing, unfinished, options.images, options.distractors, options.seed)
    except FneError as error:
        parser.exit(error.exit_code, f"{error}\n")
    unfinished.rename(out)
    print(f"{out}: {count:,} images of {options.images:,} photographs; fne extract {out / 'manifest.csv'} FEATURES.h5")


if __name__ == "__main__":
    main()
