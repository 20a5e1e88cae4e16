"""A file is whole from the start, the same bytes twice, and nothing it cannot hold gets in silently."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from open_files import open_files
from real_files import SHAPES, found, images, layers, needs_reserved_blocks, rows_of, settings, small_files, write_all

from fne_cli.errors import BadInput, DamagedFile, DoesNotFit
from fne_cli.store.format.columns import text_column
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Images, Layer
from fne_cli.store.format.seal import unseal
from fne_cli.store.format.writer import Writer
from fne_cli.store.output.partial import Output


def create(path: Path, table: Images | None = None, specs: list[Layer] | None = None, **changed: Any) -> Writer:
    """A new activations file."""
    table = images(7) if table is None else table
    specs = layers(*SHAPES) if specs is None else specs
    head: dict[str, Any] = {"settings": settings(), "sources": [], "software": {"fne": "0"}, "images": table}
    path.touch()
    return Writer.create(path, "activations", specs, len(table), **(head | {"fingerprint": "f" * 64} | changed))


def fill(writer: Writer, table: Images, specs: list[Layer], batch: int = 100) -> None:
    values, (status, message, sha256) = rows_of(specs, len(table)), found(table)
    writer.seek(0, 0)
    for start in range(0, len(table), batch):
        part = slice(start, start + batch)
        for name, rows in values.items():
            writer.append(name, rows[part])
        writer.append_images(status[part], message[part], sha256[part])


def test_the_same_bytes_twice_and_whatever_the_batch(tmp_path):
    """Also with another process's dirty memory: see test_blank for the part that HDF5 writes."""
    table, specs = images(23), layers((3,), (2, 2), (5000,))
    for name, batch in (("a", 100), ("b", 100), ("c", 1), ("d", 7)):
        with create(tmp_path / name, table, specs) as writer:
            fill(writer, table, specs, batch)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1


