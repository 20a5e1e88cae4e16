"""What an output will take: never less than it takes, and hardly more."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from real_files import images, layers, needs_reserved_blocks, settings

from fne_cli.errors import DoesNotFit
from fne_cli.store.format.writer import Writer
from fne_cli.store.output.estimate import SizeEstimate, check_fits, estimate, human

VGG16 = [(64,)] * 2 + [(128,)] * 2 + [(256,)] * 3 + [(512,)] * 6 + [(4096,)] * 2


@pytest.mark.parametrize(
    ("count", "crops", "shapes", "dtype"),
    [
        (1, 1, [(3,)], "f4"),
        (0, 1, [(3,)], "f4"),
        (26, 10, [(64,), (512,), (4096,)], "f4"),
        (3000, 1, VGG16, "f4"),
        (3000, 1, VGG16, "f2"),
        (100, 5, [(7, 7, 512), (14, 14, 512), (0,)], "f4"),
        (200_000, 1, [(2,)], "f4"),
        (5, 1, [(3,)] * 200, "f4"),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_the_file_takes_no_more_and_hardly_less(tmp_path, monkeypatch, count, crops, shapes, dtype, several):
    monkeypatch.setattr("fne_cli.store.format.writer.reserve", lambda handle, size: None)
    table, specs = images(count, several=several), layers(*shapes, dtype=dtype)
    path = tmp_path / "file"
    path.touch()
    head = {"settings": settings(crops), "sources": [], "software": {}, "images": table}
    Writer.create(path, "activations", specs, count * crops, **head).abandon()
    wanted = estimate(tmp_path / "other", specs, table, count * crops)
    real = path.stat().st_size
    assert wanted.rows == count * crops
    assert wanted.features == sum(int(np.prod(shape)) for shape in shapes)
    assert real <= wanted.file_bytes <= real * 1.02 + 60_000 + 8_000 * len(shapes)


def set_free(monkeypatch, size):
    """Others write to this disk too; no test should see it."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9_000_000, 0, size))


def test_blocks_that_an_interrupted_run_has_reserved_are_free_for_it(tmp_path, monkeypatch):
    needs_reserved_blocks(tmp_path)
    set_free(monkeypatch, 1_234_567)
    with open(tmp_path / "out.partial", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 50 << 20)
    here = estimate(tmp_path / "out", layers((3,)), images(3), 3).free_bytes
    other = estimate(tmp_path / "other", layers((3,)), images(3), 3).free_bytes
    reserved = (tmp_path / "out.partial").stat().st_blocks * 512
    assert reserved >= 50 << 20
    assert (here, other) == (1_234_567 + reserved, 1_234_567)


def test_no_folder_has_no_room(tmp_path):
    assert estimate(tmp_path / "no" / "out", layers((3,)), images(3), 3).free_bytes == 0


def test_what_does_not_fit_is_refused_with_the_numbers(tmp_path, monkeypatch):
    set_free(monkeypatch, 1_234_567)
    wanted = estimate(tmp_path / "out.h5", layers((12_416,)), images(100), 100)
    with pytest.raises(DoesNotFit) as raised:
        check_fits(tmp_path / "out.h5", wanted)
    assert str(raised.value) == (
        f"{tmp_path}/out.h5 would take {wanted.file_bytes:,} bytes (100 rows x 12,416 features). "
        "Free on its disk: 1,234,567.\nUse another disk, fewer --layers, or --dtype float16 (half the size)."
    )
    check_fits(tmp_path / "out.h5", estimate(tmp_path / "out.h5", layers((10,)), images(100), 100))


def test_an_estimate_reads_as_a_sentence():
    text = "1,281,167 rows x 12,416 features, 63.7 GB; 1.2 TB free on the disk"
    assert str(SizeEstimate(1281167, 12416, 63_700_000_000, 1_200_000_000_000)) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (48_700, "48.7 KB"),
        (1.2e9, "1.2 GB"),
        (3.2e15, "3200.0 TB"),
    ],
)
def test_sizes_for_people(size, text):
    assert human(size) == text


def test_paths_longer_than_the_folder_knows(tmp_path: Path):
    table = images(2)
    table.path = ["a", "ü" * 500]
    long, short = (estimate(tmp_path / "x", [], each, 0).file_bytes for each in (table, images(2)))
    assert long - short >= 2 * 900
