"""fne merge: the whole again, whatever the order and the batches; anything else is refused and nothing is left."""

from __future__ import annotations

import numpy as np
import pytest
from activations import damage, relu, shards, table, write

from fne_cli.errors import DamagedFile, DifferentOutput, WrongFile
from fne_cli.steps.merge import merge
from fne_cli.store.format.reader import open_file


@pytest.fixture
def whole():
    """23 images, two of them bad, two crops each; a dense layer and one of raw maps."""
    values = np.random.default_rng(0)
    layers = {"maps": relu(values, 46, 3, 3, 2), "fc": relu(values, 46, 7, dtype=np.float16)}
    split = ["test" if number % 3 == 0 else "train" for number in range(23)]
    return layers, table(23, bad=(4, 22), split=split)


@pytest.mark.parametrize("count", [1, 2, 5, 23])
@pytest.mark.parametrize("batch_size", [1, 7, 1024])
def test_every_row_comes_back_in_its_place(tmp_path, whole, count, batch_size):
    layers, images = whole
    parts = shards(tmp_path, layers, images, count, crops=2)
    order = np.random.default_rng(1).permutation(count)
    done = merge([parts[number] for number in order], tmp_path / "whole.h5", batch_size=batch_size)
    assert (done.images, done.bad) == (23, 2)
    bad = np.repeat(~images.good, 2)
    with open_file(tmp_path / "whole.h5", "activations") as file:
        assert list(file.images.path) == images.path
        assert list(file.images.split) == images.split
        assert list(file.images.message) == images.message
        np.testing.assert_array_equal(file.images.label, images.label)
        for name, values in layers.items():
            rows = file.layers[name].read(0, 46)
            np.testing.assert_array_equal(rows[~bad], values.reshape(46, -1)[~bad])
            assert np.isnan(rows[bad]).all()


def test_the_bytes_do_not_depend_on_how_it_was_cut(tmp_path, whole):
    contents = set()
    for count in (1, 3, 4):
        folder = tmp_path / str(count)
        folder.mkdir()
        merge(shards(folder, *whole, count, crops=2), folder / "whole.h5")
        contents.add((folder / "whole.h5").read_bytes())
    assert len(contents) == 1


def refused(paths, output, error, text):
    with pytest.raises(error, match=text):
        merge(paths, output)
    assert not output.exists()
    assert not list(output.parent.glob("*.partial*"))


def test_missing_repeated_and_foreign_shards(tmp_path, whole):
    first, second, third = shards(tmp_path, *whole, 3, crops=2)
    output = tmp_path / "out.h5"
    refused([first, third], output, WrongFile, r"There should be 3 shards\. Missing: 2/3\.")
    refused([first, second, second], output, WrongFile, r"Found: both are 2/3")
    layers, images = whole
    entire = write(tmp_path / "entire.h5", layers, images, crops=2)
    refused([first, second, entire], output, WrongFile, r"entire\.h5 should be a shard .* Found: a whole extraction")
    other = tmp_path / "other"
    other.mkdir()
    of_two = shards(other, layers, images, 2, crops=2)
    refused([first, of_two[1]], output, WrongFile, r"shard\.of: 2 there, 3 here")
    half = {name: values[:, :2] for name, values in layers.items()}
    narrow = shards(other, half, images, 3, crops=2)
    refused([first, second, narrow[2]], output, WrongFile, "rows")


def test_a_shard_in_the_place_of_the_output_is_named(tmp_path, whole):
    first, second, third = shards(tmp_path, *whole, 3, crops=2)
    before = third.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(
            WrongFile, match=r"Missing: 3/3\.\n.*shard3\.h5, the last .* shard 3/3 and was taken for OUT"
        ):
            merge([first, second], third, overwrite=overwrite)
    with pytest.raises(WrongFile, match=r"Missing: 2/3, 3/3\.\n.*shard2\.h5, the last .* is shard 2/3 and was taken"):
        merge([first], second)
    (tmp_path / "other").mkdir()
    another = shards(tmp_path / "other", *whole, 2, crops=2)[1]
    with pytest.raises(WrongFile, match=r"Missing: 3/3\.$"):
        merge([first, second], another)
    assert third.read_bytes() == before


def test_a_damaged_shard_is_named(tmp_path, whole):
    parts = shards(tmp_path, *whole, 2, crops=2)
    damage(parts[1], "fc", 3)
    refused(parts, tmp_path / "out.h5", DamagedFile, r"shard2\.h5: layer fc, rows")


def test_another_file_in_the_place_of_the_output_stays(tmp_path, whole):
    layers, images = whole
    parts = shards(tmp_path, layers, images, 2, crops=2)
    other = {"x": relu(np.random.default_rng(3), 46, 3)}
    output = write(tmp_path / "out.h5", other, images, crops=2, settings={"model": "another"})
    before = output.read_bytes()
    with pytest.raises(DifferentOutput, match=r"is another extraction, .*:\n  model: .another. in the existing output"):
        merge(parts, output)
    assert output.read_bytes() == before
    merge(parts, output, overwrite=True)
    assert merge(parts, output).up_to_date


def test_memory_is_bounded_whatever_the_size_of_a_row(tmp_path, whole, monkeypatch):
    """With 600 bytes for all shards together no more is read at once, and the bytes are the same."""
    from fne_cli.store.format.layer import ChunkReader
    from fne_cli.store.many import joined

    layers, images = whole
    parts = shards(tmp_path, layers, images, 2, crops=2)
    merge(parts, tmp_path / "a.h5")
    read, most = ChunkReader.read, []

    def counted(reader, start, stop):
        rows = read(reader, start, stop)
        most.append(rows.nbytes)
        return rows

    monkeypatch.setattr(ChunkReader, "read", counted)
    monkeypatch.setattr(joined, "_BLOCK_VALUES", 150)
    merge(parts, tmp_path / "b.h5")
    assert 100 < len(parts) * max(most) <= 600
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
