"""fne plot: a behavior file becomes a folder of figures, once, and again only if asked to."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from activations import relu, table, write
from edited_files import edited
from pictures import write_image

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, WrongFile
from fne_cli.steps import plot as module
from fne_cli.steps.analyze import analyze
from fne_cli.steps.plot import EXEMPLARS, FIGURES, plot

CLASSES = ["$x^2$ <b>", "a\nb", "long " * 100, "none of them"]
NAMES = sorted(f"{name}.{ending}" for name in FIGURES for ending in ("png", "svg"))


@pytest.fixture
def photos(tmp_path):
    """36 images of three classes, the second of which co$nv:2 knows; the fourth class is empty. Test images besides."""
    rng = np.random.default_rng(0)
    label = (np.arange(48) % 3).astype(np.int32)
    paths = [f"c/{number:02d}.png" for number in range(48)]
    images = table(48, paths=paths, split=["train"] * 36 + ["test"] * 12, label=label, classes=CLASSES)
    for number, path in enumerate(paths):
        file = write_image(tmp_path / "photos" / path, number)
        images.sha256[number] = hashlib.sha256(file.read_bytes()).hexdigest()
    conv = relu(rng, 48, 5)
    conv[label == 1, 2] += conv.max()
    conv[:, 4] = np.arange(48)  # the test images excite it most
    return write(tmp_path / "photos.h5", {"co$nv": conv, "fc": relu(rng, 48, 6)}, images, settings={"resize": "crop"})


@pytest.fixture
def behavior(photos, tmp_path):
    analyze(photos, tmp_path / "behavior.h5", random_classes=5)
    return tmp_path / "behavior.h5"


@pytest.fixture
def drawn(monkeypatch):
    """What the figures were asked to show, in place of drawing it."""
    from fne_cli.figures.drawn import classes, exemplars, layers, pairs

    calls = {}

    def instead(name):
        def draw(png, svg, **tables):
            calls[name] = tables
            for path in (png, svg):
                path.write_bytes(b"drawn")

        return draw

    for room in (classes, exemplars, layers, pairs):
        for name in {*FIGURES, EXEMPLARS} & set(vars(room)):
            monkeypatch.setattr(room, name, instead(name))
    return calls


def found(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("plot.run"))


def test_the_command_draws_every_figure(fne, behavior, photos, tmp_path):
    folder = tmp_path / "new" / "figures"
    result = fne("plot", behavior, folder, "--activations", photos, "--images", tmp_path / "photos")
    assert (result.code, result.out) == (0, "")
    assert found(folder) == sorted([*NAMES, f"{EXEMPLARS}.png", f"{EXEMPLARS}.svg"])
    assert all((folder / name).stat().st_size > 2000 for name in found(folder))
    states = [(folder / name).stat().st_mtime_ns for name in found(folder)]
    again = fne("plot", behavior, folder, "--activations", photos, "--images", tmp_path / "photos")
    assert "up to date" in again.err
    again = fne("plot", behavior, folder, "--activations", photos, "--images", tmp_path / "photos", "--json")
    assert json.loads(again.out)["up_to_date"] and "exemplars" in json.loads(again.out)["figures"]
    assert states == [(folder / name).stat().st_mtime_ns for name in found(folder)]


def test_the_tables_are_those_of_the_file(behavior, drawn, tmp_path):
    plot(behavior, tmp_path / "figures")
    with h5py.File(behavior) as file:
        s = np.concatenate([file[f"layers/{name}/s"][:] for name in ("co$nv", "fc")])[:, :3]
        label = np.concatenate([file[f"layers/{name}/label"][:] for name in ("co$nv", "fc")])[:, :3]
        edges, presence = file["thresholds/edges"][:], file["thresholds/presence"][:]
        low, high = (file["thresholds"].attrs[name] for name in ("low", "high"))
        limit = file["null/threshold"][:3]
    assert drawn["shares_by_class"]["classes"] == CLASSES[:3]
    assert drawn["shares_by_class"]["counts"].tolist() == [
        [(column == value).sum() for value in (1, -1, 0)] for column in label.T
    ]
    assert drawn["shares_by_layer"]["layers"] == drawn["s_by_layer"]["layers"] == ["co$nv", "fc"]
    assert drawn["shares_by_layer"]["counts"].sum() == s.size == drawn["s_by_layer"]["counts"].sum()
    above = drawn["surviving"]
    np.testing.assert_allclose(above["above"][0, 0], (s > 0).mean())
    # at the noise level of the labels the curves pass through their shares
    level = np.searchsorted(above["levels"], 1 - above["chance"] - 1e-9)
    assert above["beyond"][0, level] == pytest.approx((s > limit.astype(np.float32)).mean(), abs=0.07)
    assert above["chance"] <= 0.05
    sets = drawn["z_sets"]
    np.testing.assert_array_equal(sets["edges"], edges)
    np.testing.assert_array_equal(sets["counts"]["presence"], presence)
    np.testing.assert_equal(sets["found"], (low, high))
    assert sets["published"] == (-0.25, 0.15)
    assert sorted(drawn["dendrogram"]["leaves"]) == sorted(CLASSES[:3])


def test_exemplars_are_the_training_images_that_excite_most(behavior, photos, drawn, tmp_path):
    options = {"activations": photos, "images": str(tmp_path / "photos")}
    plot(behavior, tmp_path / "figures", **options, features=["co$nv:4"])
    (strip,) = drawn[EXEMPLARS]["strips"]
    assert strip.feature == "co$nv:4"
    assert strip.captions == [CLASSES[number % 3] for number in range(35, 27, -1)]
    assert all(image.shape == (160, 160, 3) for image in strip.images)
    plot(behavior, tmp_path / "others", **options)
    strips = drawn[EXEMPLARS]["strips"]
    assert strips[0].feature == "co$nv:2"
    assert (strips[0].classes[0][0], strips[0].captions) == (CLASSES[1], [CLASSES[1]] * 8)
    assert len({strip.feature for strip in strips}) == len(strips) <= 3


@pytest.mark.parametrize(
    "ending", ["", "x", ":", "co$nv:5", "co$nv:-1", "co$nv:1e3", "co$nv:²", "fc:99999999999999", "2:fc"]
)
def test_a_feature_that_does_not_exist(behavior, photos, tmp_path, ending):
    with pytest.raises(BadInput, match="--features should"):
        plot(behavior, tmp_path / "f", activations=photos, images=str(tmp_path), features=[ending])


def test_images_of_another_extraction(behavior, photos, tmp_path):
    other = write(tmp_path / "other.h5", {"fc": np.ones((4, 6), np.float32)}, table(4))
    with pytest.raises(WrongFile, match="should be the file that"):
        plot(behavior, tmp_path / "f", activations=other, images=str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="should have the images of"):
        plot(behavior, tmp_path / "f", activations=photos, images=str(tmp_path / "empty"))
    assert found(tmp_path / "f") == []


def test_options_that_belong_together(fne, behavior, photos, tmp_path):
    for options in (["--activations", photos], ["--images", tmp_path], ["--features", "fc:1"]):
        result = fne("plot", behavior, tmp_path / "f", *options)
        assert (result.code, "--activations" in result.err, (tmp_path / "f").exists()) == (1, True, False)


def test_other_figures_are_not_replaced_unasked(behavior, photos, drawn, tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "z_sets.svg").write_text("mine")
    with pytest.raises(DifferentOutput, match=re.escape("z_sets.svg")):
        plot(behavior, folder)
    assert found(folder) == ["z_sets.svg"]
    with pytest.raises(DifferentOutput, match=r"z_sets\.svg exists, so it should be the figure that fne has drawn"):
        plot(behavior, folder, overwrite=True)
    assert (folder / "z_sets.svg").read_text() == "mine"
    (folder / "z_sets.svg").unlink()
    plot(behavior, folder)
    assert found(folder) == NAMES
    assert not plot(behavior, folder, overwrite=True).up_to_date
    analyze(photos, tmp_path / "strict.h5", random_classes=5, alpha=0.01)
    with pytest.raises(DifferentOutput):
        plot(tmp_path / "strict.h5", folder)


def test_a_copy_of_the_folder_is_up_to_date(behavior, tmp_path):
    """Its files have other times, and the same bytes."""
    plot(behavior, tmp_path / "figures")
    folder = tmp_path / "copied"
    shutil.copytree(tmp_path / "figures", folder, copy_function=shutil.copyfile)
    os.utime(folder / f"{FIGURES[0]}.png", ns=(0, 0))
    assert not plot(behavior, folder, overwrite=True).up_to_date
    os.utime(folder / f"{FIGURES[0]}.png", ns=(10**18, 10**18))
    assert plot(behavior, folder).up_to_date


def test_an_interrupted_run_goes_on_and_a_lost_figure_comes_back(behavior, drawn, monkeypatch, tmp_path):
    from fne_cli.figures.drawn import pairs

    def stops(png, svg, **tables):
        png.write_bytes(b"half")
        raise KeyboardInterrupt

    folder = tmp_path / "figures"
    with monkeypatch.context() as patch:
        patch.setattr(pairs, "z_sets", stops)
        with pytest.raises(KeyboardInterrupt):
            plot(behavior, folder)
    assert not [name for name in found(folder) if "z_sets" in name or "partial" in name]
    assert not plot(behavior, folder).up_to_date
    assert found(folder) == NAMES
    (folder / "surviving.png").unlink()
    assert not plot(behavior, folder).up_to_date
    assert plot(behavior, folder).up_to_date
    assert set(json.loads((folder / "plot.run.json").read_text())["figures"]) == set(FIGURES)


def test_without_matplotlib(fne, behavior, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else real(name, *more)
    )
    result = fne("plot", behavior, tmp_path / "figures")
    assert result.code == 1
    assert result.err == "fne: fne plot needs matplotlib, which is not installed. pip install 'fne-cli[report]'\n"
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize(("quiet", "said"), [([], "Matplotlib created a temporary cache directory"), (["-q"], "")])
def test_with_q_matplotlib_says_nothing_of_its_cache(behavior, tmp_path, quiet, said):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "fne_cli", "plot", *quiet, behavior, tmp_path / "figures"],
        env={**os.environ, "MPLCONFIGDIR": str(tmp_path / "file/cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stderr if said else done.stderr == ""


def test_a_folder_that_cannot_be_made(fne, behavior, tmp_path):
    (tmp_path / "file").write_text("")
    result = fne("plot", behavior, tmp_path / "file" / "figures")
    assert (result.code, "should be a folder for figures" in result.err) == (1, True)


def test_a_file_of_another_kind(fne, photos, tmp_path):
    result = fne("plot", photos, tmp_path / "figures")
    assert (result.code, "Run fne analyze first" in result.err) == (1, True)


@pytest.mark.parametrize("edges", [np.array([-1e300, 1e300]), np.array([0, 1e-300]), np.array([0, 1e16])])
def test_histograms_that_no_axis_can_show(behavior, drawn, tmp_path, edges):
    with edited(behavior) as file:
        for name in ("edges", "absence", "uncharacteristic", "presence"):
            del file["thresholds"][name]
            values = edges if name == "edges" else np.ones(1, np.int64)
            file["thresholds"].create_dataset(name, data=values, chunks=values.shape)
    with pytest.raises(DamagedFile, match="should have histograms"):
        plot(behavior, tmp_path / "figures")


def test_no_class_compared(behavior, drawn, tmp_path):
    with edited(behavior) as file:
        file["null/threshold"][...] = np.nan
    with pytest.raises(DamagedFile, match="should compare classes"):
        plot(behavior, tmp_path / "figures")
