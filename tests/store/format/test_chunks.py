"""The checksum is HDF5's own; whatever the batches and wherever a run stopped, the bytes are the same."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py._objects import phil
from hypothesis import given, settings
from hypothesis import strategies as st

from fne_cli.store.format import chunks
from fne_cli.store.format.checksum import fletcher32
from fne_cli.store.format.chunks import Appender, create_column, plain_fletcher32, read_raw, read_rows, replace_rows

TYPES = ("<f4", "<f2", "i1", "S3")


class Filter:
    """HDF5's own Fletcher-32, asked by writing bytes through the filter and reading the stored chunk."""

    def __init__(self) -> None:
        self._file = h5py.File("nowhere.h5", "w", driver="core", backing_store=False)
        self._number = 0

    def __call__(self, content: bytes) -> bytes:
        self._number += 1
        dataset = self._file.create_dataset(
            str(self._number), data=np.frombuffer(content, np.uint8), chunks=(len(content),), fletcher32=True
        )
        self._file.flush()
        stored = dataset.id.read_direct_chunk((0,))[1]
        assert stored[:-4] == content
        return bytes(stored[-4:])


@pytest.fixture(scope="module")
def filter_of_hdf5() -> Filter:
    return Filter()


def checksum(content: bytes) -> bytes:
    values = np.frombuffer(content, np.uint8)
    found = fletcher32(values)
    assert plain_fletcher32(values) == found
    return found.to_bytes(4, "little")


def test_checksum_is_that_of_hdf5_for_thousands_of_inputs(filter_of_hdf5):
    random.seed(7)
    for length in [*range(1, 1100), *(random.randrange(1100, 5000) for _ in range(1100))]:
        content = random.randbytes(length)
        assert checksum(content) == filter_of_hdf5(content), length


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x80, 0xFF])
@pytest.mark.parametrize("length", [1, 2, 3, 719, 720, 721, 1023, 1024, 1025, 65535, 131070, 131071, 1 << 20])
def test_checksum_of_one_byte_repeated(filter_of_hdf5, byte, length):
    content = bytes([byte]) * length
    assert checksum(content) == filter_of_hdf5(content)


@pytest.mark.parametrize("words", [(0xFFFF,), (0x8000, 0x7FFF), (0xFFFF, 0xFFFF, 0xFFFF), (0, 0, 0xFFFF, 0, 0)])
def test_checksum_where_a_sum_is_a_multiple_of_65535(filter_of_hdf5, words):
    content = np.array(words, ">u2").tobytes()
    assert checksum(content) == filter_of_hdf5(content)


def test_checksum_of_nothing_and_of_many_megabytes(filter_of_hdf5):
    assert checksum(b"") == bytes(4)
    content = np.random.default_rng(1).bytes((9 << 20) + 1)
    assert checksum(content) == filter_of_hdf5(content)
    assert checksum(b"\xff" * ((33 << 20) + 1)) == filter_of_hdf5(b"\xff" * ((33 << 20) + 1))


def values(rows: int, dtype: str, width: int = 3, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).integers(1, 100, (rows, width), dtype=np.uint8)
    return raw.astype("S3") if dtype == "S3" else raw.astype(dtype)


def write(path: Path, data: np.ndarray, chunk: int, batches: list[int], total: int | None = None) -> None:
    """All of `data` in batches of the given sizes (again and again), as an append-only writer does it."""
    total = len(data) if total is None else total
    with h5py.File(path, "w", rdcc_nbytes=0) as file:
        create_column(file, "column", (total, *data.shape[1:]), data.dtype, chunk)
        append(file, data, batches)


def append(file: h5py.File, data: np.ndarray, batches: list[int], start: int = 0) -> None:
    column = Appender(file["column"], start)
    turn = 0
    while start < len(data):
        stop = min(start + batches[turn % len(batches)], len(data))
        column.append(data[start:stop])
        start, turn = stop, turn + 1
    column.flush()


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 60), chunk=st.integers(1, 20), batches=sizes, dtype=st.sampled_from(TYPES))
def test_the_bytes_do_not_depend_on_the_batches(tmp_path_factory, rows, chunk, batches, dtype):
    folder = tmp_path_factory.mktemp("batches")
    data = values(rows, dtype)
    write(folder / "one", data, min(chunk, rows), [rows])
    write(folder / "many", data, min(chunk, rows), batches)
    assert (folder / "one").read_bytes() == (folder / "many").read_bytes()
    with h5py.File(folder / "many") as file:
        np.testing.assert_array_equal(file["column"][:], data)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 50), chunk=st.integers(1, 12), batches=sizes, data=st.data())
