from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from fne_cli.errors import BadInput
from fne_cli.images.augmented import WAYS, Draws, spelled

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 16, 24, 3), np.uint8)


def test_what_an_image_gets_depends_on_the_epoch_and_not_on_the_batch():
    draws = Draws(3, 1, 6, WAYS)
    whole = draws.changed(np.arange(6), PIXELS)
    for chosen in ([4, 1], [2]):
        assert np.array_equal(draws.changed(np.array(chosen), PIXELS[chosen]), whole[chosen])
    assert np.array_equal(Draws(3, 1, 6, WAYS).changed(np.arange(6), PIXELS), whole)
    assert not np.array_equal(Draws(3, 2, 6, WAYS).changed(np.arange(6), PIXELS), whole)
    assert sorted(draws.order) == list(range(6)) and list(draws.order) != list(Draws(3, 2, 6, WAYS).order)


def test_crops_are_windows_of_the_mirrored_image():
    moved = Draws(0, 0, 6, ("crop",)).changed(np.arange(6), PIXELS)
    for image, found in zip(PIXELS, moved, strict=True):
        around = np.pad(image, ((2, 2), (3, 3), (0, 0)), mode="reflect")
        windows = [around[row : row + 16, column : column + 24] for row in range(5) for column in range(7)]
        assert any(np.array_equal(found, window) for window in windows)


def test_half_of_the_images_are_mirrored():
    pixels = np.broadcast_to(np.arange(12, dtype=np.uint8).reshape(1, 1, 4, 3), (400, 1, 4, 3))
    flipped = Draws(0, 0, 400, ("flip",)).changed(np.arange(400), pixels)
    mirrored = (flipped == pixels[:, :, ::-1]).all(axis=(1, 2, 3))
    assert 150 < mirrored.sum() < 250 and (flipped[~mirrored] == pixels[~mirrored]).all()


def test_colours_are_those_of_pillow():
    draws = Draws(0, 0, 6, ("colour",))
    found = draws.changed(np.arange(6), PIXELS)
    bright, contrast, colour = 1 + 0.2 * (2 * draws._uniform[:, 3:].T - 1)
    for number, pixels in enumerate(PIXELS):
        values = pixels[4:12, 4:12] // 4 + 96  # so that Pillow, which rounds after each step, cuts nothing off
        image = Image.fromarray(values)
        for enhance, factor in ((ImageEnhance.Brightness, bright), (ImageEnhance.Contrast, contrast),
                                (ImageEnhance.Color, colour)):  # fmt: skip
            image = enhance(image).enhance(factor[number])
        one = np.zeros((6, 8, 8, 3), np.uint8)
        one[number] = values
        ours = draws.changed(np.arange(6), one)[number]
        assert np.abs(ours.astype(int) - np.asarray(image).astype(int)).max() <= 3
    assert found.dtype == np.uint8


def test_ways_are_spelled_in_one_way():
    assert spelled(["Colour", "flip", "color"]) == ("flip", "colour")
    with pytest.raises(BadInput, match=r"--augment should be some of flip, crop, colour\. Found: 'rotate'"):
        spelled(["flip", "rotate"])
