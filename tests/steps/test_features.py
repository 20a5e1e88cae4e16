"""fne features on behavior files and on codes files."""

import json

import numpy as np
import pytest
from activations import relu, table, write
from edited_files import edited
from evaluation_files import write as write_codes

from fne_cli.errors import BadInput, WrongFile
from fne_cli.steps.analyze import analyze
from fne_cli.steps.features import features
from fne_cli.store.format.reader import open_file


@pytest.fixture
def made(tmp_path):
    """Activations of 60 images of 2 crops and their behavior; conv:2 is large on class b, fc:5 is 0 there."""
    rng = np.random.default_rng(2)
    images = table(
        60, classes=("a", "b", "c"), label=np.arange(60, dtype=np.int32) % 3, bad=(10,),
        split=["test" if n % 4 == 0 else "train" for n in range(60)],
    )  # fmt: skip
    rows = {"conv": relu(rng, 120, 4), "fc": relu(rng, 120, 20)}
    of_b = np.repeat(images.label == 1, 2)
    rows["conv"][of_b, 2] = 1e4 + np.arange(of_b.sum())
    rows["fc"][:, 5] = np.where(of_b, 0, 1 + np.arange(120) % 7)
    source = write(tmp_path / "a.h5", rows, images, crops=2)
    analyze(source, tmp_path / "b.h5")
    return source, tmp_path / "b.h5", rows, images


def matrix(path, part="s"):
    with open_file(path) as file:
        found = file.behavior()
        values = {name: getattr(layer, part)() for name, layer in found.layers.items()}
        return {
            (n, j, c): float(v[j, k]) for n, v in values.items() for j in range(len(v)) for k, c in enumerate("abc")
        }


@pytest.mark.parametrize(
    "options", [{}, {"class_name": "b"}, {"layer": "fc"}, {"layer": "c*"}, {"feature": "fc:5"}, {"top": 200}]
)
def test_the_strongest_are_those_of_a_sort(made, options):
    found = features(made[1], **options)
    s, z, label = (matrix(made[1], part) for part in ("s", "z", "label"))
    if "class_name" in options:
        s = {key: value for key, value in s.items() if key[2] == "b"}
    if "layer" in options:
        s = {key: value for key, value in s.items() if key[0] == {"fc": "fc", "c*": "conv"}[options["layer"]]}
    if "feature" in options:
        s = {key: value for key, value in s.items() if key[:2] == ("fc", 5)}
    for pairs, sign in ((found.presence, 1), (found.absence, -1)):
        expected = sorted((value for value in s.values() if sign * value > 0), key=abs, reverse=True)
        assert [pair.s for pair in pairs] == expected[: options.get("top", 10)]
        for pair in pairs:
            key = (pair.layer, pair.feature, pair.class_name)
            assert (s[key], z[key], label[key]) == (pair.s, pair.z, sign * pair.characteristic)


def test_planted_features_come_first(made):
    found = features(made[1], class_name="b", top=1)
    assert [(pair.layer, pair.feature, pair.s) for pair in found.presence] == [("conv", 2, 1.0)]
    assert [(pair.layer, pair.feature, pair.s) for pair in found.absence] == [("fc", 5, -1.0)]


def test_images_that_excite_a_feature_most(made):
    source, behavior, rows, images = made
    found = features(behavior, feature="conv:2", top=3, activations=source).images
    values = np.where(images.good, rows["conv"][:, 2].astype(np.float64).reshape(60, 2).mean(axis=1), -1)
    order = np.argsort(-values)[:3]
    assert [image.path for image in found] == [images.path[number] for number in order]
    assert [image.value for image in found] == values[order].tolist()
    assert {(image.label, image.layer, image.feature) for image in found} == {("b", "conv", 2)}
    assert [image.split for image in found] == [images.split[number] for number in order]
    # of all listed features a few each
    listed = features(behavior, class_name="b", top=6, activations=source).images
    assert {(image.layer, image.feature) for image in listed} >= {("conv", 2), ("fc", 5)}
    assert max(np.unique([f"{image.layer}{image.feature}" for image in listed], return_counts=True)[1]) == 5


def test_activations_of_another_network(made, tmp_path):
    _, behavior, rows, images = made
    other = write(tmp_path / "other.h5", rows, images, crops=2, settings={"model": "vgg16"})
    with pytest.raises(WrongFile, match='model: "by hand" there, "vgg16" here'):
        features(behavior, activations=other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_name": "lotus"}, "should have a class 'lotus'. Found: a, b, c."),
        ({"layer": "block*"}, "has no layer 'block\\*'. It has: conv, fc."),
        ({"feature": "fc"}, "--feature should be LAYER:NUMBER. Found: 'fc'."),
        ({"feature": "fc:20"}, r"fc \(0 ... 19\)"),
        ({"feature": "fc:٣"}, "--feature should be LAYER:NUMBER"),
        ({"feature": "fc:2", "layer": "fc"}, "--feature names its layer"),
        ({"distances": True}, "--distances is for a codes file"),
        ({"rows": "all"}, "--rows is for a codes file"),
    ],
)
def test_words_that_mean_nothing_here(made, options, message):
    with pytest.raises(BadInput, match=message):
        features(made[1], **options)


