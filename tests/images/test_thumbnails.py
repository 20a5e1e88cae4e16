"""Pictures of chosen images: the right ones, from a folder, a manifest or a tar, and never from outside of it."""

from __future__ import annotations

import hashlib
import io
import tarfile

import numpy as np
import pytest
from pictures import write_image
from PIL import Image

from fne_cli.errors import BadInput
from fne_cli.images.thumbnails import encoded, find, thumbnails

SIDE = 8


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        write_image(tmp_path / "photos" / "a b" / f"{number}é.png", number, (SIDE, SIDE))
    return tmp_path / "photos"


def shown(images, ids, sha256=None):
    return thumbnails(find(str(images), ids), SIDE, "squash", sha256 or [""] * len(ids))


def pixels(path):
    return np.asarray(Image.open(path))


def test_a_folder_a_manifest_and_a_tar_give_the_same_pixels(folder, tmp_path):
    ids = ["a b/3é.png", "a b/0é.png"]
    manifest, archive = tmp_path / "list.csv", tmp_path / "photos.tar"
    manifest.write_text("path\n" + "".join(f"{name}\n" for name in reversed(ids)))
    manifest = manifest.rename(folder / "list.csv")
    with tarfile.open(archive, "w") as tar:
        tar.add(folder / "a b", "a b")
    for images in (folder, manifest, archive):
        for (found, wrong), name in zip(shown(images, ids), ids, strict=True):
            assert wrong == ""
            np.testing.assert_array_equal(found, pixels(folder / name))


def test_a_box_is_cut_out(folder):
    manifest = folder / "boxes.csv"
    manifest.write_text("path,x0,y0,x1,y1\na b/0é.png,2,3,6,7\n")
    ((found, _),) = shown(manifest, ["a b/0é.png#2,3,6,7"])
    region = Image.open(folder / "a b/0é.png").crop((2, 3, 6, 7)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(region))


@pytest.mark.parametrize("name", ["../secret.png", "a b/../../secret.png", "/etc/passwd", "a\0b", "none.png"])
def test_an_id_that_leads_elsewhere_is_missing(folder, name):
    write_image(folder.parent / "secret.png", 9)
    assert shown(folder, [name]) == [(None, "missing")]


def test_what_has_changed_or_is_no_image_is_not_shown(folder):
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_bytes(b"text")
    (folder / "folder.png").mkdir()
    digest = hashlib.sha256((folder / "a b/1é.png").read_bytes()).hexdigest()
    ids = ["a b/0é.png", "a b/1é.png", "empty.png", "text.png", "folder.png"]
    found = shown(folder, ids, [digest, digest, "", "", ""])
    assert [wrong for _, wrong in found] == ["changed since", "", "empty", "not an image", "unreadable"]
    assert [image is None for image, _ in found] == [True, False, True, True, True]


def test_no_such_place(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        find(str(tmp_path / "nowhere"), ["a.png"])


def test_paths_of_a_manifest_may_start_elsewhere(folder, tmp_path):
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\na b/1é.png\n")
    places = find(str(manifest), ["a b/1é.png"], root=str(folder))
    ((found, wrong),) = thumbnails(places, SIDE, "squash", [""])
    assert wrong == ""
    np.testing.assert_array_equal(found, pixels(folder / "a b/1é.png"))


def test_a_picture_is_encoded_as_jpeg():
    smooth = np.stack([np.tile(np.arange(0, 240, 5, np.uint8), (48, 1))] * 3, axis=-1)
    image = Image.open(io.BytesIO(encoded(smooth)))
    assert (image.format, image.size, image.info.get("exif")) == ("JPEG", (48, 48), None)
    assert np.abs(np.asarray(image).astype(int) - smooth).max() < 8
    assert encoded(smooth) == encoded(smooth)
