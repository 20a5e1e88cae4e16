"""Images changed at random in training, by draws that belong to an image and an epoch and to nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fne_cli.errors import BadInput

WAYS = ("flip", "crop", "colour")
PAD = 8  # a crop moves the image by up to an eighth of its side
COLOUR = 0.2  # brightness, contrast and saturation change by up to a fifth


def spelled(ways: Sequence[str]) -> tuple[str, ...]:
    """The ways, each once and in their order. Raises BadInput for one that there is not."""
    found = {"colour" if way.lower() == "color" else way.lower() for way in ways}
    if unknown := sorted(found - set(WAYS)):
        raise BadInput(f"--augment should be some of {', '.join(WAYS)}. Found: {unknown[0]!r}.")
    return tuple(way for way in WAYS if way in found)


class Draws:
    """The order of an epoch, and what is done to each image in it. The same seed and epoch give the same draws."""

    def __init__(self, seed: int, epoch: int, images: int, ways: Sequence[str]) -> None:
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
        self.order = random.permutation(images)
        self._ways = ways
        # Drawn for all images and all ways, so that neither the batch nor another way changes what an image gets.
        self._uniform = random.random((images, 6))

    def changed(self, numbers: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """The images of these numbers, pixels (n, height, width, 3) uint8, as this epoch has them."""
        uniform = self._uniform[numbers]
        if "crop" in self._ways:
            pixels = _moved(pixels, uniform[:, :2])
        if "flip" in self._ways:
            mirrored = uniform[:, 2] < 0.5
            pixels = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
        return _coloured(pixels, uniform[:, 3:]) if "colour" in self._ways else pixels


def _moved(pixels: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """A window of the same size in each image with its border mirrored around it."""
    _, height, width, _ = pixels.shape
    down, right = max(1, height // PAD), max(1, width // PAD)
    padded = np.pad(pixels, ((0, 0), (down, down), (right, right), (0, 0)), mode="reflect")
    moved = np.empty_like(pixels)
    for number, (row, column) in enumerate((uniform * (2 * down + 1, 2 * right + 1)).astype(int).tolist()):
        moved[number] = padded[number, row : row + height, column : column + width]
    return moved


def _coloured(pixels: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Brightness times a factor, then contrast about the mean grey, then saturation about each pixel's grey."""
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    bright, contrast, colour = (1 + COLOUR * (2 * uniform.T.astype(np.float32) - 1))[..., None, None, None]
    values = pixels * bright
    mean = (values @ luma).mean(axis=(1, 2), dtype=np.float64).astype(np.float32)[:, None, None, None]
    values = mean + contrast * (values - mean)
    grey = (values @ luma)[..., None]
    values = grey + colour * (values - grey)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