def test_the_command_on_a_behavior_file(fne, made):
    source, behavior, *_ = made
    result = fne("features", behavior, "--class", "b", "--top", 2, "--activations", source)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "strongest by presence"
    assert lines[2].split()[:3] == ["conv:2", "b", "1.000"]
    assert "strongest by absence" in lines
    assert "images with the largest values" in lines
    found = json.loads(fne("features", behavior, "--class", "b", "--top", 2, "--json").out)
    assert [len(found[side]) for side in ("presence", "absence", "images")] == [2, 2, 0]
    wrong = fne("features", source)
    assert (wrong.code, "should be an fne behavior or codes file. Found: kind=activations" in wrong.err) == (1, True)


def test_numbers_that_are_none_in_a_file_are_left_out(fne, made):
    with edited(made[1]) as file:
        s, z = file["layers/conv/s"][:], file["layers/conv/z"][:]
        s[0], s[1], z[2] = np.inf, 7, np.nan
        file["layers/conv/s"][:], file["layers/conv/z"][:] = s, z
    result = fne("features", made[1], "--json", "--top", 100)
    assert result.code == 0, result.err
    assert {(pair["layer"], pair["feature"]) for pair in json.loads(result.out)["presence"]}.isdisjoint(
        {("conv", number) for number in range(3)}
    )


@pytest.fixture
def codes(tmp_path):
    """40 images of 3 crops, of classes a and b and one without images; the images of b are test, but for 8."""
    rng = np.random.default_rng(4)
    labels = [number % 2 if number < 38 else -1 for number in range(40)]
    layers = {name: rng.choice([-1, 0, 1], (120, width), p=[0.5, 0.2, 0.3]).astype(np.int8) for name, width in
              (("conv", 9), ("fc", 30))}  # fmt: skip
    splits = ["test" if number % 2 and number > 16 else "train" for number in range(40)]
    return write_codes(tmp_path / "c.h5", layers, labels, splits, crops=3, bad=(0,)), layers, labels, splits


@pytest.mark.parametrize("rows", [None, "all"])
def test_prototypes_and_distances(codes, rows):
    path, layers, labels, splits = codes
    found = features(path, rows=rows, share=0.55, class_name="b", distances=True)
    assert [one.class_name for one in found.prototypes] == ["a", "b"]
    expected = []
    for c, one in enumerate(found.prototypes):
        chosen = (np.array(labels) == c) & ((np.array(splits) == "train") | (rows == "all")) & (np.arange(40) > 0)
        own = np.concatenate([values[np.repeat(chosen, 3)] for values in layers.values()], axis=1)
        code = ((own == 1).mean(axis=0) > 0.55).astype(int) - ((own == -1).mean(axis=0) > 0.55)
        expected.append(code)
        assert one.images == chosen.sum()
        assert (one.high, one.low) == ((code == 1).sum(), (code == -1).sum())
        if c == 1:
            assert one.layers[0].low_features == np.flatnonzero(code[:9] == -1).tolist()
            assert one.layers[1].high_features == np.flatnonzero(code[9:] == 1).tolist()
        else:
            assert one.layers[0].low_features is None
    differ = (expected[0] != expected[1]).mean()
    assert found.distances == [[0, pytest.approx(differ)], [pytest.approx(differ), 0]]
    assert differ > 0


def test_the_command_on_a_codes_file(fne, codes):
    path = codes[0]
    result = fne("features", path)
    assert result.out.splitlines()[0].split() == ["class", "images", "features", "high", "low", "neither"]
    assert [line.split()[:3] for line in result.out.splitlines()[1:]] == [["a", "18", "39"], ["b", "8", "39"]]
    shown = fne("features", path, "--class", "b").out.splitlines()
    assert shown[0] == "b: 8 images (train)"
    assert [line.split()[0] for line in shown[2:]] == ["conv", "fc", "all"]
    near = fne("features", path, "--distances").out.splitlines()
    assert [line.split()[:2] for line in near[1:]] == [["a", "b"], ["b", "a"]]
    found = json.loads(fne("features", path, "--distances", "--json").out)
    assert np.shape(found["distances"]) == (2, 2)
    assert fne("features", path, "--share", "0.4").code == 2
    for options, message in (
        (("--class", "c"), "should have images of class c among the rows train. Found: none."),
        (("--layer", "fc"), "--layer is for a behavior file"),
        (("--rows", "val"), "--rows val should choose at least one good image"),
    ):
        wrong = fne("features", path, *options)
        assert (wrong.code, message in wrong.err) == (1, True), wrong.err


def test_several_labels(tmp_path):
    codes = {"fc": np.array([[1, 1], [1, -1], [-1, -1]], np.int8)}
    labels = np.array([[1, 1], [1, 0], [0, -1]])
    path = write_codes(tmp_path / "c.h5", codes, labels, ["train"] * 3, classes=("a", "b"))
    found = features(path)
    assert [(one.images, one.high, one.low) for one in found.prototypes] == [(2, 1, 0), (1, 2, 0)]
