"""Batches: every image at its own place, whatever happens to its neighbours."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.tree import from_folder
from fne_cli.images.pipeline import ImageBatch, image_batches, placed
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.reading import read_file

GEOMETRY = Geometry(4, 6, crops=5)


def test_placed_by_hand():
    assert placed(range(5), 3).tolist() == [[0, 1, 2], [3, 4, -1]]
    assert placed([4, 5, 12], 4).tolist() == [[4, 5, -1, -1], [12, -1, -1, -1]]
    assert placed([5, 12, 14, 16, 19], 4).tolist() == [[12, 5, 14, -1], [16, -1, -1, 19]]
    assert placed([], 4).shape == (0, 4)


@given(numbers=st.lists(st.integers(0, 200), unique=True).map(sorted), size=st.integers(1, 9))
def test_placed_keeps_order_and_slot(numbers, size):
    table = placed(numbers, size)
    assert [number for row in table for number in sorted(row[row >= 0].tolist())] == numbers
    for row in table:
        slots = np.flatnonzero(row >= 0)
        assert (row[slots] % size == slots).all()
    for row, after in itertools.pairwise(table):
        assert after[after >= 0].min() % size in np.flatnonzero(row >= 0), "no batch ends before it must"


@given(numbers=st.integers(0, 200), size=st.integers(1, 9))
def test_all_images_are_placed_as_they_follow_each_other(numbers, size):
    whole = placed(range(numbers), size)
    assert whole[whole >= 0].tolist() == list(range(numbers))
    assert len(whole) == -(-numbers // size)


@pytest.fixture
def listing(tmp_path) -> Listing:
    """11 plain images, number i of brightness 20 i; 3 is no image and 7 is gone."""
    for number in range(11):
        Image.new("L", (9, 5), 20 * number).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "03.png").write_bytes(b"nothing like an image")
    listing = from_folder(str(tmp_path))
    (tmp_path / "07.png").unlink()
    return listing


def read(listing: Listing, size: int, numbers: object = range(11), workers: int | None = 2) -> list[ImageBatch]:
    batches = list(image_batches(listing, GEOMETRY, size, numbers, workers))  # type: ignore[arg-type]  # a list will do
    assert all(batch.pixels.shape == (size * 5, 4, 6, 3) and batch.pixels.dtype == np.uint8 for batch in batches)
    return batches


@pytest.mark.parametrize(("first", "size", "workers"), [(0, 4, 2), (3, 4, 1), (5, 3, 2), (9, 16, 1), (0, 16, 1)])
def test_images_that_follow_each_other_are_batched_as_any(first, size, workers, listing):
    for one, other in zip(
        read(listing, size, range(first, 11), workers), read(listing, size, [*range(first, 11)], workers), strict=True
    ):
        assert all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))


def test_a_bad_image_shifts_no_other(listing):
    batches = read(listing, 4)
    assert [batch.numbers.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [batch.slots.tolist() for batch in batches] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2]]
    brightness = np.concatenate([batch.pixels for batch in batches]).reshape(12, 5, -1)
    assert (brightness.min(axis=(1, 2)) == [0, 20, 40, 0, 80, 100, 120, 0, 160, 180, 200, 0]).all()
    assert (brightness.max(axis=(1, 2)) == [0, 20, 40, 0, 80, 100, 120, 0, 160, 180, 200, 0]).all()
    assert np.concatenate([batch.status for batch in batches]).tolist() == [
        Status.NOT_AN_IMAGE if number == 3 else Status.MISSING if number == 7 else Status.GOOD for number in range(11)
    ]
    assert batches[0].message == ["", "", "", "not an image: 21 bytes that begin b'nothing '"]
    assert batches[1].message == ["", "", "", "no such file"]
    for batch in batches:
        for number, digest in zip(batch.numbers, batch.sha256, strict=True):
            content = Path(listing.files[number])
            assert digest == (hashlib.sha256(content.read_bytes()).hexdigest() if content.exists() else "")


def test_some_images_stand_where_they_stood_among_all(listing):
    whole = np.concatenate([batch.pixels for batch in read(listing, 4)]).reshape(12, 5, 4, 6, 3)
    batches = read(listing, 4, [2, 5, 9, 10])
    assert [batch.numbers.tolist() for batch in batches] == [[2, 5], [9, 10]]
    assert [batch.slots.tolist() for batch in batches] == [[2, 1], [1, 2]]
    for batch in batches:
        found = batch.pixels.reshape(4, 5, 4, 6, 3)
        assert np.array_equal(found[batch.slots], whole[batch.numbers])
        assert not np.delete(found, batch.slots, axis=0).any()


@pytest.mark.parametrize("workers", [1, 5, None])
def test_the_number_of_workers_changes_nothing(listing, workers):
    for one, other in zip(read(listing, 3, workers=2), read(listing, 3, workers=workers), strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.status, other.status)
        assert (one.message, one.sha256) == (other.message, other.sha256)


def test_boxes_and_spans_of_the_listing_are_used(tmp_path):
    pixels = np.zeros((10, 10), np.uint8)
    pixels[:, 5:] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.tar").write_bytes(b"pad" + content + b"more")
    listing = Listing(
        ids=["0", "1", "2"],
        files=[str(tmp_path / "a.tar")] * 3,
        splits=[""] * 3,
        labels=[()] * 3,
        boxes=np.array([[0, 0, 5, 10], [5, 0, 10, 10], [20, 0, 30, 10]], float),
        spans=np.array([[3, len(content)]] * 3),
    )
    (batch,) = image_batches(listing, Geometry(2, 2), 3, range(3))
    assert batch.pixels[:, 0, 0, 0].tolist() == [0, 200, 0]
    assert batch.status.tolist() == [Status.GOOD, Status.GOOD, Status.BOX_OUTSIDE]
    assert set(batch.sha256) == {hashlib.sha256(content).hexdigest()}


def test_an_image_is_read_once_for_all_its_regions_and_they_are_as_alone(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / f"{name}.png")
    boxes = [[x, y, x + 20, y + 20] for x in range(0, 40, 10) for y in range(0, 20, 10)]
    listing = Listing(
        ids=[str(number) for number in range(16)],
        files=[str(tmp_path / f"{name}.png") for name in "ab" for _ in boxes],
        splits=[""] * 16,
        labels=[()] * 16,
        boxes=np.array(boxes * 2, float),
    )
    opened = []

    def counted(path, *span):
        opened.append(path)
        return read_file(path, *span)

    monkeypatch.setattr("fne_cli.images.pipeline.read_file", counted)
    batches = list(image_batches(listing, Geometry(5, 5), 6, range(16), 2))
    assert sorted(opened) == sorted(set(listing.files))
    alone = [decode(lambda file=file: read_file(file), Geometry(5, 5), box).pixels
             for file, box in zip(listing.files, listing.boxes, strict=True)]  # fmt: skip
    found = np.concatenate([batch.pixels[batch.slots] for batch in batches])
    np.testing.assert_array_equal(found, np.concatenate(alone))
    opened.clear()
    monkeypatch.setattr("fne_cli.images.pipeline._CUT_BYTES", 3 * 75)  # three regions at a time
    again = list(image_batches(listing, Geometry(5, 5), 6, range(16), 2))
    assert len(opened) == 2 * 3
    np.testing.assert_array_equal(np.concatenate([batch.pixels[batch.slots] for batch in again]), found)


def test_taking_turns_images_are_decoded_only_while_a_batch_is_waited_for(listing, monkeypatch):
    taken, decoded = [], []

    def counted(path, *span):
        decoded.append(path)
        return read_file(path, *span)

    monkeypatch.setattr("fne_cli.images.pipeline.read_file", counted)
    monkeypatch.setattr("fne_cli.images.pipeline.processors", lambda: 2)
    for batch in image_batches(listing, GEOMETRY, 2, range(11), 1, competing=True):
        began = len(decoded)
        taken.append(batch)
        time.sleep(0.01)
        assert len(decoded) <= began + 1, "the one thread had begun with one image more"
    for one, other in zip(taken, read(listing, 2), strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_a_turn_of_many_small_images_is_as_many_batches_as_may_wait(listing, monkeypatch):
    counts, decoded = [], []

    def counted(path, *span):
        decoded.append(path)
        return read_file(path, *span)

    monkeypatch.setattr("fne_cli.images.pipeline.read_file", counted)
    monkeypatch.setattr("fne_cli.images.pipeline.processors", lambda: 2)
    monkeypatch.setattr("fne_cli.images.pipeline._TURN_SECONDS", 600)
    monkeypatch.setattr("fne_cli.images.pipeline._TURN_BYTES", 3 * 2 * 5 * 4 * 6 * 3)  # three batches
    for _ in image_batches(listing, GEOMETRY, 2, range(11), 1, competing=True):
        time.sleep(0.01)
        counts.append(len(decoded))
    # Batch 0 at once, then 1 to 3, then the last two; a thread ends what it has begun when its turn is over.
    assert all(count >= images for count, images in zip(counts, [2, 8, 8, 8, 11, 11], strict=True))
    assert counts[3] <= counts[1] + 1


def test_the_system_is_asked_for_the_parts_of_an_archive_before_they_are_read(listing, tmp_path, monkeypatch):
    whole, spans, asked, read = b"", [], [], []
    for number in (0, 1, 2, 4, 5, 6):
        content = Path(listing.files[number]).read_bytes()
        spans.append((len(whole), len(content)))
        whole += content + b"between"
    (tmp_path / "a.tar").write_bytes(whole)
    archive = Listing(
        ids=list("abcdef"),
        files=[str(tmp_path / "a.tar")] * 6,
        splits=[""] * 6,
        labels=[()] * 6,
        spans=np.array(spans),
    )
    everything = threading.Event()

    def advised(file, offset, size, advice):
        asked.append((offset, size, advice))
        if len(asked) == 6:
            everything.set()

    def counted(path, *span):
        assert everything.wait(60)
        read.append(span)
        return read_file(path, *span)

    monkeypatch.setattr(os, "posix_fadvise", advised)
    monkeypatch.setattr("fne_cli.images.pipeline.read_file", counted)
    batches = list(image_batches(archive, GEOMETRY, 2, range(6), 2, competing=True))
    assert asked == [(*span, os.POSIX_FADV_WILLNEED) for span in spans]
    assert sorted(read) == spans
    assert not np.concatenate([batch.status for batch in batches]).any()


def test_whoever_stops_early_waits_for_no_thread(listing):
    before = threading.active_count()
    batches = image_batches(listing, GEOMETRY, 1, range(11), 3, competing=True)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_what_goes_wrong_in_a_thread_is_raised(listing, monkeypatch):
    def broken(*given):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("fne_cli.images.pipeline.decoded_parts", broken)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        list(image_batches(listing, GEOMETRY, 4, range(11)))
