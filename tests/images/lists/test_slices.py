"""The list of a shard's images, as workers read it."""

from __future__ import annotations

import os

import pytest

from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.slices import read_slice, write_slice

FILES = ["a", "./a", "a/b", "/a/b", "//a/b", "a/../b", "a//b", "/b", "/", "//b", "a/.", "a/..", "", "../x/y", "a/./b"]


@pytest.mark.parametrize("files", [FILES, sorted(FILES), FILES[::-1]])
def test_files_are_absolute(files, tmp_path):
    ids = [str(number) for number in range(len(files))]
    listing = Listing(ids, files, [""] * len(ids), [()] * len(ids))
    write_slice(listing, tmp_path / "slice.json")
    assert read_slice(tmp_path / "slice.json").files == [os.path.abspath(file) for file in files]
