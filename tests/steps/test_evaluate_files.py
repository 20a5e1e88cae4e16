"""fne evaluate of several files: the shards of an extraction, or of codes, are the whole, byte for byte."""

from __future__ import annotations

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from activations import shards, table, write
from edited_files import edited
from evaluation_files import evaluate

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.steps.discretize import discretize
from fne_cli.steps.evaluate import Protocol
from fne_cli.steps.merge import merge
from fne_cli.steps.normalize import normalize
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.output.sealed import without_digest

CROPS = 2


def noisy(count, seed=0, first=0, **columns):
    """Layers of `count` images, two crops each, with some sense in them; their table, an image of it bad."""
    values = np.random.default_rng(seed)
    label = values.integers(0, 3, count).astype(np.int32)
    centres = np.random.default_rng(99).normal(0, 1, (3, 7))
    rows = np.maximum(centres[label].repeat(CROPS, axis=0) + values.normal(0, 1, (CROPS * count, 7)), 0)
    paths = [f"{number:03d}.png" for number in range(first, first + count)]
    columns = {"split": ["test" if number % 3 == 0 else "train" for number in range(count)], "bad": (4,)} | columns
    images = table(count, paths=paths, label=label, classes="abc", **columns)
    layers = {"conv": rows.astype(np.float32), "fc": (rows @ values.normal(0, 1, (7, 5))).astype(np.float32)}
    return layers, images


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    parts = shards(folder, *noisy(61), 4, crops=CROPS)
    whole, moments = folder / "whole.h5", folder / "m.h5"
    merge(parts, whole)
    normalize(whole, moments)
    codes = {}
    for kind in ("plain", "packed"):
        made = []
        for source in (whole, *parts):
            made.append(folder / f"{source.stem}-{kind}.h5")
            discretize(source, moments, made[-1], packed=kind == "packed")
        codes[kind] = made
    return SimpleNamespace(whole=whole, shards=parts, moments=moments, codes=codes)


def shuffled(paths):
    return [paths[2], paths[0], paths[3], paths[1]]


def same(whole, several, folder, model=False, **options):
    """All that an evaluation leaves is the same, and either counts as the other."""
    for name, features in (("one", whole), ("several", several)):
        own = folder / name
        own.mkdir()
        more = {"model": own / "m.npz"} if model else {}
        evaluate(features, own / "r.json", predictions=own / "p.csv", **more, **options)
    for file in ("r.json", "p.csv", *(["m.npz"] if model else [])):
        assert (folder / "one" / file).read_bytes() == (folder / "several" / file).read_bytes(), file
    assert evaluate(whole, folder / "several" / "r.json", **options).up_to_date


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": ("fc",), "model": True},
        {"embedding": "fne", "model": True, "cost": (0.1, 1.0)},
        {"embedding": "standardized", "protocol": Protocol(cv=3), "each_layer": True},
        {"embedding": "raw", "protocol": Protocol(per_class=(1, 3), draws=2)},
    ],
)
def test_shards_are_the_whole(files, tmp_path, options):
    same(files.whole, shuffled(files.shards), tmp_path, **options)


@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_codes_of_shards_are_those_of_the_whole(files, tmp_path, kind):
    whole, *parts = files.codes[kind]
    same(whole, shuffled(parts), tmp_path, model=True)


def test_a_manifest_names_images_of_all_shards(files, tmp_path):
    lines = [f"{number:03d}.png,{'test' if number % 5 else 'train'}\n" for number in range(61)]
    (tmp_path / "s.csv").write_text("path,split\n" + "".join(lines))
    same(files.whole, files.shards, tmp_path, protocol=Protocol(split=tmp_path / "s.csv"))


def test_other_files_stand_one_after_the_other(tmp_path):
    train, test = noisy(40, 1, split=["train"] * 40), noisy(30, 2, first=40, split=["test"] * 30)
    one = write(tmp_path / "train.h5", *train, crops=CROPS)
    two = write(tmp_path / "test.h5", *test, crops=CROPS)
    layers = {name: np.concatenate([train[0][name], test[0][name]]) for name in train[0]}
    columns = {name: [*getattr(train[1], name), *getattr(test[1], name)] for name in ("split", "label")}
    whole = write(tmp_path / "whole.h5", layers, table(70, classes="abc", bad=(4, 44), **columns), crops=CROPS)
    several = evaluate([one, two], embedding="fne").results
    assert several["results"] == evaluate(whole, embedding="fne").results["results"]
    assert several["images"]["training"] == 39
    assert len(several["sources"]) == 2


def test_that_shards_are_missing_is_said(files, fne, tmp_path):
    one, _, three, four = files.shards
    said = "1 of 4 shards missing (2/4): their images are left out"
    assert said in fne("evaluate", one, three, four, tmp_path / "r.json", "--layers", "fc").err
    assert json.loads((tmp_path / "r.json").read_text())["images"]["missing_shards"] == said
    assert said in fne("normalize", one, three, four, tmp_path / "m.h5").err
    assert said in fne("discretize", one, three, four, files.moments, tmp_path / "c.h5").err
    assert said in fne("analyze", one, three, four, tmp_path / "b.h5", "--random-classes", "1").err
    assert "shards missing" not in fne("discretize", one, files.moments, tmp_path / "c1.h5").err
    for sound in (files.shards, [files.whole]):
        assert "shards missing" not in fne("evaluate", *sound, "--layers", "fc").err


