"""Rows that are known already, found by the bytes of the image and its box."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from edited_files import edited
from hypothesis import given
from hypothesis import strategies as st
from real_files import images, layers, rows_of, settings, write_activations

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.store.format import chunks
from fne_cli.store.format.reader import open_file
from fne_cli.store.many import known
from fne_cli.store.many.known import UNKNOWN, KnownRows, box_of, identities

SHAPES = ((3,), (2, 2))
CROPS = 5


def write(path: Path, count: int = 12, crops: int = CROPS, **options: Any) -> Path:
    return write_activations(path, count, crops=crops, shapes=SHAPES, **options)


def contents(path: Path) -> tuple[list[str], list[str]]:
    """SHA-256 and id of each image of a file, by h5py."""
    with h5py.File(path) as file:
        sha256, names = ([value.decode() for value in file[f"images/{name}"][:]] for name in ("sha256", "path"))
    return sha256, names


def stored(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[f"layers/{name}"][:]


def known_of(*paths: Path, crops: int = CROPS) -> KnownRows:
    result = KnownRows(layers(*SHAPES), crops)
    for path in paths:
        result.add(path, settings(crops))
    return result


def test_all_good_images_of_a_file_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 256)
    path = write(tmp_path / "a.h5", bad=(4,))
    sha256, names = contents(path)
    order = np.random.default_rng(1).permutation(12)
    with known_of(path) as rows:
        where = rows.find([sha256[number] for number in order], [names[number] for number in order])
        assert where[:, 1].tolist() == [UNKNOWN if number == 4 else number for number in order]
        good = where[where[:, 0] != UNKNOWN]
        found = rows.rows(good)
    places = (good[:, 1:] * CROPS + np.arange(CROPS)).ravel()
    for name in ("conv", "fc"):
        np.testing.assert_array_equal(found[name], stored(path, name)[places])


@given(st.lists(st.integers(0, 19), min_size=1, max_size=30))
def test_repeated_and_scattered(tmp_path_factory, numbers: Sequence[int]):
    path = tmp_path_factory.getbasetemp() / "scattered.h5"
    if not path.exists():
        write(path, 20)
    with known_of(path) as rows:
        found = rows.rows(np.column_stack([np.zeros(len(numbers), np.int64), numbers]))
    values = rows_of(layers(*SHAPES), 20 * CROPS)
    for name, layer in values.items():
        expected = layer.reshape(20, CROPS, *layer.shape[1:])[list(numbers)]
        np.testing.assert_array_equal(found[name], expected.reshape(-1, *layer.shape[1:]))


def test_the_first_of_several_files_counts(tmp_path):
    one, two = write(tmp_path / "one.h5", 6), write(tmp_path / "two.h5", 12, seed=9)
    sha256, names = contents(two)
    with known_of(one, two) as rows:
        where = rows.find(sha256, names)
        found = rows.rows(where[::-1])
    assert where.tolist() == [[0, number] for number in range(6)] + [[1, number] for number in range(6, 12)]
    by_hand = np.concatenate([stored(one, "fc"), stored(two, "fc")[6 * CROPS :]]).reshape(12, CROPS, 2, 2)
    np.testing.assert_array_equal(found["fc"], by_hand[::-1].reshape(-1, 2, 2))


def test_what_is_unknown(tmp_path):
    path = write(tmp_path / "a.h5")
    sha256, names = contents(path)
    with known_of(path) as rows:
        assert rows.find(["f" * 64, "", sha256[3]], ["x", "y", "another name"]).tolist() == [
            [UNKNOWN, UNKNOWN], [UNKNOWN, UNKNOWN], [0, 3]
        ]  # fmt: skip
        assert rows.find([], []).shape == (0, 2)
        assert (rows.find(sha256, [f"{name}#0,0,1,1" for name in names]) == UNKNOWN).all()
    with known_of() as rows:
        assert rows.find(sha256, names).tolist() == [[UNKNOWN, UNKNOWN]] * 12


def test_images_that_could_not_be_read_are_no_one_image(tmp_path):
    """A good image has bytes; "" is nobody's."""
    path = write(tmp_path / "a.h5", bad=(0,))
    with edited(path) as file:
        data = file["images/sha256"]
        values = data[:]
        values[:2] = b""
        data[:] = values
    with known_of(path) as rows:
        assert (rows.find(["", ""], ["x", "y"]) == UNKNOWN).all()


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("a.png", ""),
        ("a.png#1,2,3,4", "#1,2,3,4"),
        ("a.png#-1,0.00001,2147483647.5,4", "#-1,0.00001,2147483647.5,4"),
        ("a#1,2,3,4/b.png", ""),
        ("a#b.png#1,2,3,4", "#1,2,3,4"),
        ("a.png#1,2,3", ""),
        ("a.png#1,2,3,4,5", ""),
        ("a.png#x,2,3,4", ""),
    ],
)
def test_the_box_that_an_id_names(name, box):
    assert box_of(name) == box
    assert list(identities(["f"], [name])) == [("f", box)]


