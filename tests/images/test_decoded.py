from __future__ import annotations

import numpy as np
import pytest
from pictures import write_image

from fne_cli.errors import BadInput
from fne_cli.images.decoded import DecodedImages
from fne_cli.images.lists.source import list_images
from fne_cli.images.pixels.geometry import Geometry


@pytest.fixture
def listing(tmp_path):
    for number in range(70):
        write_image(tmp_path / "ab"[number % 2] / f"{number:02d}.png", number)
    (tmp_path / "a" / "99.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return list_images(str(tmp_path))


def test_kept_or_decoded_each_time_the_pixels_are_the_same(listing):
    kept, fresh = (DecodedImages(listing, Geometry(8, 8), memory=memory) for memory in (None, 1))
    assert (kept.kept, fresh.kept) == (True, False)
    chosen = np.array([60, 3, 3, 12])
    assert np.array_equal(kept.pixels(chosen), fresh.pixels(chosen)) and kept.pixels(chosen).any()
    assert kept.sha256 == fresh.sha256 and kept.good.sum() == 70
    assert [name for name, _ in kept.bad] == ["a/99.png"]


def test_items_come_in_order_however_many_threads_make_them(listing):
    images = DecodedImages(listing, Geometry(8, 8), workers=3, memory=1)
    with images.ahead([np.array([number]) for number in range(20)], lambda item: int(item[0])) as made:
        assert list(made) == list(range(20))


def test_an_image_that_changes_meanwhile_is_told(listing, tmp_path):
    images = DecodedImages(listing, Geometry(8, 8), memory=1)
    write_image(tmp_path / "a" / "00.png", 50)
    with pytest.raises(BadInput, match=r"a/00.png should stay as it is while a network is trained on it"):
        images.pixels(np.array([listing.ids.index("a/00.png")]))
