"""Listings: what a folder's paths say about class and split, in an order that no file system decides."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.errors import BadInput
from fne_cli.images.listing import Listing, from_folder, from_paths, is_image_name, printable


def tree(root: Path, *paths: str) -> str:
    """Empty files: a listing never opens them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return str(root)


def paths_only(*paths: str, wrapped: bool = False) -> Listing:
    return from_paths(paths, paths, "photos", wrapped=wrapped)


def error_of(*paths: str) -> str:
    with pytest.raises(BadInput) as caught:
        paths_only(*paths)
    return str(caught.value)


# Paths


def test_class_folders():
    listing = paths_only("cat/1.jpg", "cat/siamese/2.jpg", "dog/1.jpg", "loose.jpg")
    assert listing.labels == [("cat",), ("cat",), ("dog",), ()]
    assert listing.splits == [""] * 4
    assert listing.classes == ["cat", "dog"]
    assert listing.label_array().tolist() == [0, 0, 1, -1]
    assert listing.label_array().dtype == np.int32


def test_split_folders():
    listing = paths_only("test/dog/1.jpg", "train/cat/1.jpg", "train/dog/2/3.jpg", "val/9.jpg", "loose.jpg")
    assert listing.splits == ["test", "train", "train", "val", ""]
    assert listing.labels == [("dog",), ("cat",), ("dog",), (), ()]


def test_wrapped_paths_keep_their_ids():
    listing = paths_only("all/train/cat/1.jpg", "all/test/dog/1.jpg", wrapped=True)
    assert listing.ids == ("all/train/cat/1.jpg", "all/test/dog/1.jpg")
    assert (listing.splits, listing.labels) == (["train", "test"], [("cat",), ("dog",)])


def test_a_class_may_be_called_train():
    listing = paths_only("car/1.jpg", "train/1.jpg", "test/1.jpg")
    assert listing.labels == [("car",), ("train",), ("test",)]
    assert set(listing.splits) == {""}


def test_split_folders_beside_class_folders():
    assert error_of("train/cat/1.jpg", "test/cat/1.jpg", "validation/cat/1.jpg", "dog/1.jpg") == (
        "photos should have either class folders or the split folders train, val and test at its top.\n"
        "Found: test, train beside dog, validation."
    )


def test_an_id_twice():
    assert error_of("a/1.jpg", "b/1.jpg", "a/1.jpg") == (
        "photos should name every image once. Found: 'a/1.jpg' 2 times."
    )
    assert error_of(*["a/1.jpg"] * 3, *["b/1.jpg"] * 2, *["b/2.jpg"] * 2).endswith(
        "'a/1.jpg' 3 times, and 2 more such images."
    )


@pytest.mark.parametrize("name", ["1.jpg", "1.JPEG", "a.b.png", "x.TiF", "é.webp", "\udcff.gif", " .bmp"])
def test_image_names(name):
    assert is_image_name(name)


@pytest.mark.parametrize(
    "name", [".jpg", ".hidden.png", "1.txt", "jpg", "1.jpg.part", "1.jpg~", "Thumbs.db", "._1.jpg"]
)
def test_other_names(name):
    assert not is_image_name(name)


@given(st.binary(max_size=40))
def test_printable_is_utf8_without_nul(name):
    shown = printable(os.fsdecode(name))
    assert "\0" not in shown
    assert shown.encode() == name or b"\\x" in shown.encode()


def test_printable_names_every_byte():
    assert printable(os.fsdecode(b"caf\xe9/\xff.jpg")) == r"caf\xe9/\xff.jpg"
    assert printable("naïve/日本.jpg") == "naïve/日本.jpg"


# Folders


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
        f"{root} should hold images. Found: none.\n"
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


# Several labels, shards


def several(labels: list[tuple[str, ...]], ignored: list[tuple[str, ...]]) -> np.ndarray:
    ids = [str(number) for number in range(len(labels))]
    return Listing(ids, ids, [""] * len(ids), labels, several=True, ignored=ignored).checked("x").label_array()


def test_several_labels_present_absent_ignored():
    table = several([("cat", "dog"), (), ("eel",)], [(), ("dog",), ("ant",)])
    assert table.dtype == np.int8
    assert table.tolist() == [[0, 1, 1, 0], [0, 0, -1, 0], [-1, 0, 0, 1]]  # ant, cat, dog, eel


@given(images=st.integers(1, 40), data=st.data())
def test_shards_are_a_partition(images, data):
    count = data.draw(st.integers(1, images))
    ids = [f"{number % 3}/{number}.jpg" for number in range(images)]
    whole = Listing(
        ids,
        ids,
        [""] * images,
        [(name[0],) for name in ids],
        boxes=np.arange(images * 4.0).reshape(images, 4),
        spans=np.arange(images * 2).reshape(images, 2),
    ).checked("x")
    parts = [whole.shard(number, count) for number in range(count)]
    assert all(part.classes == whole.classes for part in parts)
    assert all(abs(len(part) - images / count) < 1 for part in parts)
    # image i is image i // N of shard i % N
    for number in range(images):
        part, place = parts[number % count], number // count
        assert (part.ids[place], part.files[place], part.labels[place]) == (ids[number], ids[number], (ids[number][0],))
        assert part.boxes[place].tolist() == whole.boxes[number].tolist()
        assert part.spans[place].tolist() == whole.spans[number].tolist()
    assert sum(map(len, parts)) == images


def test_more_shards_than_images():
    with pytest.raises(BadInput, match=r"^--shard should make at most 2 parts, one image each. Found: 3\.$"):
        paths_only("a/1.jpg", "a/2.jpg").shard(0, 3)
