"""What IMAGES may be, and paths on standard input."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from fne_cli.errors import BadInput
from fne_cli.images.listing import Listing
from fne_cli.images.source import list_images


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Three files below photos/, seen from the folder above."""
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


@pytest.fixture
def listed(monkeypatch):
    def run(content: bytes, root: str | None = None) -> Listing:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        return list_images("-", root)

    return run


def error_of(images: object, root: str | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        list_images(str(images), root)
    return str(caught.value)


def test_folder_manifest_and_tar_by_what_they_are(photos, tmp_path):
    (tmp_path / "m.CSV").write_text("path,label\nphotos/dog/1.jpg,d\n")
    (tmp_path / "m.jsonl").write_text('{"path": "photos/dog/1.jpg"}\n')
    with tarfile.open("m.TAR", "w") as archive:
        archive.add("photos/dog/1.jpg", "dog/1.jpg")
    assert list_images("photos").ids == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
    assert list_images("photos/").files == ["photos/cat/1.jpg", "photos/cat/2.jpg", "photos/dog/1.jpg"]
    assert list_images("m.CSV").labels == [("d",)]
    assert list_images("m.jsonl").ids == ["photos/dog/1.jpg"]
    assert list_images("m.TAR").ids == ["dog/1.jpg"]


def test_what_images_may_not_be(photos):
    assert error_of("gone") == ("gone should be a folder, a manifest (.csv, .jsonl), a .tar or -. Found: no such file.")
    Path("photos.tar.gz").touch()
    assert error_of("photos.tar.gz").endswith("Found: a file ending in .gz.")
    assert error_of("photos/cat/1.jpg").endswith("Found: a file ending in .jpg.")
    Path("plain").touch()
    assert error_of("plain").endswith("Found: a file ending in nothing.")


def test_list_in_its_own_order(photos, listed):
    listing = listed(b"dog/1.jpg\n./cat//2.jpg\n\ncat/1.jpg", "photos")
    assert listing.ids == ["dog/1.jpg", "cat/2.jpg", "cat/1.jpg"]
    assert listing.labels == [("dog",), ("cat",), ("cat",)]
    assert all(map(os.path.exists, listing.files))


def test_absolute_paths_become_relative_to_the_root(photos, listed):
    listing = listed(os.fsencode(photos) + b"/dog/1.jpg\r\n" + os.fsencode(photos) + b"/cat/../cat/1.jpg\r\n", "photos")
    assert listing.ids == ["dog/1.jpg", "cat/1.jpg"]
    assert all(map(os.path.exists, listing.files))


def test_without_a_root_paths_start_here(photos, listed):
    assert listed(b"photos/dog/1.jpg\n").ids == ["photos/dog/1.jpg"]


def test_nul_separated_names_may_hold_newlines(photos, listed):
    (photos / "cat" / "a\nb.jpg").touch()
    assert listed(b"cat/a\nb.jpg\0dog/1.jpg\0", "photos").ids == ["cat/a\nb.jpg", "dog/1.jpg"]


def test_names_that_are_not_utf8(photos, listed):
    with open(os.fsencode(photos) + b"/cat/\xff.jpg", "wb"):
        pass
    listing = listed(b"cat/\xff.jpg\n", "photos")
    assert listing.ids == [r"cat/\xff.jpg"]
    assert os.path.exists(listing.files[0])


@pytest.mark.parametrize("path", ["../x.jpg", "cat/../../x.jpg", "/etc/passwd"])
def test_paths_outside_the_root(photos, listed, path):
    with pytest.raises(BadInput) as caught:
        listed(path.encode(), "photos")
    assert str(caught.value) == f"The paths on standard input should lie below --root photos. Found: {path}."


def test_nothing_on_standard_input(listed, monkeypatch):
    with pytest.raises(BadInput, match=r"^standard input should hold images. Found: none\.$"):
        listed(b"\n\n")
    monkeypatch.setattr(sys, "stdin", None)
    assert error_of("-") == "Standard input should have a path on every line. Found: it is closed."


def test_root_that_is_no_folder(photos):
    Path("m.csv").write_text("path\ndog/1.jpg\n")
    assert error_of("m.csv", "photo") == (
        "--root should be the folder that the paths of m.csv start from. Found: no folder photo."
    )


def test_files_that_are_all_missing_are_a_wrong_root(photos, listed):
    Path("m.csv").write_text("path\ndog/1.jpg\ncat/1.jpg\n")
    assert error_of("m.csv") == (
        "m.csv should name files that exist. Found: none of its 2 does, such as dog/1.jpg.\n"
        "Give the folder that its paths start from: --root FOLDER."
    )
    with pytest.raises(BadInput, match=r"^standard input should name files that exist"):
        listed(b"gone.jpg\n")
    assert len(listed(b"gone.jpg\ndog/1.jpg\n", "photos")) == 2
