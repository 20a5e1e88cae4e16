"""[projections] of an experiment: learned once for each network, of a dataset or of another, and used by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictures import write_image

from fne_cli.steps.evaluate import FeatureOptions, evaluate
from fne_cli.store.format.reader import open_file

pytestmark = pytest.mark.usefixtures("opened_once")

CONFIG = """
[datasets.noise]
images = "noise"
split = { per_class = 4, seed = 1 }
[datasets.other]
images = "other"
split = { per_class = 5, seed = 2 }
[networks.mini]
model = "mini"
layers = "block1_conv1,fc2"
[projections.own]
components = 5
embedding = "z,root"
whiten = true
exponent = 0.5
[projections.foreign]
dataset = "other"
components = 6
within = true
[embeddings.own]
projection = "own"
[embeddings.foreign]
projection = "foreign"
[protocols.split]
single_layers = false
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(18):
        for place, name in enumerate(("noise", "other")):
            write_image(tmp_path / name / "abc"[number % 3] / f"{number:02d}.png", number + 100 * place, (32, 32))
    (tmp_path / "e.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_is_learned_where_it_says_and_measured_everywhere(fne, folder):
    done = fne("run", "e.toml", "--json")
    assert done.code == 0, done.err
    cells = {(cell["dataset"], cell["embedding"]) for cell in json.loads(done.out)["cells"]}
    assert cells == {(dataset, name) for dataset in ("noise", "other") for name in ("own", "foreign")}
    out = folder / "e-results"
    made = {str(path.relative_to(out)) for path in out.rglob("projection-*.h5")}
    assert made == {
        "noise/mini.avg/projection-own.h5", "other/mini.avg/projection-own.h5", "other/mini.avg/projection-foreign.h5"
    }  # fmt: skip
    with open_file(out / "other/mini.avg/projection-foreign.h5", "projection") as file:
        assert file.settings["embedding"] == "length,pca:6,within,length"
    results = json.loads((out / "noise/mini.avg/foreign.split.json").read_text())
    chosen = FeatureOptions(projection=out / "other/mini.avg/projection-foreign.h5")
    assert results["results"] == evaluate(out / "noise/mini.avg/activations.h5", None, chosen).results["results"]
    again = fne("run", "e.toml", "--dry-run")
    assert (again.code, "to do" in again.out) == (0, False)


@pytest.mark.slow
def test_workers_do_the_same(fne, folder):
    """They are told absolute paths, whatever folder they run in."""
    for name, more in (("one", ()), ("many", ("--cluster", "local:2"))):
        done = fne("run", "e.toml", "--set", f"experiment.output={name}", *more)
        assert done.code == 0, done.err
    one, many = (folder / name / "noise/mini.avg/foreign.split.json" for name in ("one", "many"))
    assert one.read_bytes() == many.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("embeddings.own.projection=onw",), "should be one of [projections.NAME]. Found: 'onw'. Did you mean 'own'?"),
        (("projections.own.dataset=nose",), "should be one of [datasets.NAME]. Found: 'nose'. Did you mean 'noise'?"),
        (("embeddings.own.layers=fc2",), "[embeddings.own] has layers, which the projection says"),
        (("embeddings.own.embedding=l2",), "[embeddings.own] has embedding, which the projection says"),
        (("embeddings.own.recipe=auto",), "has recipe, in the place of which the projection stands"),
        (("projections.own.lda=2",), "[projections.own]: --whiten stands in the place of --lda. Found: both."),
        (("projections.own.embedding=fne",), "[projections.own]: The embedding before a reduction should be made of"),
        (("projections.own.component=2",), "has the unknown key 'component'. Did you mean 'components'?"),
    ],
)
def test_mistakes_are_named_before_the_work(fne, folder, words, said):
    refused = fne("run", "e.toml", "--set", *words)
    assert (refused.code, said in refused.err) == (1, True), refused.err
    assert not (folder / "e-results" / "noise" / "mini.avg").exists()
