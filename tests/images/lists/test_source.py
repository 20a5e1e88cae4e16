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
from fne_cli.images.contents import listing_digest
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.source import list_images


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


def error_of(images: object, root: str | None = None, label: str = "label") -> str:
    with pytest.raises(BadInput) as caught:
        list_images(str(images), root, label)
    return str(caught.value)


def test_folder_manifest_and_tar_by_what_they_are(photos, tmp_path):
    (tmp_path / "m.CSV").write_text("path,label\nphotos/dog/1.jpg,d\n")
    (tmp_path / "m.jsonl").write_text('{"path": "photos/dog/1.jpg"}\n')
    (tmp_path / "m.json").write_text('[{"path": "photos/dog/1.jpg"}]')
    (tmp_path / "m.tsv").write_text("path\tclass\nphotos/dog/1.jpg\td\n")
    with tarfile.open("m.TAR", "w") as archive:
        archive.add("photos/dog/1.jpg", "dog/1.jpg")
    assert list_images("photos").ids == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
    assert list_images("photos/").files == ["photos/cat/1.jpg", "photos/cat/2.jpg", "photos/dog/1.jpg"]
    assert list_images("m.CSV").labels == [("d",)]
    assert list_images("m.jsonl").ids == ["photos/dog/1.jpg"]
    assert list_images("m.json").ids == ["photos/dog/1.jpg"]
    assert list_images("m.tsv", label_column="class").labels == [("d",)]
    assert list_images("m.TAR").ids == ["dog/1.jpg"]


def test_what_images_may_not_be(photos):
    wanted = "should be a folder, a manifest (.csv, .tsv, .jsonl, .json), a .tar or -"
    assert error_of("gone") == f"gone {wanted}. Found: no such file."
    assert error_of("gone.csv") == f"gone.csv {wanted}. Found: no such file."
    for name, remedy in {
        "photos/cat/1.jpg": ".jpg.\nGive the folder that it is in.",
        "plain": "nothing.",
        "photos.zip": ".zip.\nUnpack it first, and give the folder: unzip -d FOLDER ARCHIVE",
        "photos.RAR": ".rar.\nUnpack it first, and give the folder.",
        "list.txt": ".txt.\nA list of paths is read from standard input: fne extract - OUTPUT < LIST",
        "photos.h5": ".h5.",
    }.items():
        Path(name).touch()
        assert error_of(name) == f"{name} {wanted} for paths on standard input. Found: a file ending in {remedy}"


@pytest.mark.parametrize(
    ("ending", "remedy"),
    [
        (".parquet", 'Write it as CSV first; in Python: pandas.read_parquet("IN").to_csv("OUT.csv", index=False)'),
        (".feather", 'Write it as CSV first; in Python: pandas.read_feather("IN").to_csv("OUT.csv", index=False)'),
        (".XLSX", "Save it as CSV first."),
    ],
)
def test_tables_that_are_to_be_written_anew(photos, ending, remedy):
    Path(f"m{ending}").write_bytes(b"PAR1")
    wanted = f"m{ending} should be a manifest (.csv, .tsv, .jsonl, .json)."
    assert error_of(f"m{ending}") == f"{wanted} Found: a file ending in {ending.lower()}.\n{remedy}"


@pytest.mark.parametrize(
    ("ending", "mode", "program"),
    [("tar.gz", "w:gz", "gunzip"), ("tgz", "w:gz", "gunzip"), ("TAR.BZ2", "w:bz2", "bunzip2"),
     ("tar.xz", "w:xz", "unxz"), ("txz", "w:xz", "unxz")],
)  # fmt: skip
def test_compressed_archives_are_to_be_uncompressed(photos, ending, mode, program):
    with tarfile.open(f"m.{ending}", mode) as archive:
        archive.add("photos", "photos")
    message = error_of(f"m.{ending}")
    assert message.startswith(f"m.{ending} should be an uncompressed tar. Found: ")
    assert message.endswith(f".\nUncompress it first: {program}.")


def test_an_archive_that_is_called_compressed_and_is_not(photos):
    with tarfile.open("m.tgz", "w") as archive:
        archive.add("photos", "photos")
    assert list_images("m.tgz").classes == ["cat", "dog"]


