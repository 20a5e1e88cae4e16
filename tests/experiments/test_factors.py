"""fne run with [factors]: chosen without the test images, measured on them; what each factor does."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from commands import carry_out
from PIL import Image
from scipy.stats import weightedtau

from fne_cli.errors import DamagedFile
from fne_cli.experiments.varied.factors import Factors
from fne_cli.steps.report.varied import factor_tables
from fne_cli.store.other.results import read_results
from fne_cli.store.output.sealed import with_digest, without_digest

pytestmark = pytest.mark.usefixtures("opened_once")

CONFIG = """
[experiment]
output = "out"
[datasets.noise]
images = "noise"
[networks.mini]
model = "mini"
layers = "block1_conv1,block2_conv1,fc2"
[rank]
neighbours = 3
[factors]
layers = ["fc2", "all"]
values = ["raw", "fne"]
pca = [0, 2]
whiten = [false, true]
classifier = ["svm", "ridge"]
cost = [1, 0.1]
validation = 0.34
"""
FACTORS = ("network", "layers", "pool", "crops", "values", "l2", "pca", "whiten", "classifier", "cost")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of colours that overlap: 6 images of each to train on, 4 to test."""
    folder = tmp_path_factory.mktemp("factors")
    values = np.random.default_rng(5)
    for label, number in itertools.product(range(3), range(10)):
        middle = 110 + 12 * label + values.normal(0, 9)
        pixels = values.normal(middle, 40, (32, 32, 3)).clip(0, 255).astype(np.uint8)
        path = folder / "noise" / ("test" if number > 5 else "train") / "abc"[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / "f.toml").write_text(CONFIG)
    carry_out("run", "f.toml", "-q", at=folder)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, the current folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_setting_is_measured_once_without_the_test_images(finished):
    found = rows(finished / "out" / "settings.csv")
    # of raw: layers x (all, 2, 2 whitened) x (two costs, ridge); of codes: layers x classifiers
    assert len(found) == 2 * 3 * 3 + 2 * 3
    assert len({tuple(row[key] for key in FACTORS) for row in found}) == len(found)
    assert {row["embedding"] for row in found if row["values"] == "raw"} == {
        "length", "length,pca:2,length", "length,pca:2,whiten,length",
    }  # fmt: skip
    assert {(row["l2"], row["pca"], row["whiten"]) for row in found if row["values"] == "fne"} == {("", "", "")}
    assert {row["cost"] for row in found if row["classifier"] == "ridge"} == {""}
    chosen = {row["path"]: row["split"] for row in rows(finished / "out" / "noise" / "validation.csv")}
    assert {split for path, split in chosen.items() if "test/" in path} == {""}
    assert [list(chosen.values()).count(split) for split in ("train", "test")] == [12, 6]
    (standard,) = (row for row in found if row["standard"] == "True")
    assert [standard[key] for key in FACTORS] == ["mini", "fc2", "avg", "1", "raw", "yes", "0", "", "svm", "1"]


def test_the_best_one_is_chosen_and_then_tested(folder, fne):
    found = rows(folder / "out" / "settings.csv")
    scores = [float(row["held_out"]) for row in found]
    best = found[scores.index(max(scores))]  # of equal ones the first
    assert [row for row in found if row["optimised"] == "True"] == [best]
    (gain,) = json.loads((folder / "out" / "results.json").read_text())["factors"]["datasets"]
    assert gain["optimised"]["embedding"] == best["embedding"]
    assert gain["optimised"]["held_out"] == max(scores)
    assert gain["equal"] == scores.count(max(scores))
    options = ["--embedding", best["embedding"], "--classifier", best["classifier"]]
    options += ["-C", best["cost"]] if best["cost"] else []
    options += [] if best["layers"] == "all" else ["--layers", best["layers"]]
    again = fne("evaluate", "out/noise/mini.avg/activations.h5", "again.json", *options)
    assert again.code == 0, again.err
    tested = json.loads(Path("again.json").read_text())["results"][0]["mean_per_class_accuracy"]
    assert gain["optimised"]["test"] == tested
    standard = gain["standard"]["test"]
    assert gain["difference"] == pytest.approx(tested - standard)
    assert gain["error_reduction"] == pytest.approx((tested - standard) / (1 - standard))
    layers = json.loads((folder / "out/noise/mini.avg/layers.validation-layers.json").read_text())["results"]
    values = [entry["mean_per_class_accuracy"] for entry in layers]
    assert gain["drop"] == pytest.approx(max(values) - values[-1])


