"""Dense SIFT: where it is taken, and what must be true of descriptors wherever they come from."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from scipy import ndimage

from fne_cli.descriptors import packages
from fne_cli.descriptors.hog import Histograms
from fne_cli.descriptors.sift import DenseSift
from fne_cli.errors import BadInput


def picture(height: int = 64, width: int = 80, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return np.uint8(np.clip(128 + 600 * smooth, 0, 255))


@pytest.mark.parametrize("patch", [16, 24, 32, 40])
def test_patches_lie_within_the_image_a_step_apart(patch):
    [grid] = DenseSift(64, 81, [patch], 5).grids
    for side, values in zip((64, 81), grid.points.T, strict=True):
        places = np.unique(values)
        assert (np.diff(places) == 5).all()
        assert places[0] >= patch // 2 and places[-1] + patch // 2 <= side
        assert abs((places[0] - patch // 2) - (side - places[-1] - patch // 2)) <= 1  # in the middle


@pytest.mark.parametrize("patch", [16, 32])
def test_a_picture_that_moves_takes_its_descriptors_along(patch):
    large = picture(96, 96)
    sift = DenseSift(64, 64, [patch], 4, "sift")
    [grid] = sift.grids
    here, there = (sift.of(sift.gray(part), grid) for part in (large[8:72, 8:72], large[16:80, 16:80]))
    at = {tuple(point): row for point, row in zip(grid.points.tolist(), here, strict=True)}
    inner = [(y, x) for y, x in grid.points.tolist() if max(abs(y - 28), abs(x - 28)) <= 4]
    moved = {tuple(point): row for point, row in zip(grid.points.tolist(), there, strict=True)}
    assert inner
    for y, x in inner:
        assert at[y + 8, x + 8] @ moved[y, x] > 0.99


def test_they_are_what_opencv_finds_at_a_keypoint_of_that_size():
    pixels = picture()
    sift = DenseSift(64, 80, [24], 8, "sift")
    [grid] = sift.grids
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    [y, x] = grid.points[7].tolist()
    _, [wanted] = cv2.SIFT_create().compute(gray, [cv2.KeyPoint(x, y, 4.0, 0.0, 0.0, 0)])
    found = sift.of(sift.gray(pixels), grid)
    np.testing.assert_allclose(found[7], wanted / np.linalg.norm(wanted), atol=1e-6)
    roots = DenseSift(64, 80, [24], 8).of(gray, grid)
    np.testing.assert_allclose(roots[7], np.sqrt(wanted / wanted.sum()), atol=1e-6)


def test_what_is_drawn_is_part_of_the_whole_to_the_bit():
    pixels, sift = picture(), DenseSift(64, 80)
    whole = np.concatenate([sift.of(sift.gray(pixels), grid) for grid in sift.grids])
    numbers = np.sort(np.random.default_rng(0).choice(sift.count, 50, replace=False))
    assert (sift.drawn(pixels, numbers) == whole[numbers]).all()


def test_nothing_to_see_is_zeros_and_a_small_image_is_refused():
    sift = DenseSift(48, 48)
    assert not sift.drawn(np.full((48, 48, 3), 77, np.uint8), np.arange(sift.count)).any()
    with pytest.raises(BadInput, match=r"at least 40, the side of the largest patch\. Found: 32 x 64"):
        DenseSift(32, 64)


@pytest.mark.parametrize("module", ["cv2", "skimage"])
def test_without_the_package_the_extra_is_named(monkeypatch, module):
    for function in (packages.opencv, packages.hog_function):
        function.cache_clear()
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"which is not installed\. pip install 'fne-cli\[descriptors\]'"):
        DenseSift(48, 48) if module == "cv2" else Histograms(64, 64, ["cell8"])


def test_a_new_process_whose_threads_all_want_it_at_once():
    """cv2 imports itself in several steps, and a thread that met it in between failed."""
    program = (
        "import numpy as np\n"
        "from fne_cli.descriptors.handcrafted import Described, _Encoded\n"
        "class Encoder:\n"
        "    columns = 1\n"
        "    blank = lambda self: np.zeros(1)\n"
        "    add = lambda self, sums, descriptors, atoms: sums.__iadd__(len(descriptors))\n"
        "    row = lambda self, sums, layer: sums\n"
        "from fne_cli.descriptors.sift import DenseSift\n"
        "call = Described(_Encoded(DenseSift(48, 48), Encoder()), ['cells1x1'], 32)\n"
        "assert len(set(call(np.zeros((32, 48, 48, 3), np.uint8))[0].ravel())) == 1\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