def test_label_column_goes_with_a_manifest(photos, listed):
    with tarfile.open("m.tar", "w") as archive:
        archive.add("photos", "photos")
    for images in ("photos", "m.tar", "-"):
        assert error_of(images, label="class") == (
            f"--label-column names a column of a manifest (.csv, .tsv, .jsonl, .json). Found: {images}."
        )
    Path("photos.csv").mkdir()
    assert "Found: photos.csv." in error_of("photos.csv", label="class")


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


def test_lists_as_windows_writes_them(photos, listed):
    listing = listed(b"\xef\xbb\xbfdog\\1.jpg\r\n.\\cat\\2.jpg\r\n", "photos")
    assert (listing.ids, listing.labels) == (["dog/1.jpg", "cat/2.jpg"], [("dog",), ("cat",)])
    assert all(map(os.path.exists, listing.files))


def test_lists_with_accents_written_otherwise(photos, listed):
    (photos / "cat/caf\u00e9.jpg").touch()
    assert listed("cat/cafe\u0301.jpg\n".encode(), "photos").ids == ["cat/caf\u00e9.jpg"]


@pytest.mark.parametrize("path", ["../x.jpg", r"..\m.csv", "cat/../../x.jpg", "/etc/passwd"])
def test_paths_outside_the_root(photos, listed, path):
    Path("m.csv").touch()
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
    none = "m.csv should name files that exist. Found: none of its 2 does, such as "
    assert error_of("m.csv") == none + "dog/1.jpg.\nGive the folder that its paths start from: --root FOLDER."
    Path("m.csv").write_text("path,x0,y0,x1,y1\nphotos/dog/1.jpg,0,0,1,1\nphotos/dog/1.jpg,1,1,2,2\n")
    for root in ("photos", "photos/cat"):
        assert error_of("m.csv", root) == (
            f"{none}{root}/photos/dog/1.jpg.\nIts paths start from another folder: give --root {os.getcwd()}"
        )
    for path, why in {
        "/elsewhere/photos/1.jpg": "Its paths are absolute, those of another place: write them as they are below a "
        "folder, and give --root.",
        r"C:\photos\1.jpg": "Its paths are those of a Windows machine: write them as they are below a folder here, "
        "with /.",
        r"\\server\photos\1.jpg": "Its paths are those of a Windows machine: write them as they are below a folder "
        "here, with /.",
        r"photos\gone\1.jpg": "Give the folder that its paths start from: --root FOLDER.",
    }.items():
        Path("m.csv").write_text(f"path\n{path}\nnot/there.jpg\n")
        assert error_of("m.csv") == f"{none}{path}.\n{why}"
    Path("m.csv").write_text("path\ndog/1.jpg\ncat/1.jpg\n")
    with pytest.raises(BadInput, match=r"^standard input should name files that exist"):
        listed(b"gone.jpg\n")
    assert len(listed(b"gone.jpg\ndog/1.jpg\n", "photos")) == 2


def test_listings_are_those_of_earlier_versions(tmp_path, monkeypatch):
    """Else finished outputs would not be up to date any more. The digests are those of commit 97bd222."""
    monkeypatch.chdir(tmp_path)
    for name in ("train/cat/1.jpg", "train/dog/2.png", "test/cat/sub/3.JPG", "val/4.gif", "5.tif"):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", name).touch()
    with tarfile.open("photos.tar", "w") as archive:
        archive.add("photos", "photos")
    Path("m.csv").write_text(
        "path,label,split,own\nphotos/5.tif,1.0,train,x\n./photos/train/cat/1.jpg, a b ,test,\n"
        "photos/caf\u00e9.jpg,,,\n/abs/1.jpg,7,val,\n"
    )
    Path("b.jsonl").write_text(
        '{"path": "a.jpg", "label": 3, "x0": 1.5, "y0": 0, "x1": 20, "y1": 1e2}\n{"path": "a.jpg", "label": "x"}\n'
    )
    Path("s.csv").write_text("path,labels,ignore,split\n1.jpg,cat; dog;,eel,train\n2.jpg,,,test\n")
    for name in ("a.jpg", "1.jpg"):
        Path(name).touch()
    names = ("photos", "photos.tar", "m.csv", "b.jsonl", "s.csv")
    found = {name: listing_digest(list_images(name))[:12] for name in names}
    assert found == {
        "photos": "b6378f58aa21",
        "photos.tar": "f06b7aa4b879",
        "m.csv": "345c7c6c5bd8",
        "b.jsonl": "8fdb3fb0e7e7",
        "s.csv": "58464899c127",
    }