def test_a_writer_that_stops_anywhere_is_resumed_to_the_same_bytes(tmp_path_factory, rows, chunk, batches, data):
    """The first writer goes further than it committed, and writes other values there, before it is gone."""
    folder = tmp_path_factory.mktemp("resume")
    committed = data.draw(st.integers(0, rows))
    written = data.draw(st.integers(committed, rows))
    good, lost = values(rows, "<f4"), values(rows, "<f4", seed=1)
    write(folder / "whole", good, min(chunk, rows), [rows])
    with h5py.File(folder / "resumed", "w", rdcc_nbytes=0) as file:
        create_column(file, "column", good.shape, good.dtype, min(chunk, rows))
        append(file, good[:committed], batches)
        append(file, np.concatenate([good[:committed], lost[committed:written]]), batches, committed)
    with h5py.File(folder / "resumed", "r+", rdcc_nbytes=0) as file:
        append(file, good, batches, committed)
    assert (folder / "resumed").read_bytes() == (folder / "whole").read_bytes()


@pytest.mark.parametrize("torn", [0, 1, 17, 60, 119, 120, 121, 123])
def test_a_torn_chunk_is_repaired_by_going_on(tmp_path, torn):
    """Only the first `torn` bytes of the last write reached the disk: rows 10-13 of a chunk that had row 10 before."""
    data = values(20, "<f4")
    write(tmp_path / "whole", data, 10, [20])
    write(tmp_path / "torn", data[:11], 10, [11], total=20)
    with h5py.File(tmp_path / "torn", "r+", rdcc_nbytes=0) as file:
        place = file["column"].id.get_chunk_info_by_coord((10, 0)).byte_offset
    before = (tmp_path / "torn").read_bytes()
    with h5py.File(tmp_path / "torn", "r+", rdcc_nbytes=0) as file:
        append(file, data[:14], [3], start=11)
    after = (tmp_path / "torn").read_bytes()
    (tmp_path / "torn").write_bytes(after[: place + torn] + before[place + torn :])
    with h5py.File(tmp_path / "torn", "r+", rdcc_nbytes=0) as file:
        np.testing.assert_array_equal(read_rows(file["column"], 11), data[:11])
        append(file, data, [4], start=11)
    assert (tmp_path / "torn").read_bytes() == (tmp_path / "whole").read_bytes()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40),
    chunk=st.integers(1, 12),
    numbers=st.sets(st.integers(0, 39), min_size=1),
    at_end=st.booleans(),
    dtype=st.sampled_from(TYPES),
)
def test_replaced_rows_are_new_and_all_others_as_they_were(tmp_path_factory, rows, chunk, numbers, at_end, dtype):
    """Through the appender, whether or not it holds the rows in memory; what it flushes afterwards undoes nothing."""
    path = tmp_path_factory.mktemp("replace") / "file"
    where = np.array(sorted(number for number in numbers if number < rows), np.int64)
    data, new = values(rows, dtype), values(len(where), dtype, seed=2)
    expected = data.copy()
    expected[where] = new
    with h5py.File(path, "w", rdcc_nbytes=0) as file:
        create_column(file, "column", data.shape, data.dtype, min(chunk, rows))
        append(file, data, [7])
    with h5py.File(path, "r+", rdcc_nbytes=0) as file:
        column = Appender(file["column"], rows if at_end else int(where.max(initial=-1)) + 1)
        column.replace(where, new)
        column.append(data[column.rows :])
        column.flush()
        column.flush()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["column"][:], expected)


def test_replace_rows_mends_a_chunk_with_a_wrong_checksum(tmp_path):
    data = values(9, "<f4")
    write(tmp_path / "file", data, 4, [9])
    with h5py.File(tmp_path / "file", "r+", rdcc_nbytes=0) as file:
        raw = read_raw(file["column"], 4).tobytes()
        file["column"].id.write_direct_chunk((4, 0), raw + b"xxxx")
        with pytest.raises(OSError, match="filter returned failure"):
            file["column"][4:8]
        replace_rows(file["column"], np.array([5]), np.array([[7, 7, 7]], "<f4"))
        data[5] = 7
        np.testing.assert_array_equal(file["column"][:], data)


