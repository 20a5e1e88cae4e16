"""fne vocabulary, and what fne extract makes by one: from the command line to the bytes of the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from edited_files import edited
from PIL import Image
from scipy import ndimage
from skimage.feature import hog
from sklearn.cluster import KMeans

from fne_cli.descriptors.opening import open_source
from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, DoesNotFit, TooManyBad, WrongFile, WrongOptions
from fne_cli.images.lists import source
from fne_cli.networks.running.speed import measure
from fne_cli.steps.extract import Recipe, extract
from fne_cli.steps.merge import merge
from fne_cli.steps.vocabulary import VocabularyOptions, vocabulary
from fne_cli.store.format.reader import open_file
from fne_cli.transformer import FullNetworkEmbedding

FISHER = VocabularyOptions(words=4, components=6, patches=(16, 24), samples=600, image_size=(48, 40))
BOW = VocabularyOptions("bow", words=9, patches=(16,), samples=500, image_size=(48, 48), assign="soft")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of stripes, in two splits."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(20):
        rng = np.random.default_rng(number)
        smooth = ndimage.gaussian_filter(rng.normal(size=(50, 60, 3)), ((4, 0.7) if number % 2 else (0.7, 4)) + (0,))
        path = folder / ("train" if number < 14 else "test") / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(np.clip(128 + 200 * smooth, 0, 255))).save(path)
    return folder


@pytest.fixture(scope="module")
def fisher(pictures, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("words") / "fisher.h5"
    vocabulary(str(pictures), path, FISHER)
    return path


@pytest.fixture(scope="module")
def bow(pictures, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("words") / "bow.h5"
    vocabulary(str(pictures), path, BOW)
    return path


def test_its_bytes_depend_on_training_images_alone(pictures, fisher, tmp_path, monkeypatch):
    again = tmp_path / "v.h5"
    other = shutil.copytree(pictures, tmp_path / "other")
    for path in (other / "test").rglob("*.png"):
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    monkeypatch.setattr("fne_cli.steps.vocabulary._TOGETHER", 3)
    done = vocabulary(str(other), again, FISHER, workers=1)
    assert (done.images, done.descriptors) == (14, 600)
    assert again.read_bytes() == fisher.read_bytes()
    with pytest.raises(DifferentOutput, match="seed: 0 in the existing output, 5 asked for"):
        vocabulary(str(other), again, VocabularyOptions(**vars(FISHER) | {"seed": 5}))
    assert vocabulary(str(other), again, FISHER).up_to_date
    shutil.copy(next((pictures / "train" / "a").glob("*.png")), other / "train" / "b" / "new.png")
    assert vocabulary(str(other), again, FISHER).images == 15  # made again, as its images have changed


@pytest.mark.parametrize(("model", "width"), [("fisher", 2 * 4 * 6), ("bow", 9)])
def test_rows_have_the_same_bits_in_any_batch_and_after_a_restart(request, pictures, tmp_path, model, width):
    words, files = request.getfixturevalue(model), [tmp_path / f"{name}.h5" for name in "abc"]
    for path, batch in zip(files, (16, 3), strict=False):
        extract(str(pictures), path, Recipe(model, str(words), batch_size=batch))
    parts = [tmp_path / f"part{number}.h5" for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        extract(str(pictures), part, Recipe(model, str(words)), shard=(number, 3))
    merge(parts, files[2])
    assert files[2].read_bytes() == files[0].read_bytes()
    with open_file(files[0], "activations") as one, open_file(files[1], "activations") as other:
        assert {name: layer.features for name, layer in one.layers.items()} == {
            "cells1x1": width, "cells3x1": 3 * width, "cells2x2": 4 * width
        }  # fmt: skip
        for name, layer in one.layers.items():
            values = layer.read_stored(0, 20)
            assert (values == other.layers[name].read_stored(0, 20)).all()
            np.testing.assert_allclose((values**2).reshape(20, -1, width).sum(axis=2), 1, rtol=1e-5)


def test_words_that_scikit_learn_finds_for_the_descriptors_that_were_drawn(pictures, bow, monkeypatch, tmp_path):
    seen = {}
    learn = "fne_cli.steps.vocabulary.learn_words"

    def noted(rows, words, seed):
        seen["rows"] = rows
        return KMeansLearned(rows, words, seed)

    class KMeansLearned:
        turns, at_rest = 1, True

        def __init__(self, rows, words, seed):
            found = KMeans(words, n_init=1, max_iter=50, random_state=seed).fit(rows)
            self.arrays = {"words": found.cluster_centers_.astype(float), "spread": np.ones(1)}

    monkeypatch.setattr(learn, noted)
    vocabulary(str(pictures), tmp_path / "v.h5", BOW)
    assert seen["rows"].shape == (500, 128) and len(np.unique(seen["rows"], axis=0)) == 500
    with h5py.File(tmp_path / "v.h5") as peer, h5py.File(bow) as ours:
        np.testing.assert_allclose(ours["vocabulary/words"][:], peer["vocabulary/words"][:], atol=1e-5)


def test_histograms_are_scikit_images_and_need_no_vocabulary(pictures, tmp_path):
    extract(str(pictures), tmp_path / "h.h5", Recipe("hog", image_size=(48, 48), layers=("cell8", "cell16")))
    listing = source.list_images(str(pictures), None, "label")
    image = Image.open(listing.files[3]).convert("RGB").resize((48, 48), Image.Resampling.BILINEAR)
    peer = hog(np.asarray(image), 9, (16, 16), (2, 2), "L2-Hys", transform_sqrt=True, channel_axis=2)
    with open_file(tmp_path / "h.h5") as file:
        assert file.settings["descriptors"] == {"orientations": 9}
        stored = file.layers["cell16"].read_stored(3, 4)[0]
        np.testing.assert_allclose(stored, peer, rtol=1e-6)


def test_notebooks_and_forecasts_know_them(pictures, tmp_path):
    recipe = Recipe("hog", layers=("cell32",), batch_size=2)
    listing = source.list_images(str(pictures), None, "label")
    rows = FullNetworkEmbedding("hog", layers=("cell32",), batch_size=2).activations(listing.files[:3])
    extract(str(pictures), tmp_path / "h.h5", recipe)
    with open_file(tmp_path / "h.h5") as file:
        assert (rows == file.layers["cell32"].read_stored(0, 3)).all()
    assert measure(recipe, open_source).features == {"cell32": 1764}


def test_every_command_goes_on_from_there(fne, pictures, fisher, tmp_path):
    words = ("extract", pictures, tmp_path / "f.h5", "--model", "fisher", "--weights", fisher)
    assert fne(*words).code == 0
    for again in (
        ("normalize", tmp_path / "f.h5", tmp_path / "m.h5"),
        ("discretize", tmp_path / "f.h5", tmp_path / "m.h5", tmp_path / "c.h5"),
        ("verify", tmp_path / "c.h5"),
        ("verify", fisher),
    ):
        assert fne(*again).code == 0, again
    assert json.loads(fne("evaluate", tmp_path / "f.h5", "--embedding", "l2", "--json").out)["results"]
    image = next((pictures / "train" / "a").iterdir())
    found = fne("search", tmp_path / "f.h5", image, tmp_path / "s.csv", "-K", 1)  # goes through the same vocabulary
    assert found.code == 0, found.err
    assert f"train/a/{image.name}" in (tmp_path / "s.csv").read_text()
    told = fne("info", fisher).out
    assert "vocabulary   4 words for --model fisher: centre 128, axes 6 x 128" in told


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"model": "fisher"}, "--model fisher should have its vocabulary as --weights. Found: none"),
        ({"model": "bow", "weights": "fisher"}, "should be a vocabulary for --model bow. Found: one for fisher"),
        ({"model": "hog", "weights": "fisher"}, "hog learns nothing"),
        ({"model": "hog", "pool": ("max",)}, "--pool is for networks"),
        ({"model": "hog", "precision": "float16"}, "--precision is for networks"),
        ({"model": "hog", "layers": ("cell9",)}, "hog has no layer 'cell9'. It has: cell8, cell16, cell32"),
        ({"model": "hog", "image_size": (40, 40)}, "at least 64, the side of 2 x 2 of the largest cells"),
        ({"model": "fisher", "weights": "fisher", "image_size": (20, 20)}, "at least 24"),
    ],
)
def test_recipes_that_cannot_be(recipe, said, pictures, fisher, tmp_path):
    given = recipe | ({"weights": str(fisher)} if "weights" in recipe else {})
    with pytest.raises(BadInput, match=said):
        extract(str(pictures), tmp_path / "x.h5", Recipe(**given))
    assert not (tmp_path / "x.h5").exists()


def test_options_that_cannot_be(pictures, tmp_path):
    def learn(**changed):
        return vocabulary(str(pictures), tmp_path / "x.h5", VocabularyOptions(**vars(FISHER) | changed))

    with pytest.raises(WrongOptions, match="--assign is for --model bow"):
        learn(assign="soft")
    with pytest.raises(WrongOptions, match="--components is for --model fisher"):
        learn(model="bow")
    with pytest.raises(BadInput, match="sides of 8 pixels or more"):
        learn(patches=(4,))
    with pytest.raises(DoesNotFit, match="Use fewer --samples"):
        learn(samples=10**13)
    with pytest.raises(BadInput, match="different ones"):
        learn(words=601)
    with pytest.raises(BadInput, match="--rows val should choose at least one image"):
        vocabulary(str(pictures), tmp_path / "x.h5", FISHER, rows="val")
    with pytest.raises(BadInput, match="without a network"):
        from fne_cli.networks.weights import open_network

        open_network("fisher")
    assert not list(tmp_path.iterdir())


def test_bad_images_are_counted(pictures, tmp_path):
    other = shutil.copytree(pictures, tmp_path / "other")
    (other / "train" / "a" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(TooManyBad, match="--max-bad 1"):
        vocabulary(str(other), tmp_path / "v.h5", FISHER)
    assert len(vocabulary(str(other), tmp_path / "v.h5", FISHER, max_bad="1").bad) == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("variances", np.full((4, 6), 0.0), "variances that are not above 0"),
        ("variances", np.full((4, 6), np.nan), "finite numbers"),
        ("weights", np.full(4, 0.5), "weights that are no shares"),
        ("means", np.zeros((3, 6)), "arrays of other lengths"),
        ("axes", np.zeros((6, 64)), "arrays of other lengths"),
        ("means", np.zeros((4, 6, 2)), "2 dimensions"),
        ("centre", None, "should have vocabulary/centre. Found: none"),
    ],
)
def test_a_vocabulary_that_lies_is_refused(name, value, said, pictures, fisher, tmp_path):
    path = shutil.copy(fisher, tmp_path / "v.h5")
    with edited(path) as file:
        del file[f"vocabulary/{name}"]
        if value is not None:
            file[f"vocabulary/{name}"] = value
    with pytest.raises(DamagedFile, match=said):
        extract(str(pictures), tmp_path / "x.h5", Recipe("fisher", str(path)))


def test_settings_that_lie_and_other_files_are_refused(pictures, fisher, tmp_path):
    path = shutil.copy(fisher, tmp_path / "v.h5")
    for changed in ({"patches": [10**9]}, {"model": "x"}, {"image_size": [0, 4]}, {"step": 0}, {"descriptor": 1}):
        with edited(path) as file:
            settings = json.loads(h5py.File(fisher).attrs["settings"]) | changed
            text = json.dumps(settings).encode()
            del file.attrs["settings"]
            file.attrs["settings"] = np.array(text, h5py.string_dtype("utf-8", len(text)))
        with pytest.raises(DamagedFile, match="attribute settings"):
            extract(str(pictures), tmp_path / "x.h5", Recipe("fisher", str(path)))
    extract(str(pictures), tmp_path / "h.h5", Recipe("hog", image_size=(64, 64), layers=("cell32",)))
    with pytest.raises(WrongFile, match=r"should be an fne vocabulary file\. Found: kind=activations"):
        extract(str(pictures), tmp_path / "x.h5", Recipe("fisher", str(tmp_path / "h.h5")))
