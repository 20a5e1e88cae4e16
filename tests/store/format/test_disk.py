"""A file with every chunk in place and no chunk written: the same file as HDF5 makes, with holes; and a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from blank_files import two_columns
from open_files import open_files
from places import BUILDERS
from real_files import needs_reserved_blocks

from fne_cli.store.format import disk as blank
from fne_cli.store.format.chunks import Appender


def test_the_chunks_are_holes_with_the_checksum_of_zeros(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"what was there before")
    blank.write_blank(path, two_columns)
    status = path.stat()
    assert status.st_size > 24_000_000
    assert status.st_blocks * 512 < 500_000
    with h5py.File(path) as file:
        assert not file["layers/a"][:].any()
        assert file["classes"][0] == b"cat"
        assert len(file.attrs["settings"]) == 100_000


def test_filling_the_chunks_moves_nothing(tmp_path):
    path = tmp_path / "file"
    path.touch()
    blank.write_blank(path, two_columns)
    places = []
    for _ in range(2):
        with h5py.File(path, "r+", rdcc_nbytes=0) as file:
            ids = [file[f"layers/{name}"].id for name in ("a", "b")]
            places.append([ids[k].get_chunk_info(n) for k in (0, 1) for n in range(ids[k].get_num_chunks())])
            size = path.stat().st_size
            Appender(file["layers/a"]).append(np.full((3000, 1000), 7, "f4"))
    assert places[0] == places[1]
    assert path.stat().st_size == size


def test_the_bytes_do_not_depend_on_what_memory_held_before(tmp_path):
    """MALLOC_PERTURB_ fills fresh memory with a byte; nothing of it may come to lie in a file."""
    program = (
        "import sys; from pathlib import Path; from fne_cli.store.format import disk; import blank_files;"
        "path = Path(sys.argv[1]); path.touch(); disk.write_blank(path, blank_files.two_columns)"
    )
    found = set()
    for byte in ("0", "85", "170"):
        environment = os.environ | {"MALLOC_PERTURB_": byte, "PYTHONPATH": str(BUILDERS)}
        subprocess.run([sys.executable, "-c", program, str(tmp_path / byte)], env=environment, check=True)
        found.add((tmp_path / byte).read_bytes())
    assert len(found) == 1


def test_zeros_over_something_else_are_written(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with blank._Holes(path) as holes:
        holes.write(b"\1" * 10_000)
        holes.seek(0)
        holes.write(bytes(5_000))
        holes.seek(20_000)
        holes.write(bytes(5_000))
        holes.truncate(25_000)
    assert path.read_bytes() == bytes(5_000) + b"\1" * 5_000 + bytes(15_000)


@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_a_disk_that_fills_up_while_the_file_is_made(tmp_path, monkeypatch, after):
    """HDF5 must be able to close what it has, or it ends the process with a segmentation fault later."""
    real, calls = os.pwrite, []

    def pwrite(*arguments):
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, "pwrite", pwrite)
    path = tmp_path / "file"
    path.touch()
    before = open_files()  # a worker's task before this one may have its file for a while
    with pytest.raises(OSError, match="No space left"):
        blank.write_blank(path, two_columns)
    assert open_files() == before


def test_an_error_of_the_caller_comes_out_as_it_is(tmp_path):
    def fails(file: h5py.File) -> None:
        two_columns(file)
        raise KeyError("mine")

    (tmp_path / "file").touch()
    before = open_files()
    with pytest.raises(KeyError, match="mine"):
        blank.write_blank(tmp_path / "file", fails)
    assert open_files() == before


def test_reserve_sets_blocks_aside_and_changes_no_byte(tmp_path):
    needs_reserved_blocks(tmp_path)
    path = tmp_path / "file"
    path.write_bytes(b"content")
    os.truncate(path, 1 << 20)
    with open(path, "r+b") as file:
        blank.reserve(file.fileno(), 1 << 20)
        blank.reserve(file.fileno(), 0)
    assert path.stat().st_blocks * 512 >= 1 << 20
    assert path.read_bytes() == b"content".ljust(1 << 20, b"\0")


def test_reserve_says_when_there_is_no_room(tmp_path):
    needs_reserved_blocks(tmp_path)
    with open(tmp_path / "file", "w+b") as file, pytest.raises(OSError) as raised:
        blank.reserve(file.fileno(), 1 << 60)
    assert raised.value.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def test_reserve_lets_a_file_that_knows_no_reservation_be():
    reading, writing = os.pipe()
    blank.reserve(writing, 100)
    os.close(reading)
    os.close(writing)


def test_close_without_writing_keeps_what_was_held_back_from_the_file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    blank.write_blank(path, two_columns)
    file = h5py.File(path, "r+")
    file.attrs["late"] = "never seen"
    blank.close_without_writing(file)
    assert not file.id.valid
    with h5py.File(path) as file:
        assert list(file.attrs) == ["settings"]
        assert not file["layers/b"][:].any()
