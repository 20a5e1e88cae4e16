"""Folders of images: what is listed, in an order that no file system decides, and what is said of the rest."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from fne_cli.errors import BadInput
from fne_cli.images.lists.findings import remarks, summary, tell
from fne_cli.images.lists.tree import from_folder
from fne_cli.images.pixels.opening import FORMATS
from fne_cli.progress import Progress


def tree(root: Path, *paths: str) -> str:
    """Empty files: a listing does not open what is called an image."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return str(root)


def test_folder_in_sorted_order_whatever_the_file_systems(tmp_path):
    names = ["b/2.jpg", "b/10.jpg", "a/z.png", "a-b/1.jpg", "B/1.jpg", "a/sub/1.jpg"]
    root = tree(tmp_path / "photos", *names, "a/notes.txt", "a/.hidden.jpg", ".git/1.jpg", "b/.cache/1.jpg")
    listing = from_folder(root)
    assert listing.ids == sorted(names)
    assert listing.files == [f"{root}/{name}" for name in sorted(names)]
    assert listing.classes == ["B", "a", "a-b", "b"]


def test_two_orders_of_writing_give_one_listing(tmp_path):
    names = [f"{label}/{number}.jpg" for label in "cab" for number in range(30)]
    first, second = (from_folder(tree(tmp_path / top, *order)) for top, order in (("1", names), ("2", names[::-1])))
    assert first.ids == second.ids


def test_empty_folder_says_what_to_do(tmp_path):
    root = tree(tmp_path / "photos", "cat/readme.txt", ".hidden/1.jpg")
    with pytest.raises(BadInput) as caught:
        from_folder(root)
    assert str(caught.value) == (
        f"{root} should hold images. Found: none; 1 file left out: .txt 1.\n"
        f"Put them in class folders ({root}/cat/1.jpg), or give a manifest with a column path."
    )


def test_links_are_followed_but_not_in_circles(tmp_path):
    root = tree(tmp_path / "photos", "train/cat/1.jpg")
    (tmp_path / "photos/train/cat/up").symlink_to("../..")
    (tmp_path / "photos/train/cat/self").symlink_to("self")
    (tmp_path / "photos/train/cat/broken.jpg").symlink_to("absent")
    tree(tmp_path / "elsewhere", "2.jpg")
    (tmp_path / "photos/train/dog").symlink_to(tmp_path / "elsewhere")
    assert from_folder(root).ids == ["train/cat/1.jpg", "train/cat/broken.jpg", "train/dog/2.jpg"]


def test_a_folder_linked_twice_is_there_twice(tmp_path):
    tree(tmp_path / "data", "cat/1.jpg")
    (tmp_path / "photos").mkdir()
    for split in ("val", "train"):
        (tmp_path / "photos" / split).symlink_to(tmp_path / "data")
    assert from_folder(str(tmp_path / "photos")).ids == ["train/cat/1.jpg", "val/cat/1.jpg"]


def test_names_that_are_not_utf8(tmp_path):
    folder = os.fsencode(tmp_path) + b"/photos/caf\xe9"
    os.makedirs(folder)
    with open(folder + b"/\xff.jpg", "wb"):
        pass
    listing = from_folder(str(tmp_path / "photos"))
    assert (listing.ids, listing.classes) == ([r"caf\xe9/\xff.jpg"], [r"caf\xe9"])
    assert os.path.exists(listing.files[0])


def test_deeply_nested_folders(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):  # more than Python may recurse
        os.mkdir("d", dir_fd=here)
        inside = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inside
    os.close(os.open("1.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    try:
        assert from_folder(str(tmp_path)).classes == ["d"]
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # pytest's own clearing up would recurse


def test_folder_that_cannot_be_read(tmp_path):
    with pytest.raises(BadInput, match=r"should be a folder that can be read. Found: .*No such file"):
        from_folder(str(tmp_path / "absent"))


# What else is there


def said(root: str) -> list[str]:
    listing = from_folder(root)
    return [summary(listing), *remarks(listing)]


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 8), "red").save(buffer, kind)
    return buffer.getvalue()