def test_effects_are_means_over_settings_that_differ_in_nothing_else(finished):
    """Against the table of settings, read as text."""
    found = rows(finished / "out" / "settings.csv")
    usual = {"l2": "yes", "pca": "0", "whiten": "no", "cost": "1"}
    full = [{key: row[key] or usual.get(key, "") for key in FACTORS} for row in found]
    scores = {tuple(row.values()): float(line["held_out"]) for row, line in zip(full, found, strict=True)}
    effects = json.loads((finished / "out" / "results.json").read_text())["factors"]["effects"]
    assert [(one["factor"], one["value"]) for one in effects] == [
        ("layers", "all"), ("values", "fne"), ("pca", "2"), ("whiten", "yes"), ("classifier", "ridge"), ("cost", "0.1"),
    ]  # fmt: skip
    for one in effects:
        apart = [
            scores[tuple(row.values())] - scores[tuple((row | {one["factor"]: one["standard"]}).values())]
            for row, line in zip(full, found, strict=True)
            if line[one["factor"]] == one["value"]
            and tuple((row | {one["factor"]: one["standard"]}).values()) in scores
        ]
        assert one["pairs"] == len(apart)
        assert one["difference"] == pytest.approx(statistics.mean(apart))
        assert one["difference_std"] == pytest.approx(statistics.stdev(apart))
    assert [row["value"] for row in rows(finished / "out" / "effects.csv")] == [one["value"] for one in effects]


def test_the_ranking_is_held_against_what_was_measured(finished):
    table = json.loads((finished / "out" / "results.json").read_text())
    (found,) = table["agreement"]
    layers = [row for row in table["results"] if row["embedding"] == "layers"]
    ranked = {row["layer"]: row for row in rows(finished / "out" / "noise" / "mini.avg" / "rank.csv")}
    assert (found["of"], found["count"], len(ranked)) == ("layers", 3, 4)
    for measure in ("log_me", "evidence", "h_score", "neighbours_accuracy"):
        assert [row[measure] for row in layers] == [float(ranked[row["name"]][measure]) for row in layers]
        ours, theirs = ([row[key] for row in layers] for key in (measure, "mean_per_class_accuracy"))
        expected = weightedtau(ours, theirs).statistic if len(set(theirs)) > 1 and len(set(ours)) > 1 else None
        assert found[measure] == expected


def test_nothing_is_done_twice_and_what_cannot_be_done_costs_nothing_else(folder, fne):
    again = fne("run", "f.toml")
    assert again.code == 0, again.err
    assert "30 up to date" in again.err
    assert "to do" not in fne("run", "f.toml", "--dry-run").out
    more = fne(
        "run", "f.toml", "--set", "factors.pca=[0,2,50]", "--set", 'factors.values=["raw"]', "--set", "factors.cost=[1]"
    )
    assert more.code == 1
    assert "pca:50 should be at most pca:11. Found: 12 training rows" in more.err
    # the dry run knows, of the lists that are there and of those that are not
    for output in ("out", "other"):
        own = ("--set", f"experiment.output={output}", "--set", "factors.pca=[0,11,12]", "--dry-run", "--json")
        planned = json.loads(fne("run", "f.toml", *own).out)["plan"]
        impossible = {one["detail"].partition(" training rows")[0] for one in planned if one["state"] == "impossible"}
        assert impossible == {"pca:12 should be at most pca:11. Found: at most 12"}
        assert any("pca11" in str(one) and one["state"] == "to do" for one in planned)
    table = json.loads(Path("out/results.json").read_text())
    assert (table["factors"]["settings"], table["factors"]["missing"]) == (2 * 3 * 2, 2 * 2 * 2)


@pytest.mark.slow
def test_averages_of_a_grid_that_is_there_are_not_extracted(folder, fne):
    """mini's maps have even sides. Of the same settings the scores are those of averages that were extracted."""
    pools = ("--set", 'factors.pool=["avg","avg:2"]', "--set", "experiment.output=grid")
    done = fne("run", "f.toml", *pools)
    assert done.code == 0, done.err
    assert [path.parent.name for path in Path("grid").rglob("activations.h5")] == ["mini.avg-2"]
    own, other = (
        {tuple(row[key] for key in FACTORS): row["held_out"] for row in rows(Path(place) / "settings.csv")}
        for place in ("grid", "out")
    )
    assert {key: own[key] for key in other} == other
    assert "to do" not in fne("run", "f.toml", *pools, "--dry-run").out


@pytest.mark.slow
def test_the_dry_run_counts_the_fits_before_there_is_anything(folder, fne):
    done = fne("run", "f.toml", "--dry-run", "--set", "experiment.output=other")
    assert done.code == 0, done.err
    # 24 settings, the standard on test images, single layers; a list, an extraction and a ranking
    assert "29 to do" in done.out.splitlines()[-1], done.out


