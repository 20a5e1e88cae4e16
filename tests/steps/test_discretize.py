import copy
import shutil

import h5py
import numpy as np
import pytest
from activations import command, damage, relu, shards, table, write
from edited_files import edited
from evaluation_files import evaluate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, WrongFile
from fne_cli.numerics.codes.ternary import encode, standardize
from fne_cli.steps.discretize import discretize
from fne_cli.steps.info import info
from fne_cli.steps.merge import merge
from fne_cli.steps.normalize import normalize
from fne_cli.steps.verify import verify
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.writer import Writer


def codes(path):
    with open_file(path, "codes") as file:
        return {name: layer.read(0, layer.shape[0]) for name, layer in file.layers.items()}


def literal(layers, images, moments, low=-0.25, high=0.15):
    """The codes by the formula, with the moments of the file; bad images are 0."""
    good = np.repeat(images.good, 2)
    with open_file(moments, "moments") as file:
        found = file.moments()
    expected = {}
    for name, values in layers.items():
        expected[name] = encode(standardize(values, found[name]["mean"], found[name]["std"]), low, high)
        expected[name][~good] = 0
    return expected


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """62 images, 2 crops each, two bad ones; a layer of many and one of few rows a chunk, one with an odd width."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(1)
    images = table(62, split=["test" if n % 3 == 0 else "train" for n in range(62)], bad=(4, 30))
    layers = {
        "conv": relu(rng, 124, 7),
        "fc": relu(rng, 124, 20000, dtype=np.float16),
        "last": relu(rng, 124, 9000),
    }
    layers["conv"][:, 3] = 0.5
    normalize(write(folder / "photos.h5", layers, images, crops=2), folder / "m.h5")
    return folder, layers, images


@pytest.fixture
def photos(made, tmp_path):
    """A copy: its file, the moments, the layers and the table."""
    folder, layers, images = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / "photos.h5", tmp_path / "m.h5", dict(layers), copy.deepcopy(images)


def same(found, expected):
    return found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in expected)


def test_by_hand(tmp_path):
    rows = np.array([[2, 7], [6, 7], [3.5, 0], [4.5, 9], [3.25, 7], [4.75, 7]], np.float32)
    source = write(tmp_path / "a.h5", {"fc": rows}, table(6, split=["train"] * 2 + ["test"] * 4))
    normalize(source, tmp_path / "m.h5")  # mean 4, std 2; the second feature is constant in training
    done = discretize(source, tmp_path / "m.h5", tmp_path / "c.h5", thresholds=(-0.25, 0.25))
    assert codes(tmp_path / "c.h5")["fc"].tolist() == [[-1, 0], [1, 0], [0, 0], [0, 0], [-1, 0], [1, 0]]
    assert (done.rows, done.features, done.counts) == (6, 2, (2, 8, 2))


@pytest.mark.parametrize("packed", [False, True])
def test_codes_are_the_literal_formula(photos, tmp_path, packed):
    source, moments, layers, images = photos
    done = discretize(source, moments, tmp_path / "c.h5", packed=packed)
    expected = literal(layers, images, moments)
    assert same(codes(tmp_path / "c.h5"), expected)
    good = np.repeat(images.good, 2)
    values = np.concatenate([part[good].ravel() for part in expected.values()])
    assert done.counts == tuple((values == code).sum() for code in (-1, 0, 1))
    assert verify(tmp_path / "c.h5").problems == []
    with open_file(tmp_path / "c.h5") as file:
        assert vars(file.images).keys() == vars(images).keys()
        assert (file.images.path, file.images.split, file.images.message) == (images.path, images.split, images.message)
        assert np.array_equal(file.images.label, images.label)


def test_three_lines_of_numpy_read_packed_codes(photos, tmp_path):
    source, moments, layers, images = photos
    discretize(source, moments, tmp_path / "c.h5", packed=True)
    with h5py.File(tmp_path / "c.h5") as file:
        layer = file["layers/conv"]
        bits = np.unpackbits(layer[:], axis=2, count=layer.attrs["features"], bitorder="little").view(np.int8)
        found = bits[:, 0] - bits[:, 1]
    assert np.array_equal(found, literal(layers, images, moments)["conv"])


@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_size=st.integers(1, 300), packed=st.booleans())
def test_the_same_bytes_for_any_batch_size(photos, tmp_path, batch_size, packed):
    source, moments, *_ = photos
    for name, size in (("c.h5", 32768), ("d.h5", batch_size)):
        discretize(source, moments, tmp_path / name, packed=packed, batch_size=size, overwrite=True)
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "d.h5").read_bytes()


@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(2, 7), seed=st.integers(0, 99))
def test_shards_in_any_order_are_the_merged_file(photos, tmp_path, count, seed):
    _source, moments, layers, images = photos
    parts = shards(tmp_path, layers, images, count, crops=2)
    merge(parts, tmp_path / "merged.h5", overwrite=True)
    discretize(tmp_path / "merged.h5", moments, tmp_path / "c.h5", overwrite=True)
    shuffled = [parts[number] for number in np.random.default_rng(seed).permutation(count)]
    discretize(shuffled, moments, tmp_path / "d.h5", overwrite=True)
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "d.h5").read_bytes()
    assert discretize(tmp_path / "merged.h5", moments, tmp_path / "d.h5").up_to_date


def test_other_files_stand_in_the_given_order(photos, tmp_path):
    source, moments, layers, images = photos
    rng = np.random.default_rng(2)
    label = np.array([1, 0, -1, 1, 0], np.int32)
    others = table(5, paths=[f"other/{n}.png" for n in range(5)], label=label, classes=("0", "b"), bad=(1,))
    more = {name: relu(rng, 10, values.shape[1], dtype=values.dtype) for name, values in layers.items()}
    second = write(tmp_path / "second.h5", more, others, crops=2)
    discretize([second, source], moments, tmp_path / "c.h5")
    first, rest = literal(more, others, moments), literal(layers, images, moments)
    assert same(codes(tmp_path / "c.h5"), {name: np.concatenate([first[name], rest[name]]) for name in rest})
    with open_file(tmp_path / "c.h5") as file:
        assert file.images.path == others.path + images.path
        assert file.images.classes == ["0", "a", "b"]
        assert file.images.label.tolist() == [2, 0, -1, 2, 0, *(images.label + 1).tolist()]
    assert verify(tmp_path / "c.h5").problems == []
    with pytest.raises(DifferentOutput, match=r"activations: second\.h5, .* output, .*, second\.h5 asked"):
        discretize([source, second], moments, tmp_path / "c.h5")


def test_evaluate_and_info_take_either_form(photos, tmp_path):
    source, moments, *_ = photos
    results = []
    for packed in (False, True):
        discretize(source, moments, tmp_path / f"{packed}.h5", packed=packed)
        results.append(evaluate(tmp_path / f"{packed}.h5").results["results"])
    assert results[0] == results[1]
    layers = {layer["layer"]: layer for layer in info(tmp_path / "True.h5").layers}
    assert (layers["conv"]["form"], layers["conv"]["row_shape"], layers["conv"]["dtype"]) == (
        "packed",
        [7],
        "int8",
    )
    assert info(tmp_path / "False.h5").layers[0]["form"] == "plain"
    assert (tmp_path / "True.h5").stat().st_size < (tmp_path / "False.h5").stat().st_size / 3


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("features", np.int64(9), "layers/conv should be bit planes"),
        ("features", np.int64(0), "layers/conv should be bit planes"),
        ("features", np.int64(-8), "layers/conv should be bit planes"),
        ("features", 7.0, "layers/conv should be bit planes"),
        ("features", np.array([7, 7]), "layers/conv should be bit planes"),
        ("features", "7", "attribute features of /layers/conv should be a text of fixed length or a number"),
        ("features", None, "attribute features of /layers/conv should exist"),
        ("packing", np.bytes_(b"trits"), "layers/conv should be bit planes"),
        ("packing", None, "layers/conv should be of type i1|layers/conv should have 2 dimensions"),
    ],
)
def test_packed_headers_that_lie(photos, tmp_path, name, value, message):
    source, moments, *_ = photos
    discretize(source, moments, tmp_path / "c.h5", packed=True)
    with edited(tmp_path / "c.h5") as file:
        del file["layers/conv"].attrs[name]
        if value is not None:
            file["layers/conv"].attrs[name] = value
    with pytest.raises(DamagedFile, match=message):
        codes(tmp_path / "c.h5")


def test_plain_codes_that_claim_to_be_packed(photos, tmp_path):
    source, moments, *_ = photos
    discretize(source, moments, tmp_path / "c.h5")
    with edited(tmp_path / "c.h5") as file:
        file["layers/conv"].attrs["packing"] = np.bytes_(b"bit planes")
        file["layers/conv"].attrs["features"] = np.int64(7)
    with pytest.raises(DamagedFile, match="layers/conv should have 3 dimensions"):
        codes(tmp_path / "c.h5")


def test_verify_finds_bits_that_no_code_has(photos, tmp_path):
    source, moments, *_ = photos
    discretize(source, moments, tmp_path / "c.h5", packed=True)
    with edited(tmp_path / "c.h5") as file:
        planes = file["layers/conv"][:]
        planes[5] = 0xFF
        file["layers/conv"][:] = planes
    assert verify(tmp_path / "c.h5").problems == [
        "layer conv, rows 0-123 have bits that no code has, or codes of bad images"
    ]


def test_a_damaged_chunk_is_named_and_nothing_is_left(photos, tmp_path):
    source, moments, *_ = photos
    damage(source, "last", 100)
    with open_file(source) as file:
        step = file.layers["last"].chunk_rows
    first, last = 100 // step * step, min(124, 100 // step * step + step) - 1
    with pytest.raises(DamagedFile) as error:
        discretize(source, moments, tmp_path / "c.h5")
    assert str(error.value).splitlines()[0] == (
        f"{source}: layer last, rows {first}-{last} are damaged (a wrong checksum)."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h5", "m.h5.run.json", "photos.h5"]


def test_moments_of_another_network(photos, tmp_path):
    _source, moments, layers, images = photos
    other = write(tmp_path / "other.h5", layers, images, crops=2, settings={"model": "vgg16"})
    with pytest.raises(WrongFile) as error:
        discretize(other, moments, tmp_path / "c.h5")
    assert str(error.value) == (
        f"{moments} should have the moments of activations made like {other}. Found:\n"
        '  model: "by hand" there, "vgg16" here\n'
        f"Run fne normalize {other} first."
    )


@pytest.mark.parametrize("part", ["mean", "std"])
def test_moments_that_are_not_finite(photos, tmp_path, part):
    source, moments, *_ = photos
    with edited(moments) as file:
        file[f"layers/conv/{part}"][2] = np.nan
    with pytest.raises(DamagedFile) as error:
        discretize(source, moments, tmp_path / "c.h5")
    assert str(error.value) == (
        f"{moments}: layer conv should have 7 finite float64 means and deviations. Found: other values.\n"
        f"Run fne normalize {source} again."
    )


def test_a_chunk_that_hdf5_did_not_filter_is_left_to_hdf5(photos, tmp_path):
    """A float64 or compressed layer is refused; a contiguous one, or one without checksums, is read all the same."""
    source, moments, _layers, _images = photos
    discretize(source, moments, tmp_path / "c.h5")
    with edited(source) as file:
        attributes = dict(file["layers/conv"].attrs)
        values = file["layers/conv"][:]

    def replace(values, **options):
        with edited(source) as file:
            del file["layers/conv"]
            file["layers"].create_dataset("conv", data=values, **options).attrs.update(attributes)

    for number, options in enumerate(({}, {"chunks": (5, 7)}, {"chunks": (5, 3), "fletcher32": True})):
        replace(values, **options)
        discretize(source, moments, tmp_path / f"{number}.h5")
        assert same(codes(tmp_path / f"{number}.h5"), codes(tmp_path / "c.h5"))
    replace(values, chunks=(5, 7), compression="gzip")
    with pytest.raises(DamagedFile, match="layers/conv should have no filter but the checksum"):
        discretize(source, moments, tmp_path / "e.h5")
    replace(values.astype(np.float64))
    with pytest.raises(DamagedFile, match="layers/conv should be of type f4 or f2"):
        discretize(source, moments, tmp_path / "e.h5")


def test_the_command(photos, tmp_path, capfd):
    source, moments, *_ = photos
    code, _, err = command(capfd, "discretize", source, moments, tmp_path / "c.h5", "--packed", "--thresholds=-1,1")
    assert (code, err.count("124 rows x 29,007 codes")) == (0, 1)
    code, _, err = command(capfd, "discretize", source, moments, tmp_path / "c.h5", "--packed", "--thresholds=-1,1")
    assert (code, err) == (0, f"{tmp_path / 'c.h5'} is up to date: 124 rows x 29,007 codes\n")
    code, _, err = command(capfd, "discretize", source, moments, tmp_path / "c.h5", "--thresholds=-1,1")
    assert code == 4
    assert 'packing: "bit planes" in the existing output, nothing asked for' in err
    with pytest.raises(BadInput, match="cannot be its output"):
        discretize(source, moments, moments)


def test_chunks_written_past_hdf5_are_those_that_it_would_write(tmp_path):
    from fne_cli.store.format.schema import Layer

    rows = np.random.default_rng(0).integers(-1, 2, (1000, 3001), dtype=np.int8)
    layer = Layer("fc", (3001,), np.dtype(np.int8))
    with Writer.create(tmp_path / "a.h5", "codes", [layer], 1000, settings={}, sources=[], software={}) as writer:
        for start in range(0, 1000, 70):
            writer.append("fc", rows[start : start + 70])
    with h5py.File(tmp_path / "a.h5") as ours, h5py.File(tmp_path / "b.h5", "w") as file:
        dataset = ours["layers/fc"]
        theirs = file.create_dataset("fc", data=rows, chunks=dataset.chunks, fletcher32=True)
        for start in range(0, 1000, dataset.chunks[0]):
            assert dataset.id.read_direct_chunk((start, 0)) == theirs.id.read_direct_chunk((start, 0))


def test_some_of_the_shards_are_different_files(photos, tmp_path):
    _, moments, layers, images = photos
    parts = shards(tmp_path, layers, images, 3, crops=2)
    discretize([parts[2], parts[0]], moments, tmp_path / "c.h5")
    with open_file(tmp_path / "c.h5") as file:
        assert file.images.path == images.path[2::3] + images.path[::3]
        assert len(file.sources) == 3
    rows = literal(layers, images, moments)["fc"].reshape(62, 2, -1)
    expected = np.concatenate([rows[2::3], rows[::3]]).reshape(-1, 20000)
    assert np.array_equal(codes(tmp_path / "c.h5")["fc"], expected)


@pytest.mark.parametrize("crops", ["0", "null", '"two"'])
def test_a_number_of_crops_that_is_none(photos, tmp_path, crops):
    _, moments, layers, images = photos
    source = write(tmp_path / "other.h5", {"conv": layers["conv"][:62]}, images)
    with edited(source) as file:
        file.attrs["settings"] = np.bytes_(file.attrs["settings"].replace(b'"crops":1', b'"crops":' + crops.encode()))
    with pytest.raises(DamagedFile, match="attribute settings should say how a activations file was made"):
        discretize(source, moments, tmp_path / "c.h5")


def test_a_name_that_is_not_utf8_is_refused_in_any_of_several_files(photos, tmp_path):
    source, moments, layers, _images = photos
    other = table(62, paths=[f"other/{number}é.png" for number in range(62)])
    second = write(tmp_path / "second.h5", layers, other, crops=2)
    with edited(second) as file:
        paths = file["images/path"][:]
        paths[61] = b"caf\xe9.png"
        file["images/path"][:] = paths
    with pytest.raises(DamagedFile, match=r"second\.h5: images/path is not UTF-8"):
        discretize([source, second], moments, tmp_path / "c.h5")
    assert not (tmp_path / "c.h5").exists()


@pytest.mark.parametrize("label", [2, -2])
def test_labels_without_a_class_are_refused(photos, tmp_path, label):
    source, moments, *_ = photos
    with edited(source) as file:
        file["images/label"][7] = label
    with pytest.raises(DamagedFile, match="images/label has values outside"):
        discretize(source, moments, tmp_path / "c.h5")
