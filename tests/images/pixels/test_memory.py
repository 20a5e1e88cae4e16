"""Threads that share memory: never more than there is, never stuck, and the same pixels whatever there is."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from encoded_images import encoded, patches
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from places import ROOT

from fne_cli.images.lists.tree import from_folder
from fne_cli.images.pipeline import image_batches
from fne_cli.images.pixels import memory
from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.images.pixels.memory import DecodeMemory, needed
from fne_cli.images.pixels.reading import read_file, stored_bytes


def until(event: Callable[[], object]) -> None:
    """Wait for a thread to get there."""
    while not event():
        time.sleep(0.001)


def test_what_fits_is_had_at_once():
    shared = DecodeMemory(100)
    with shared.share() as first, shared.share() as second:
        first.take(60)
        second.take(40)
        assert (first.size, second.size) == (60, 40)
        assert not first.grow(61)
        second.take(10)
        assert first.grow(90)
        assert not first.grow(91)
        assert first.grow(5), "what it has is enough"
    with shared.share() as third:
        third.take(100)


def test_larger_than_all_is_alone():
    shared = DecodeMemory(100)
    with shared.share() as large, ThreadPoolExecutor() as pool:
        large.take(1000)
        assert large.grow(5000)
        with shared.share() as small:
            waiting = pool.submit(small.take, 1)
            until(lambda: shared._waiting)
            assert not waiting.done()
            large.take(99)
            waiting.result(10)


def test_who_came_first_is_served_first():
    """A large one that waits is not overtaken by small ones for which there would be room."""
    shared, order = DecodeMemory(100), []

    def take(name: str, size: int) -> None:
        with shared.share() as share:
            share.take(size)
            order.append(name)

    with ThreadPoolExecutor() as pool:
        with shared.share() as first:
            first.take(50)
            large = pool.submit(take, "large", 100)
            until(lambda: len(shared._waiting) == 1)
            small = pool.submit(take, "small", 1)
            until(lambda: len(shared._waiting) == 2)
            assert order == []
        large.result(10)
        small.result(10)
    assert order == ["large", "small"]


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 150)), min_size=1, max_size=40))
def test_any_sizes_end_and_stay_within_the_memory(sizes):
    shared, held, seen, guard = DecodeMemory(100), {}, [], threading.Lock()

    def work(number: int) -> None:
        stored, whole = sizes[number]
        with shared.share() as share:
            share.take(stored)
            if not share.grow(whole):
                share.take(whole)
            with guard:
                held[number] = share.size
                seen.append(dict(held))
            with guard:
                del held[number]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(len(sizes)), timeout=60))
    assert all(len(now) == 1 or sum(now.values()) <= 100 for now in seen)
    assert (shared._used, len(shared._waiting)) == (0, 0)


def test_an_error_gives_everything_back():
    shared = DecodeMemory(100)
    with pytest.raises(KeyError), shared.share() as share:
        share.take(100)
        raise KeyError
    assert shared._used == 0


# Decoding


def test_who_has_no_room_to_decode_waits_without_its_bytes_and_reads_them_again():
    content, reads = encoded(patches()), []

    def read() -> bytes:
        reads.append(shared._used)
        return content

    whole = decode(lambda: content, Geometry(32, 40))
    shared = DecodeMemory(1 << 20)
    with ThreadPoolExecutor() as pool, shared.share() as other:
        other.take((1 << 20) - len(content))

        def work() -> object:
            with shared.share() as share:
                return decode(read, Geometry(32, 40), None, share, len(content))

        decoding = pool.submit(work)
        until(lambda: shared._waiting)
        assert shared._used == other.size, "what waits holds nothing"
        other.take(0)
        decoded = decoding.result(10)
    assert np.array_equal(decoded.pixels, whole.pixels)
    assert decoded.sha256 == whole.sha256
    assert len(reads) == 2
    assert shared._used == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small and large images, one of them broken, one empty, one missing."""
    random = np.random.default_rng(4)
    for number in range(24):
        side = 700 if number % 5 == 0 else 20
        values = random.integers(0, 256, (side, side + number, 4), dtype=np.uint8)
        image = Image.fromarray(values).convert(["RGB", "L", "RGBA", "P"][number % 4])
        image.save(tmp_path / f"{number:02d}.{'png' if number % 4 else 'jpg'}")
    (tmp_path / "07.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    (tmp_path / "09.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_batches_do_not_depend_on_the_memory(folder, workers):
    listing = from_folder(str(folder))
    (folder / "11.png").unlink()
    geometry = Geometry(16, 16, crops=5)

    def read(size: int | None) -> list[tuple[object, ...]]:
        batches = image_batches(listing, geometry, 4, range(len(listing)), workers, size)
        return [(b.numbers.tolist(), b.pixels.tobytes(), b.status.tolist(), b.message, b.sha256) for b in batches]

    plenty = read(None)
    assert {status for batch in plenty for status in batch[2]} == {
        Status.GOOD, Status.DAMAGED, Status.EMPTY, Status.MISSING
    }  # fmt: skip
    for size in (1, 30_000, 6_000_000):
        assert read(size) == plenty, size


def test_more_than_the_machine_has_is_a_bad_image(monkeypatch):
    content = encoded(patches())
    whole = decode(lambda: content, Geometry(4, 4))
    asked = []

    def free_memory() -> int:
        asked.append(1)
        return 10_000

    monkeypatch.setattr(memory, "free_memory", free_memory)
    with DecodeMemory(1 << 20).share() as share:
        assert np.array_equal(decode(lambda: content, Geometry(4, 4), None, share).pixels, whole.pixels)
    assert not asked, "the memory was measured when it was shared out"
    with DecodeMemory(5000).share() as share:
        decoded = decode(lambda: content, Geometry(4, 4), None, share, len(content))
    size = needed(Image.open(io.BytesIO(content)), len(content))
    assert size > 10_000
    assert decoded.status == Status.TOO_LARGE
    assert decoded.message == f"it takes about {size / 1e6:,.0f} MB to decode, and less is free"
    assert decoded.sha256 == whole.sha256
    with pytest.raises(BadImage), DecodeMemory(1).share() as share:
        share.take(10_001)


def test_stored_bytes_are_those_that_are_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    for span in ((0, None), (3, 4), (8, 100), (50, 4)):
        assert stored_bytes(str(path), *span) == len(read_file(str(path), *span))
    assert stored_bytes(str(tmp_path / "absent")) == 0


@pytest.mark.slow
def test_every_format_takes_what_it_is_taken_to():
    """The peaks of memory of real decoders, which a new Pillow may change."""
    program = [sys.executable, ROOT / "scripts" / "measure_decoding.py", "2000"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") > 20