def test_shards_of_two_extractions_are_not_taken_for_one(files, fne, tmp_path):
    others = tmp_path / "others"
    others.mkdir()
    more = shards(others, *noisy(30, 2, first=100), 4, crops=CROPS)
    result = fne("evaluate", *files.shards[:2], *more[2:], "--layers", "fc")
    assert "2 of 4 shards missing (3/4, 4/4): their images" in result.err
    assert "2 of 4 shards missing (1/4, 2/4): their images" in result.err


def test_an_image_without_labels_has_none_of_the_other_file_either(tmp_path):
    rng = np.random.default_rng(3)
    one = table(6, split=["train"] * 6, label=np.array([[1, 0], [0, 1], [-1, -1]] * 2, np.int8), classes="ab")
    label = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]] * 2, np.int8)
    paths = [f"other/{number}.png" for number in range(6)]
    two = table(6, split=["test"] * 6, label=label, classes="abc", paths=paths)
    files = [
        write(tmp_path / f"{name}.h5", {"x": rng.normal(size=(6, 3)).astype(np.float32)}, images)
        for name, images in (("one", one), ("two", two))
    ]
    with JoinedFiles(files) as several:
        assert several.images.label[:3].tolist() == [[1, 0, 0], [0, 1, 0], [-1, -1, -1]]
    found = evaluate(files).results["images"]
    assert (found["training"], found["without_label"]) == (4, 2)


def test_what_cannot_be_one_is_refused(files, tmp_path):
    whole, *parts = files.codes["plain"]
    with pytest.raises(
        WrongFile, match=r"shard2\.h5 should be an fne codes file like .*shard1-plain\.h5. Found: kind="
    ):
        evaluate([parts[0], files.shards[1]])
    with pytest.raises(WrongFile, match='packing: "bit planes" there, nothing here'):
        evaluate([parts[0], files.codes["packed"][2]])
    with pytest.raises(BadInput, match=r"Every image should be in one of the files. Found: 00\d\.png in"):
        evaluate([whole, parts[2]])
    normalize(files.whole, tmp_path / "others.h5", rows="test")
    discretize(files.shards[1], tmp_path / "others.h5", tmp_path / "c.h5")
    with pytest.raises(WrongFile, match="other moments or thresholds"):
        evaluate([parts[0], tmp_path / "c.h5"])


def test_codes_that_lie_about_their_shard_are_refused(files, tmp_path):
    source = tmp_path / "c.h5"
    source.write_bytes(files.codes["plain"][1].read_bytes())
    with edited(source) as file:
        settings = json.loads(file.attrs["settings"])
        settings["activations"]["shard"] = {"number": [1], "of": 4, "images": 61}
        text = json.dumps(settings).encode()
        file.attrs.create("settings", text, dtype=h5py.string_dtype("utf-8", len(text)))
    with pytest.raises(DamagedFile, match="settings should say how a codes file was made"):
        evaluate([source, files.codes["plain"][2]])


# Which of the files is RESULTS


def test_the_last_file_is_results_if_it_is_called_json(files, fne, tmp_path):
    result = fne("evaluate", *files.shards, tmp_path / "r.json", "--embedding", "fne", "--json")
    assert result.code == 0
    written = without_digest(json.loads((tmp_path / "r.json").read_text()))
    assert written == json.loads(result.out)
    assert written == json.loads(fne("evaluate", *files.shards, "--embedding", "fne", "--json").out)
    assert "up to date" in fne("evaluate", *files.shards, tmp_path / "r.json", "--embedding", "fne").err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shard9.h5", "shard9.h5 should be an fne codes or activations file. Found: no such file."),
        ("shard9", "shard9 should be one of FEATURES, or RESULTS with a name that ends in .json. Found: no such"),
        ("mine.txt", "mine.txt should be an fne codes or activations file. Found: not HDF5."),
    ],
)
def test_nothing_else_is_taken_for_results(files, fne, tmp_path, name, said):
    (tmp_path / "mine.txt").write_text("mine")
    result = fne("evaluate", files.shards[0], tmp_path / name, "--overwrite")
    assert (result.code, said in result.err) == (1, True), result.err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_results_come_last(files, fne, tmp_path):
    (tmp_path / "r.json").write_text("mine")
    result = fne("evaluate", tmp_path / "r.json", *files.shards, "--overwrite")
    assert (result.code, "RESULTS, the .json file, comes last" in result.err) == (2, True)
    assert fne("evaluate", tmp_path / "r.json").code == 2
    assert (tmp_path / "r.json").read_text() == "mine"


@pytest.mark.parametrize("results", [5, [], [{}], [{"name": []}], [{"name": "x", "accuracy": "much"}]])
def test_results_that_are_none_are_not_called_up_to_date(files, fne, tmp_path, results):
    path = tmp_path / "r.json"
    assert fne("evaluate", files.whole, path, "--layers", "fc").code == 0
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"results": results}))
    result = fne("evaluate", files.whole, path, "--layers", "fc")
    assert (result.code, f"{path}" in result.err) == (1, True)
    path.write_text(json.dumps(document), encoding="utf-16")
    assert "Traceback" not in fne("evaluate", files.whole, path, "--layers", "fc").err