def test_the_page_has_them(folder, fne):
    done = fne("report", "out", "page.html", "--figures", "figures")
    assert done.code == 0, done.err
    page = Path("page.html").read_text()
    assert "Standard against optimised: 24 settings" in page
    assert "What each factor does" in page
    assert "Ranking without training" in page
    assert Path("figures/effects.png").read_bytes()[:4] == b"\x89PNG"
    assert Path("figures/effects.svg").stat().st_size > 1000
    (factors,) = factor_tables([read_results(Path("out"))])
    assert dict(factors.standard)["values"] == "raw"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda own: own["datasets"][0].update(difference=7), "difference should be a number in -1 ... 1. Found: 7"),
        (lambda own: own["datasets"][0].update(difference_95=[0]), "difference_95 should be two numbers"),
        (lambda own: own["datasets"][0].update(significant="yes"), "significant should be true or false"),
        (lambda own: own["datasets"][0]["standard"].update(setting=3), "setting should be a JSON object"),
        (lambda own: own["effects"][0].update(mean=None), "should be a number"),
        (lambda own: own.update(names=[1]), "names should be texts"),
    ],
)
def test_what_a_file_claims_of_factors_is_looked_at(finished, tmp_path, spoil, said):
    table = without_digest(json.loads((finished / "out" / "results.json").read_text()))
    spoil(table["factors"])
    (tmp_path / "results.json").write_text(json.dumps(with_digest(table)))
    with pytest.raises(DamagedFile) as caught:
        read_results(tmp_path / "results.json")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pca = 64", "[factors] pca: should be a list of values, the standard first, found 64"),
        ("pca = [1.5]", "[factors] pca: should have numbers of components"),
        ("pca = [2, 2]", "should have every value once"),
        ("whiten = ['yes']", "should have true and false"),
        ("values = ['z,pca:3']", "should have pieces of values and layers"),
        ("values = ['l2']", "should have pieces of values and layers"),
        ("classifier = ['forest']", "[factors] classifier: should be svm, ridge"),
        ("cost = [0]", "[factors] cost: should be numbers above 0"),
        ("cost = ['0.1,1']", "[factors] cost: should have one number in every place, such as [1, 0.1], found '0.1,1'"),
        ("cost = [1, 2]\nclassifier = ['ridge', 'lda']", "[factors] cost should go with classifier svm or logistic."),
        ("whiten = [true]", "[factors] whiten should go with pca with a number of components"),
        ("pca = [0, 9]\nvalues = ['fne']", "[factors] pca should go with values other than fne. Found: none"),
        ("crops = [2]", "[factors] crops"),
        ("validation = 2", "should be a share of the training images such as 0.2, found 2"),
        ("depth = [1]", "has the unknown key 'depth'"),
        ("pca = [0]\n[protocols.p]\ncv = 3", "stands in the place of [protocols.NAME]. Found: both"),
        (f"pca = {list(range(3000))}\nl2 = [true, false]", "at most 5,000 combinations. Found: 6,000"),
        ("l2 = [true]\n[evaluate]\npenalty = [1]", "[evaluate] has penalty, which only the classifier ridge takes"),
    ],
)
def test_a_mistake_in_factors_is_named(fne, tmp_path, text, said):
    head = "[datasets.d]\nimages = 'x'\n[networks.n]\nmodel = 'mini'\n[factors]\n"
    (tmp_path / "f.toml").write_text(head + text + "\n")
    done = fne("config", "show", tmp_path / "f.toml")
    assert (done.code, said in done.err) == (1, True), done.err


def test_what_a_setting_becomes():
    """l2 before and behind the reduction; what makes no difference has its standard value, and a name of its own."""
    values = {
        "layers": ((), ("fc*",)),
        "pool": (("avg",), ("avg:2",)),
        "crops": (1, 10),
        "values": ("z", "fne"),
        "l2": (False, True),
        "pca": (64, 0),
        "whiten": (True,),
        "classifier": ("svm", "ridge"),
        "cost": (1.0,),
    }
    factors = Factors(values, 0.2)
    assert factors.standard.embedding == "z,pca:64,whiten"
    found = {factors.name(one): one for one in factors.settings}
    assert {name: found[name].embedding for name in found if name.startswith("all")} == {
        "all_z_pca64_whiten": "z,pca:64,whiten",
        "all_z": "z",
        "all_z_l2_pca64_whiten": "z,length,pca:64,whiten,length",
        "all_z_l2": "z,length",
        "all_fne": "fne",
    }
    assert {factors.pooling(one) for one in factors.settings} == {"avg", "avg-2", "avg-crops10", "avg-2-crops10"}
    assert len(factors.settings) == 2 * 2 * 2 * 2 * (4 + 1)
