"""Listings: what a folder's paths say about class and split, in an order that no file system decides."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.errors import BadInput
from fne_cli.images.lists.findings import Seen
from fne_cli.images.lists.listing import Listing, from_paths, is_image_name, printable


def paths_only(*paths: str, seen: Seen | None = None) -> Listing:
    return from_paths(paths, paths, "photos", seen=seen)


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
    listing = paths_only("all/train/cat/1.jpg", "all/test/dog/1.jpg", seen=Seen())
    assert listing.ids == ("all/train/cat/1.jpg", "all/test/dog/1.jpg")
    assert (listing.splits, listing.labels) == (["train", "test"], [("cat",), ("dog",)])
    assert listing.findings.wrapper == "all"
    assert paths_only("all/cat/1.jpg", "all/dog/1.jpg").classes == ["all"]  # of a list, which may name a part only


def test_a_class_may_be_called_train():
    listing = paths_only("car/1.jpg", "train/1.jpg", "test/1.jpg")
    assert listing.labels == [("car",), ("train",), ("test",)]
    assert set(listing.splits) == {""}


@pytest.mark.parametrize(
    "names",
    [
        ("Train", "Test", "Val"),
        ("TRAINING", "testing", "Validation"),
        ("training_set", "test_set", "valid"),
        ("Training Set", "test-set", "valid_set"),
        ("trainset", "testset", "valset"),
    ],
)
def test_split_folders_by_other_names(names):
    listing = paths_only(*(f"{name}/{kind}/1.jpg" for name in names for kind in ("cat", "dog")))
    assert listing.splits == ["train", "train", "test", "test", "val", "val"]
    assert listing.labels == [("cat",), ("dog",)] * 3
    assert listing.ids[0] == f"{names[0]}/cat/1.jpg"


def test_two_folders_of_one_split():
    listing = paths_only("train/cat/1.jpg", "Training/cat/1.jpg", "valid/cat/1.jpg", "validation/dog/1.jpg")
    assert listing.splits == ["train", "train", "val", "val"]


@pytest.mark.parametrize("other", ["trains", "test2", "tester", "contest", "train_images", "evaluation"])
def test_other_names_are_classes(other):
    assert paths_only(f"{other}/a/1.jpg", "dog/a/1.jpg").classes == sorted(["dog", other])


def test_split_folders_beside_class_folders():
    assert error_of("train/cat/1.jpg", "test/cat/1.jpg", "validation/cat/1.jpg", "dog/1.jpg") == (
        "photos should have either class folders or the split folders train, val and test at its top.\n"
        "Found: test, train, validation beside dog."
    )
    assert error_of("Training/cat/1.jpg", "Testing/cat/1.jpg", "eel/2.jpg").endswith(
        "Found: Testing, Training beside eel."
    )


def test_one_folder_with_a_splits_other_name_beside_classes_is_a_class():
    listing = paths_only("Train/steam/1.jpg", "car/1.jpg")
    assert (listing.classes, set(listing.splits)) == (["Train", "car"], {""})


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