def test_more_rows_than_the_dataset_has_are_refused(tmp_path):
    with h5py.File(tmp_path / "file", "w") as file:
        column = Appender(create_column(file, "column", (3, 2), "f4"), 2)
        with pytest.raises(ValueError, match="/column has 3 rows; 2 \\+ 2 would not fit"):
            column.append(np.zeros((2, 2)))


@pytest.mark.parametrize("shape", [(0, 5), (7, 0), (0,), (0, 0)])
def test_columns_without_a_byte(tmp_path, shape):
    with h5py.File(tmp_path / "file", "w", rdcc_nbytes=0) as file:
        column = Appender(create_column(file, "column", shape, "f4"))
        column.append(np.zeros(shape, "f4"))
        column.flush()
        column = Appender(file["column"], shape[0] // 2)
        replace_rows(file["column"], np.arange(shape[0]), np.zeros(shape, "f4"))
        assert read_rows(file["column"], shape[0]).shape == shape
    with h5py.File(tmp_path / "file") as file:
        assert file["column"][:].shape == shape


@pytest.mark.parametrize(
    ("row_bytes", "rows", "expected"),
    [(4, 10, 10), (4, 1 << 20, 1 << 18), (16384, 1000, 63), (1 << 20, 5, 1), (3 << 20, 5, 1), (0, 5, 5), (1000, 0, 1)],
)
def test_rows_per_chunk(row_bytes, rows, expected):
    assert chunks.rows_per_chunk(row_bytes, rows) == expected


def test_a_column_is_whole_at_once_and_has_no_time_in_it(tmp_path):
    with h5py.File(tmp_path / "file", "w") as file:
        dataset = create_column(file, "größe", (5000, 100), "f4")
        assert dataset.id.get_num_chunks() == 2
        assert dataset.chunks == (2500, 100)
        assert dataset.fletcher32
        assert dataset.compression is None
        assert h5py.h5g.get_objinfo(dataset.id).mtime == 0
        assert list(file) == ["größe"]


@pytest.mark.parametrize(("rows", "shape"), [(1, (1,)), (5000, (100,)), (70, (8, 8, 600)), (300_000, (1,)), (9, (0,))])
def test_stored_bytes_is_an_upper_bound_and_a_near_one(tmp_path, rows, shape):
    with h5py.File(tmp_path / "file", "w") as file:
        create_column(file, "column", (rows, *shape), "f4")
    bound = chunks.stored_bytes(4 * int(np.prod(shape)), rows, 1 + len(shape))
    real = (tmp_path / "file").stat().st_size
    assert real <= bound + 2048  # the file's own superblock and root group
    assert bound <= real * 1.02 + 16384


class Watched:
    """A dataset that tells whether another thread could have entered HDF5 during a call of its identifier."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset, self.id, self.alone = dataset, self, []

    def __getattr__(self, name: str):
        return getattr(self._dataset, name)

    def __getitem__(self, rows):
        return self._dataset[rows]

    def _try_to_enter(self) -> None:
        free = phil.acquire(blocking=False)
        if free:
            phil.release()
        self.alone.append(not free)

    def _call(self, name: str, *arguments):
        other = threading.Thread(target=self._try_to_enter)
        other.start()
        other.join()
        return getattr(self._dataset.id, name)(*arguments)

    def write_direct_chunk(self, *arguments):
        return self._call("write_direct_chunk", *arguments)

    def read_direct_chunk(self, *arguments):
        return self._call("read_direct_chunk", *arguments)


def test_no_chunk_is_touched_while_another_thread_is_inside_hdf5(tmp_path):
    """h5py holds this lock around every call into HDF5 but those of direct chunks; without it HDF5 crashes."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = Watched(create_column(file, "column", (8, 2), "<f4", 4))
        Appender(dataset).append(np.ones((4, 2), np.float32))
        replace_rows(dataset, np.array([5]), np.ones((1, 2), np.float32))
    assert dataset.alone == [True, True, True]
