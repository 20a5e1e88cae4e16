"""--precision auto: chosen once, written down, and kept by whatever goes on with an output."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext

import h5py
import pytest

from fne_cli.networks.recipe import Recipe
from fne_cli.networks.running import speed
from fne_cli.networks.running.speed import WORTH, Choice, choose
from fne_cli.progress import SILENT
from fne_cli.steps import extract as step
from fne_cli.steps.extract import tasks
from fne_cli.tasks.engine import Cluster


def precision(path) -> str:
    with h5py.File(path) as file:
        return json.loads(file.attrs["settings"])["precision"]


@pytest.fixture
def chosen(monkeypatch):
    """Has bfloat16 chosen, whatever this machine is good at; the recipes that it was chosen for."""
    asked = []

    def choice(recipe):
        asked.append(recipe)
        return Choice("bfloat16", 1.5)

    monkeypatch.setattr(speed, "choose", choice)
    return asked


def test_the_choice_has_the_bytes_of_that_precision_and_is_made_once(extract, photos, tmp_path, chosen):
    output = tmp_path / "a.h5"
    first = extract(photos, output, "--precision", "auto")
    assert (first.code, len(chosen)) == (0, 1)
    assert "computing in bfloat16: here bfloat16 is 1.50 times as fast as float32" in first.err
    assert extract(photos, tmp_path / "b.h5", "--precision", "bfloat16").code == 0
    assert output.read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert "up to date" in extract(photos, output, "--precision", "auto").err
    shutil.copy(photos / "train" / "b" / "05.png", photos / "train" / "b" / "06.png")
    again = extract(photos, output, "--precision", "auto")
    assert (again.code, precision(output), len(chosen)) == (0, "bfloat16", 1)
    assert "up to date" in extract(photos, output, "--precision", "bfloat16").err


def test_what_waits_for_bad_images_to_be_mended_keeps_its_precision(extract, photos, tmp_path, chosen):
    output, image = tmp_path / "a.h5", photos / "train" / "b" / "05.png"
    good = image.read_bytes()
    image.write_bytes(b"nothing")
    assert extract(photos, output, "--precision", "auto").code == 3
    image.write_bytes(good)
    assert extract(photos, output, "--precision", "auto", "--retry-bad").code == 0
    assert (precision(output), len(chosen)) == ("bfloat16", 1)


def test_an_output_of_float32_stays_one_and_is_chosen_for_again_when_it_is_overwritten(
    extract, photos, tmp_path, chosen
):
    output = tmp_path / "a.h5"
    assert extract(photos, output).code == 0
    assert "up to date" in extract(photos, output, "--precision", "auto").err
    assert (precision(output), chosen) == ("float32", [])
    assert extract(photos, output, "--precision", "auto", "--overwrite").code == 0
    assert precision(output) == "bfloat16"


def test_shards_cannot_choose_each_for_itself(extract, photos, tmp_path):
    done = extract(photos, tmp_path / "a.h5", "--precision", "auto", "--shard", "1/2")
    assert done.code == 2
    assert "--precision auto --dry-run" in done.err


def test_a_dry_run_says_which_it_would_be(extract, photos, tmp_path, chosen):
    done = extract(photos, tmp_path / "a.h5", "--precision", "auto", "--dry-run")
    assert (done.code, "computing in bfloat16" in done.err) == (0, True)


def test_workers_of_a_cluster_take_the_choice_of_the_first(network, photos, tmp_path, chosen):
    class Engine:
        workers, threads = 2, 1

        def run(self, function, work, **more):
            do = {"outline": tasks.outline, "extract": tasks.extract_shard}[function]
            for number, settings in enumerate(json.loads(json.dumps(work))):
                yield number, do(settings, SILENT)

    recipe = Recipe(str(network), preprocess="tf", batch_size=4, precision="auto")
    step.extract(str(photos), tmp_path / "a.h5", recipe, cluster=Cluster(lambda: nullcontext(Engine())))
    assert (precision(tmp_path / "a.h5"), len(chosen)) == ("bfloat16", 1)


def test_hand_made_features_have_no_choice(fne, photos, tmp_path):
    assert fne("extract", photos, tmp_path / "a.h5", "--model", "hog", "--precision", "auto").code == 0
    assert precision(tmp_path / "a.h5") == "float32"


def test_bfloat16_is_chosen_if_and_only_if_it_is_clearly_faster(network):
    found = choose(Recipe(str(network), preprocess="tf", batch_size=4, precision="auto"))
    assert found.times > 0
    assert (found.precision == "bfloat16") == (found.times >= WORTH)