def test_all_kinds_are_the_same_bytes_twice(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    ours, theirs = (write_all(tmp_path / name, 12, bad=[1, 5]) for name in "ab")
    for a, b in zip(ours, theirs, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_the_file_has_its_final_size_and_its_blocks_from_the_start(tmp_path):
    needs_reserved_blocks(tmp_path)
    table, specs = images(50), layers((1000,), (3,))
    writer = create(tmp_path / "file", table, specs)
    size = (tmp_path / "file").stat().st_size
    assert (tmp_path / "file").stat().st_blocks * 512 >= size
    fill(writer, table, specs)
    writer.close()
    unseal(tmp_path / "file")
    assert (tmp_path / "file").stat().st_size == size


def test_the_table_is_complete_when_it_is_given(tmp_path):
    table = images(5)
    table.status, table.message, table.sha256 = found(table, [2])
    with create(tmp_path / "file", table, []):
        pass
    with open_file(tmp_path / "file") as file:
        assert file.images.path == table.path
        assert file.images.message == ["", "", "damaged: Größe", "", ""]
        assert file.images.sha256 == table.sha256
        assert file.images.status.tolist() == [0, 0, 5, 0, 0]
        assert file.images.label.tolist() == [0, 1, 2, 0, 1]


SIZES = [(0, 3), (1, 0), (1, 1), (5, 3), (70_000, 1)]


@pytest.mark.parametrize(("count", "classes"), SIZES)
@pytest.mark.parametrize("several", [False, True])
def test_tables_of_any_size(tmp_path, count, classes, several):
    """No images, one image, no classes, more than a chunk and a block of rows."""
    table = images(count, classes, several=several)
    with create(tmp_path / "file", table, layers((2,), (0,))) as writer:
        writer.append("conv", np.ones((count, 2)))
        writer.append("fc", np.ones((count, 0)))
    with open_file(tmp_path / "file") as file:
        assert file.images.path == table.path
        assert file.images.classes == table.classes
        assert file.images.label.dtype == table.label.dtype
        np.testing.assert_array_equal(file.images.label, table.label)
        assert [layer.shape for layer in file.layers.values()] == [(count, 2), (count, 0)]
        assert file.layers["fc"].read(0, count).shape == (count, 0)
        assert sum(len(rows) for _, rows in file.layers["fc"].batches(10_000)) == count


def test_text_of_no_length(tmp_path):
    table = images(3, split=False)
    table.path = ["", "", ""]
    with create(tmp_path / "file", table, []):
        pass
    with open_file(tmp_path / "file") as file:
        assert file.images.path == ["", "", ""]
        assert file.images.splits == []


@hypothesis_settings(max_examples=12, deadline=None)
@given(chosen=st.sets(st.integers(0, 11), min_size=1), data=st.data())
def test_replaced_images_and_rows_are_new_and_all_others_are_not(tmp_path_factory, chosen, data):
    """Rows of 200 KB: 5 in a chunk, so that some replaced rows are in the chunk that is still in memory."""
    path = tmp_path_factory.mktemp("replace") / "file"
    specs, table = [Layer("big", (50_000,), np.dtype("f4")), Layer("small", (2,), np.dtype("f4"))], images(12)
    numbers = np.array(sorted(chosen))
    values, (status, message, sha256) = rows_of(specs, 12), found(table)
    new = rows_of(specs, len(numbers), seed=1)
    with create(path, table, specs) as writer:
        fill(writer, table, specs)
    writer = Writer.reopen(path)
    writer.seek(12, 12)
    for name, rows in new.items():
        writer.replace(name, numbers, rows)
    writer.replace_images(numbers, np.full(len(numbers), 4, np.uint8), ["new"] * len(numbers), ["n"] * len(numbers))
    for _ in range(data.draw(st.integers(0, 2))):
        writer.commit()
    writer.close()
    for name in values:
        values[name][numbers] = new[name]
    with open_file(path) as file:
        for name, rows in values.items():
            np.testing.assert_array_equal(file.layers[name].read(0, 12), rows)
        assert file.images.status.tolist() == [4 if n in chosen else status[n] for n in range(12)]
        assert file.images.message == ["new" if n in chosen else message[n] for n in range(12)]
        assert file.images.sha256 == ["n" if n in chosen else sha256[n] for n in range(12)]


def test_missing_rows_are_not_closed_over(tmp_path):
    writer = create(tmp_path / "file", images(4), layers((3,)))
    writer.append("conv", np.zeros((3, 3)))
    with pytest.raises(ValueError, match="layers/conv should have 4 rows, found 3"):
        writer.close()
    writer.abandon()


def test_a_long_message_is_cut_and_a_long_name_is_not(tmp_path):
    table = images(1)
    table.path, table.message = ["ü" * 2000], ["ü" * 200]
    with create(tmp_path / "file", table, []):
        pass
    with open_file(tmp_path / "file") as file:
        assert file.images.path == ["ü" * 2000]
        assert file.images.message == ["ü" * 80]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0"])
def test_layer_names_that_hdf5_would_take_for_a_path(name):
    with pytest.raises(BadInput, match="A layer's name should have no slash in it"):
        Layer(name, (3,), np.dtype("f4"))


@pytest.mark.parametrize("name", ["\x1b[31m", "名前", "a.b", "..x", "b" * 3000, "a b"])
def test_any_other_layer_name(tmp_path, name):
    with create(tmp_path / "file", images(2), [Layer(name, (3,), np.dtype("f4"))]) as writer:
        writer.append(name, np.ones((2, 3)))
    with open_file(tmp_path / "file") as file:
        np.testing.assert_array_equal(file.layers[name].read(0, 2), np.ones((2, 3)))


def test_settings_of_almost_64_kilobytes_and_more(tmp_path):
    with create(tmp_path / "file", settings=settings(note="ü" * 31_000)):
        pass
    with open_file(tmp_path / "file") as file:
        assert file.settings["note"] == "ü" * 31_000
    with pytest.raises(BadInput, match=r"The settings of a file should take at most 64,000 bytes\. Found: 64,"):
        create(tmp_path / "other", settings=settings(note="ü" * 31_900))


def test_half_characters_in_settings_are_kept(tmp_path):
    """A model's path may have bytes that are not UTF-8; Python has them as half characters."""
    with create(tmp_path / "file", settings=settings(weights="caf\udce9.keras")):
        pass
    with open_file(tmp_path / "file") as file:
        assert file.settings["weights"] == "caf\udce9.keras"


def test_abandoning_keeps_what_was_committed(tmp_path):
    table, specs = images(9), layers((3,))
    writer = create(tmp_path / "file", table, specs)
    fill(writer, table, specs)
    writer.commit()
    writer.set_fingerprint("e" * 64)
    writer.abandon()
    writer.abandon()
    with pytest.raises(DamagedFile, match="no seal at its end"):
        open_file(tmp_path / "file")
    with open_file(tmp_path / "file", unfinished=True) as file:
        assert file.fingerprint == "f" * 64
        np.testing.assert_array_equal(file.layers["conv"].read(0, 9), rows_of(specs, 9)["conv"])


def test_an_error_inside_leaves_no_open_file(tmp_path):
    before = open_files()
    with pytest.raises(ZeroDivisionError), create(tmp_path / "file"):
        raise ZeroDivisionError
    assert open_files() == before


def test_a_file_that_has_no_room_is_refused_before_it_is_written(tmp_path):
    before = open_files()
    with small_files(300_000), pytest.raises(DoesNotFit), Output(tmp_path / "out.h5") as output:
        create(output.partial, images(100), layers((1000,)))
    assert list(tmp_path.iterdir()) == []
    assert open_files() == before


def test_moments_stand_below_their_layer(tmp_path):
    (tmp_path / "file").touch()
    head = {"settings": {"rows": "all", "activations": {}}, "sources": [], "software": {}, "fingerprint": "f" * 64}
    with Writer.create(tmp_path / "file", "moments", [], 0, **head) as writer:
        for number, name in enumerate(("z", "a")):
            for part in ("mean", "std", "minimum", "maximum", "zeros"):
                writer.put(name, part, np.full(3 + number, 1.5))
            writer.describe(name, rows=10 + number)
    with open_file(tmp_path / "file") as file:
        assert list(file.moments()) == ["z", "a"]
        assert [file.moments_rows(name) for name in ("z", "a")] == [10, 11]
        np.testing.assert_array_equal(file.moments()["a"]["std"], [1.5] * 4)


def test_reading_while_it_grows_ignores_checksums(tmp_path):
    table, specs = images(6), layers((3,))
    writer = create(tmp_path / "file", table, specs)
    status, message, sha256 = found(table, [1, 3])
    writer.seek(0, 0)
    writer.append_images(status[:4], message[:4], sha256[:4])
    writer.commit()
    path = writer._file["images/sha256"].id
    path.write_direct_chunk((0,), text_column(sha256, 64).tobytes() + b"torn")
    assert writer.strings("images/sha256", 4) == sha256[:4]
    assert writer.nonzero("images/status", 4) == [1, 3]
    assert writer.strings("images/sha256", 0) == []
    writer.abandon()


def test_what_is_committed_is_synced(tmp_path, monkeypatch):
    writer = create(tmp_path / "file")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    writer.commit()
    writer.abandon()
    assert synced == [(tmp_path / "file").stat().st_ino]