@given(st.lists(st.floats(-(2.0**31), 2.0**31), min_size=4, max_size=4))
def test_every_box_of_a_manifest_is_named(corners):
    """By the code that names them: no number has an exponent, and none that differs looks the same."""
    from fne_cli.images.lists.manifest import exact

    name = f"a.png#{','.join(map(exact, corners))}"
    assert box_of(name) == name.removeprefix("a.png")
    assert [float(part) for part in box_of(name)[1:].split(",")] == corners


def test_boxes_of_one_image_are_several(tmp_path):
    table = images(3)
    table.path = ["p.png#0,0,5,5", "p.png#5,0,9,9", "p.png"]
    path = write(tmp_path / "a.h5", table=table)
    with edited(path) as file:
        digest = hashlib.sha256(b"p").hexdigest().encode()
        file["images/sha256"][:] = [digest] * 3
    with known_of(path) as rows:
        where = rows.find([digest.decode()] * 4, ["q.png", "q.png#5,0,9,9", "q.png#0,0,5,5", "q.png#0,0,5,5.5"])
    assert where[:, 1].tolist() == [2, 1, 0, UNKNOWN]


def test_keys_that_collide_are_told_apart(tmp_path, monkeypatch):
    """64 bits are not the image."""
    path = write(tmp_path / "a.h5", 3)
    sha256, names = contents(path)
    monkeypatch.setattr(known, "key_of", lambda content, box: 7)
    with known_of(path) as rows:
        assert rows.find([*sha256, "f" * 64], [*names, "x"])[:, 1].tolist() == [0, UNKNOWN, UNKNOWN, UNKNOWN]


def test_work_that_is_not_finished(tmp_path):
    """Only its first images count, and not those that are named."""
    path = write(tmp_path / "a.h5")
    sha256, names = contents(path)
    with KnownRows(layers(*SHAPES), CROPS) as rows:
        rows.add(path, settings(CROPS), 7, [2, 5, 9])
        assert rows.find(sha256, names)[:, 1].tolist() == [0, 1, UNKNOWN, 3, 4, UNKNOWN, 6, *[UNKNOWN] * 5]


OTHERS = {
    "settings": ({"crops": 1}, "crops: 1 there, 5 here"),
    "weights": ({"xla": True}, "xla: true there, false here"),
    "type": ({"dtype": "f2"}, "layers of other names, shapes or types"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_made_otherwise_is_refused(tmp_path, name):
    options, line = OTHERS[name]
    path = write(tmp_path / "a.h5", **options)
    with known_of() as rows, pytest.raises(WrongFile) as raised:
        rows.add(path, settings(CROPS))
    assert f"{path} should be made as this extraction, for its rows to be used again. Found:\n" in str(raised.value)
    assert line in str(raised.value)


def test_other_layers_are_refused(tmp_path):
    path = write(tmp_path / "a.h5")
    for shapes in (((3,),), ((3,), (4,)), ((3,), (2, 2), (1,))):
        with KnownRows(layers(*shapes), CROPS) as rows, pytest.raises(WrongFile, match="layers of other names"):
            rows.add(path, settings(CROPS))


def test_a_shard_is_made_as_the_whole(tmp_path):
    path = write(tmp_path / "a.h5", shard={"number": 1, "of": 2, "images": 24, "listing": "x"})
    sha256, names = contents(path)
    with known_of(path) as rows:
        assert rows.find(sha256, names)[:, 1].tolist() == list(range(12))


def test_what_is_no_file_of_activations(tmp_path):
    from real_files import write_all

    moments = write_all(tmp_path)[1]
    with known_of() as rows:
        with pytest.raises(WrongFile, match="kind=moments"):
            rows.add(moments, settings(CROPS))
        with pytest.raises(BadInput):
            rows.add(tmp_path / "none.h5", settings(CROPS))
        (tmp_path / "text").write_text("no")
        with pytest.raises((WrongFile, DamagedFile, BadInput)):
            rows.add(tmp_path / "text", settings(CROPS))


@pytest.mark.parametrize("column", ["layers/fc", "images/sha256"])
def test_a_flipped_bit_is_told(tmp_path, column):
    path = write(tmp_path / "a.h5")
    sha256, names = contents(path)
    with h5py.File(path) as file:
        where = file[column].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 3] ^= 4
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"a\.h5"), known_of(path) as rows:
        rows.rows(rows.find(sha256, names))


def test_rows_come_in_blocks_that_fit_into_memory(tmp_path):
    with KnownRows(layers((1 << 20,)), 1) as rows:
        assert rows.block == 8
    with KnownRows(layers((1 << 24,)), 10) as rows:
        assert rows.block == 1
    path = write(tmp_path / "a.h5")
    with known_of(path) as rows:
        assert rows.block * CROPS * (3 + 4) * 4 <= 1 << 25
    with open_file(path) as file:
        assert file.kind == "activations", "and the files are closed"
