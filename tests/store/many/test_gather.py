"""Rows of chosen images, however they are batched; room that may be larger than memory."""

from __future__ import annotations

import os

import numpy as np
import pytest
from evaluation_files import write

from fne_cli.errors import DoesNotFit
from fne_cli.store.format.reader import open_file
from fne_cli.store.many import gather


@pytest.mark.parametrize("crops", [1, 3])
@pytest.mark.parametrize("batch_bytes", [1, 500, 1 << 20])
def test_rows_come_once_and_in_order(tmp_path, crops, batch_bytes):
    values = np.random.default_rng(0)
    layers = {"x": values.random((50 * crops, 3), np.float32), "y": values.random((50 * crops, 2), np.float32)}
    path = write(tmp_path / "a.h5", layers, [0] * 50, [""] * 50, kind="activations", crops=crops)
    images = np.array([0, 1, 7, 8, 9, 30, 49])
    with open_file(path) as file:
        parts = list(gather.gathered(list(file.layers.values()), crops, images, batch_bytes))
    rows = (images[:, None] * crops + np.arange(crops)).ravel()
    whole = np.hstack(list(layers.values()))
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), whole[rows])
    assert [place for span, _ in parts for place in range(span.start, span.stop)] == list(range(len(rows)))


def test_room_beyond_memory_lies_in_a_file_that_nobody_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(gather.tempfile, "tempdir", str(tmp_path))
    small, large = gather.allocate((10, 10), np.int8, 100), gather.allocate((10, 11), np.int8, 100)
    assert not isinstance(small, np.memmap)
    assert isinstance(large, np.memmap)
    large[:] = 3
    assert large.sum() == 330
    assert os.listdir(tmp_path) == []


def test_room_that_the_disk_has_not_is_refused_with_the_numbers(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gather.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(gather.os, "posix_fallocate", full)
    with pytest.raises(DoesNotFit, match=r"room for 110 bytes .* No space left"):
        gather.allocate((10, 11), np.int8, 100)