KINDS = [name for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF") if name in FORMATS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["1", "1.image", "1.0", "a.b", "1.jpg?size=large"])
def test_files_whose_names_do_not_say_are_looked_into(tmp_path, kind, name):
    root = tree(tmp_path / "photos", "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "photos/cat" / name).write_bytes(encoded(kind))
    assert from_folder(root).ids == sorted(["cat/1.jpg", "dog/2.jpg", f"cat/{name}"])
    assert said(root) == ["3 images (no splits), 2 classes, 0 images without label"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1.jpg.part", encoded("JPEG")),  # half a file
        ("1.png.tmp", encoded("PNG")),
        ("1.jpg~", encoded("JPEG")),  # a copy
        ("1.bak", encoded("JPEG")),
        ("1.nef", encoded("TIFF")),  # what the sensor saw; a decoder of TIFF finds the preview
        ("1.DNG", encoded("TIFF")),
        ("1.txt", encoded("PNG")),
        ("notes", b"BMW and other cars, a text that begins as a bitmap does"),
        ("page", b"Pictures of cats"),
        ("film.mp4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"),
        ("sound.wav", b"RIFF\x24\0\0\0WAVEfmt "),
        ("model.h5", b"\x89HDF\r\n\x1a\n"),
        ("nothing", b""),
    ],
)
def test_other_files_are_counted(tmp_path, name, content):
    root = tree(tmp_path / "photos", "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "photos/cat" / name).write_bytes(content)
    assert from_folder(root).ids == ["cat/1.jpg", "dog/2.jpg"]
    ending = os.path.splitext(name)[1].lower() or "no ending"
    ending = "other endings" if ending.endswith("~") else ending
    assert said(root)[1:] == [f"1 file left out: {ending} 1"]


def test_files_left_out_by_ending_the_most_frequent_first(tmp_path):
    names = ["a.mov", "b.MOV", "c.mov", "d.kra", "x/notes", "README", "e.xmp", "f.psd", "g.ai", "h.pdf", "i.pdf"]
    root = tree(tmp_path / "photos", "x/1.jpg", "y/1.jpg", *names, "Thumbs.db", ".DS_Store", "x/._1.jpg")
    assert said(root) == [
        "2 images (no splits), 2 classes, 0 images without label",
        "12 files left out: .mov 3, .pdf 2, no ending 2, .ai 1, .db 1, others 3",
    ]


def test_what_is_no_file_is_not_opened(tmp_path):
    root = tree(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg")
    os.mkfifo(tmp_path / "photos/cat/pipe")  # whoever opens it waits for a writer
    assert said(root)[1:] == ["1 file left out: no ending 1"]


def test_an_unreadable_file_without_ending_is_left_out(ordinary_folder):
    root = tree(ordinary_folder / "photos", "cat/1.jpg", "dog/1.jpg", "dog/2")
    (ordinary_folder / "photos/dog/2").chmod(0)
    assert said(root)[1:] == ["1 file left out: no ending 1"]


def test_folders_that_nobody_put_there(tmp_path):
    images = ["cat/1.jpg", "dog/2.jpg"]
    others = ["@eaDir/1.jpg", "cat/@eaDir/1.jpg/thumb.jpg", "lost+found/1.jpg", "$RECYCLE.BIN/S-1/1.jpg",
              "__MACOSX/cat/1.jpg", "cat/.ipynb_checkpoints/1-checkpoint.jpg", "#recycle/3.jpg",
              "System Volume Information/4.jpg"]  # fmt: skip
    root = tree(tmp_path / "photos", *images, *others)
    assert from_folder(root).ids == images
    assert said(root)[1:] == [
        "folders left out by name: @eaDir 2, #recycle 1, $RECYCLE.BIN 1, .ipynb_checkpoints 1, "
        "System Volume Information 1, others 2"
    ]


def test_links_that_lead_nowhere_are_said_and_images_keep_their_rows(tmp_path):
    root = tree(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg")
    for name in ("cat/2.jpg", "cat/more", "notes.txt"):
        (tmp_path / "photos" / name).symlink_to("/gone/away")
    (tmp_path / "photos/cat/self").symlink_to("self")
    assert from_folder(root).ids == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
    assert said(root)[1:] == ["4 links that lead nowhere: cat/2.jpg, cat/more, cat/self, notes.txt"]


@pytest.mark.parametrize(
    ("images", "link"),
    [
        (["cat/1.jpg"], "dog"),
        (["train/cat/1.jpg", "test/cat/1.jpg"], "val"),
        (["train/cat/1.jpg", "test/cat/1.jpg"], "test/dog"),
        (["all/train/cat/1.jpg", "all/test/cat/1.jpg"], "all/test/dog"),
        (["all/cat/1.jpg", "all/eel/1.jpg"], "all/dog"),
        (["cat/1.jpg"], "version 1.0"),
        ([], "dog"),
    ],
)
def test_a_class_folder_that_leads_nowhere_is_an_error(tmp_path, images, link):
    root = tree(tmp_path / "photos", *images)
    Path(root).mkdir(exist_ok=True)
    (tmp_path / "photos" / link).symlink_to("/gone/dog")
    with pytest.raises(BadInput) as caught:
        from_folder(root)
    assert str(caught.value) == (
        f"{link} in {root} should be a folder of images. Found: a link to /gone/dog, which is not there.\n"
        "Mend the link, or remove it."
    )


def test_class_folders_without_images(tmp_path):
    root = tree(tmp_path / "photos", "train/cat/1.jpg", "train/eel/readme.md", "test/cat/sub/1.jpg", "test/dog/2.jpg")
    for name in ("train/dog", "test/cat/empty", "val/cat", "val/dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    assert said(root) == [
        "3 images (train 1, test 2), 2 classes, 0 images without label",
        "1 file left out: .md 1",
        "3 class folders without images: train/dog, train/eel, val",
    ]


def test_one_folder_around_everything(tmp_path):
    root = tree(tmp_path / "photos", "photos-main/train/cat/1.jpg", "photos-main/test/dog/1.jpg", "photos-main/LICENSE")
    listing = from_folder(root)
    assert listing.ids == ["photos-main/test/dog/1.jpg", "photos-main/train/cat/1.jpg"]
    assert (listing.splits, listing.labels) == (["test", "train"], [("dog",), ("cat",)])
    assert said(root)[1:] == [
        "looked through the folder photos-main, which is around everything",
        "1 file left out: no ending 1",
    ]


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (["cat/1.jpg", "cat/2.jpg"], ["cat"]),
        (["cat/1.jpg", "cat/more/2.jpg"], ["cat"]),
        (["all/cat/1.jpg", "2.jpg"], ["all"]),
    ],
)
def test_one_class_alone_is_said(tmp_path, paths, classes):
    root = tree(tmp_path / "photos", *paths)
    assert from_folder(root).classes == classes
    assert said(root)[1:] == [f"all labelled images are of one class: {classes[0]}"]


def test_split_folders_without_classes_are_said_to_be_classes(tmp_path):
    root = tree(tmp_path / "photos", "train/1.jpg", "test/2.jpg")
    assert from_folder(root).classes == ["test", "train"]
    assert said(root)[1:] == ["taken for classes, not splits, as no class folders are in them: test, train"]


def test_classes_that_are_written_in_two_ways_are_said(tmp_path):
    root = tree(tmp_path / "photos", "cat/1.jpg", "Cat/1.jpg", "caf\u00e9/1.jpg", "cafe\u0301/2.jpg", "dog/1.jpg")
    assert said(root)[1:] == [
        "classes whose names are nearly the same: 'Cat', 'cat'",
        "classes whose names are nearly the same: 'cafe\u0301', 'caf\u00e9'",
    ]


def test_names_move_no_line_and_no_cursor(tmp_path, capsys):
    class Told(Progress):
        def note(self, text: str) -> None:
            print(text)

    root = tree(tmp_path / "photos", "a\nb/1.jpg", "a\nb/2.jpg")
    tell(from_folder(root), "photos\nx", Told())
    assert capsys.readouterr().out == (
        "photos\\nx: 2 images (no splits), 1 class, 0 images without label\n"
        "  all labelled images are of one class: a\\nb\n"
    )


def test_images_without_label_and_without_split(tmp_path):
    root = tree(tmp_path / "photos", "train/cat/1.jpg", "test/dog/1.jpg", "val/3.jpg", "4.jpg")
    assert said(root) == ["4 images (train 1, val 1, test 1, without split 1), 2 classes, 2 images without label"]
