"""normalize, discretize, analyze and evaluate on a local cluster: the bytes of one process, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from activations import relu, shards, table, write
from engines import Around, Here, cluster_of
from evaluation_files import evaluate

from fne_cli.errors import BadInput, DamagedFile, DoesNotFit, Stopped
from fne_cli.steps.analyze import analyze
from fne_cli.steps.discretize import discretize
from fne_cli.steps.evaluate import Protocol
from fne_cli.steps.merge import merge
from fne_cli.steps.normalize import normalize
from fne_cli.tasks.engine import Cluster

pytestmark = pytest.mark.slow  # tens of seconds together; tests/clusters/test_engine.py stays


@pytest.fixture(scope="module")
def engine():
    from fne_cli.clusters.engine import DaskEngine

    with DaskEngine.open("local:2") as opened:
        yield opened


def on(engine, **sizes):
    """The engine as a cluster with small tasks, of which there are many."""
    return cluster_of(engine, **{"row_bytes": 4000, "features": 3000, **sizes})


@pytest.fixture
def cluster(engine):
    return on(engine)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Activations of 90 images of four classes, 2 crops each, a bad one among them: whole, and as three shards."""
    folder, values = tmp_path_factory.mktemp("files"), np.random.default_rng(1)
    label = values.integers(0, 4, 90)
    splits = ["test" if number % 3 == 0 else "train" for number in range(90)]
    images = table(90, split=splits, label=label.astype(np.int32), classes="abcd", bad=(4,))
    shift = values.normal(0, 1, (4, 24))[label].repeat(2, axis=0)
    layers = {
        "conv": relu(values, 180, 9),
        "fc1": np.maximum(shift + values.normal(0, 1, (180, 24)), 0).astype(np.float32),
        "fc2": relu(values, 180, 10000),
    }
    parts = shards(folder, layers, images, 3, crops=2)
    merge(parts, folder / "a.h5")
    normalize(folder / "a.h5", folder / "m.h5")
    discretize(folder / "a.h5", folder / "m.h5", folder / "c.h5")
    return SimpleNamespace(
        folder=folder, whole=folder / "a.h5", shards=parts, moments=folder / "m.h5", codes=folder / "c.h5"
    )


def same(one, other):
    assert one.read_bytes() == other.read_bytes()
    assert not other.with_name(other.name + ".parts").exists()


@pytest.fixture(params=["whole", "shards"])
def activations(files, request):
    return getattr(files, request.param)


def test_moments_and_scores(files, activations, cluster, tmp_path):
    one, other = tmp_path / "1", tmp_path / "2"
    one.mkdir(), other.mkdir()
    here = normalize(activations, one / "m.h5", standardized=one / "z.h5")
    there = normalize(activations, other / "m.h5", standardized=other / "z.h5", cluster=cluster)
    assert (here.constant, here.count, here.features) == (there.constant, there.count, there.features)
    same(one / "m.h5", other / "m.h5")
    same(one / "z.h5", other / "z.h5")


@pytest.mark.parametrize("packed", [False, True])
def test_codes(files, activations, cluster, tmp_path, packed):
    here = discretize(activations, files.moments, tmp_path / "1.h5", packed=packed)
    there = discretize(activations, files.moments, tmp_path / "2.h5", packed=packed, cluster=cluster)
    assert here.counts == there.counts
    same(tmp_path / "1.h5", tmp_path / "2.h5")


def test_behavior(activations, cluster, tmp_path):
    options = {"random_classes": 5, "seed": 2, "fdr": True}
    analyze(activations, tmp_path / "1.h5", **options)
    analyze(activations, tmp_path / "2.h5", **options, cluster=cluster)
    same(tmp_path / "1.h5", tmp_path / "2.h5")


def test_small_tasks_are_many(files, tmp_path):
    engine = Here()
    normalize(files.shards, tmp_path / "m.h5", cluster=on(engine))
    discretize(files.shards, files.moments, tmp_path / "c.h5", cluster=on(engine))
    analyze(files.shards, tmp_path / "b.h5", random_classes=2, cluster=on(engine))
    kinds = [name.split("-")[1] for name in engine.given]
    assert min(kinds.count(kind) for kind in ("sums", "rows", "block")) > 3, kinds


EVALUATIONS = {
    "split": ("codes", {}),
    "the best C of a list": ("codes", {"cost": (0.01, 1)}),
    "folds": ("codes", {"protocol": Protocol(cv=3), "each_layer": True}),
    "draws": ("codes", {"protocol": Protocol(per_class=(1, 3), draws=2), "seed": 4}),
    "each layer": ("whole", {"layers": ("conv", "fc1")}),
    "embeddings of each fold": ("whole", {"layers": ("fc1",), "embedding": "fne", "protocol": Protocol(cv=2)}),
    "z-scores, the best C": ("whole", {"layers": ("fc1",), "embedding": "standardized", "cost": (0.1, 1)}),
}


def both(source, folder, cluster, given=None, **options):
    """The files of an evaluation here and there are the same; predictions always, a model if there can be one.

    given: what the cluster gets in place of `source`.
    """
    alone = not {"protocol", "each_layer"} & {*options} and (source.name == "c.h5" or "embedding" in options)
    for name, features, workers in (("1", source, None), ("2", given or source, cluster)):
        own = folder / name
        own.mkdir()
        model = own / "model.npz" if alone else None
        evaluate(features, own / "r.json", predictions=own / "p.csv", model=model, cluster=workers, **options)
    for file in ("r.json", "p.csv", *(["model.npz"] if alone else [])):
        same(folder / "1" / file, folder / "2" / file)


@pytest.mark.parametrize("name", EVALUATIONS)
def test_evaluations(files, cluster, tmp_path, name):
    source, options = EVALUATIONS[name]
    both(getattr(files, source), tmp_path, cluster, **options)


@pytest.mark.parametrize("name", ["each layer", "embeddings of each fold", "z-scores, the best C"])
def test_evaluations_of_shards(files, cluster, tmp_path, name):
    both(files.whole, tmp_path, cluster, given=files.shards[::-1], **EVALUATIONS[name][1])


def test_evaluations_of_codes_of_shards(files, cluster, tmp_path):
    codes = [tmp_path / f"{part.stem}-codes.h5" for part in files.shards]
    for part, made in zip(files.shards, codes, strict=True):
        discretize(part, files.moments, made)
    both(files.codes, tmp_path, cluster, given=codes, protocol=Protocol(cv=3), each_layer=True)


def test_a_split_of_its_own(files, cluster, tmp_path):
    with h5py.File(files.codes) as file:
        paths = [path.decode() for path in file["images/path"]]
    lines = [f"{path},{'test' if number % 2 else 'train'}" for number, path in enumerate(paths)]
    (tmp_path / "s.csv").write_text("\n".join(["path,split", *lines]) + "\n")
    both(files.codes, tmp_path, cluster, protocol=Protocol(split=tmp_path / "s.csv"))


@pytest.fixture
def many_classes(tmp_path, monkeypatch):
    """Codes of 40 classes."""
    monkeypatch.setattr("fne_cli.numerics.svm.solver.FEW_FEATURES", 0)  # else Newton's method takes it
    from evaluation_files import codes_of, noisy
    from evaluation_files import write as write_features

    rows, labels, splits = noisy(count=240, classes=40, features=50)
    codes = codes_of(rows)
    names = tuple(f"{number:02d}" for number in range(40))
    return write_features(tmp_path / "c.h5", {"x": codes[:, :20], "y": codes[:, 20:]}, labels, splits, names)


BLOCKS = {"class_groups": 1, "fit_seconds": 0.0}
"""Sizes by which every fit counts as long, and its blocks are given away."""


@pytest.mark.parametrize(("path", "few_rows"), [("gram", 4096), ("direct", 0)])
def test_blocks_of_classes(many_classes, engine, tmp_path, path, few_rows, monkeypatch):
    monkeypatch.setattr("fne_cli.numerics.svm.solver.FEW_ROWS", few_rows)
    watched = Around(engine)
    both(many_classes, tmp_path, on(watched, **BLOCKS))
    both(many_classes, tmp_path / "1", on(watched, **BLOCKS), cost=(0.1, 1))
    found = json.loads((tmp_path / "1" / "r.json").read_text())["results"]
    assert ({entry["path"] for entry in found}, {*watched.functions}) == ({path}, {"block"})


def test_workers_choose_the_path_as_the_command_does_whatever_their_processors(tmp_path, monkeypatch):
    from evaluation_files import codes_of, noisy
    from evaluation_files import write as write_features

    rows, labels, splits = noisy(features=20)
    source = write_features(tmp_path / "c.h5", {"x": codes_of(rows)}, labels, splits)

    def elsewhere():
        monkeypatch.setattr("fne_cli.machine.processors", lambda: 10_000)  # Newton's method needs memory for each
        return nullcontext(Here())

    monkeypatch.setattr("fne_cli.steps.evaluate.processors", lambda: 2)  # with a hundred the memory is too little
    evaluate(source, tmp_path / "1.json", memory=1_000_000)
    evaluate(source, tmp_path / "2.json", memory=1_000_000, cluster=Cluster(elsewhere))
    same(tmp_path / "1.json", tmp_path / "2.json")
    assert json.loads((tmp_path / "1.json").read_text())["results"][0]["path"] == "newton"
    monkeypatch.setattr("fne_cli.steps.evaluate.processors", lambda: 10_000)
    evaluate(source, tmp_path / "3.json", memory=1_000_000)
    assert json.loads((tmp_path / "3.json").read_text())["results"][0]["path"] == "gram", "the premise of this test"


def test_a_worker_that_is_killed_is_missed_by_nobody(files, engine, tmp_path):
    killed = []

    def kill():
        if len(killed) < 2:
            found = engine._pool._client.run(os.getpid, on_error="return").values()
            killed.append(next(number for number in found if isinstance(number, int)))
            os.kill(killed[-1], signal.SIGKILL)

    normalize(files.shards, tmp_path / "1.h5")
    normalize(files.shards, tmp_path / "2.h5", cluster=on(Around(engine, after=kill)))
    assert len(killed) == 2
    same(tmp_path / "1.h5", tmp_path / "2.h5")


def test_an_interrupted_command_goes_on(files, tmp_path):
    def stop(engine):
        if len(engine.done) == 2:
            raise Stopped("stopped", 143)

    discretize(files.shards, files.moments, tmp_path / "1.h5")
    first, again = Here(stop), Here()
    with pytest.raises(Stopped):
        discretize(files.shards, files.moments, tmp_path / "2.h5", cluster=on(first))
    assert not (tmp_path / "2.h5").exists()
    discretize(files.shards, files.moments, tmp_path / "2.h5", cluster=on(again))
    assert len(again.given) == len(first.given) - 2 > 0
    same(tmp_path / "1.h5", tmp_path / "2.h5")


def test_the_same_files_in_another_order_do_not_go_on_with_what_was_finished(tmp_path):
    def stop(engine):
        if len(engine.done) == 1:
            raise Stopped("stopped", 143)

    rng = np.random.default_rng(5)
    sizes = {"one": 60, "two": 90}
    one, two = (
        write(
            tmp_path / f"{name}.h5",
            {"conv": relu(rng, count, 40)},
            table(count, paths=[f"{name}{n}" for n in range(count)]),
        )
        for name, count in sizes.items()
    )
    normalize([one, two], tmp_path / "1.h5")
    with pytest.raises(Stopped):
        normalize([one, two], tmp_path / "2.h5", cluster=on(Here(stop)))
    normalize([two, one], tmp_path / "2.h5", cluster=on(Here()))
    same(tmp_path / "1.h5", tmp_path / "2.h5")


def test_finished_without_a_cluster_nothing_of_it_is_left(files, tmp_path):
    def stop(engine):
        raise Stopped("stopped", 143)

    for name, step in {
        "m.h5": lambda **more: normalize(files.shards, tmp_path / "m.h5", **more),
        "r.json": lambda **more: evaluate(files.codes, tmp_path / "r.json", protocol=Protocol(cv=3), **more),
    }.items():
        with pytest.raises(Stopped):
            step(cluster=on(Here(stop)))
        parts = tmp_path / f"{name}.parts"
        assert any(parts.iterdir())
        step()
        assert not parts.exists()


@pytest.mark.parametrize("free", [10**6, 10**10])
def test_an_interrupted_evaluation_goes_on_whatever_is_free_then(many_classes, tmp_path, monkeypatch, free):
    def stop(engine):
        if len(engine.done) == 3:
            raise Stopped("stopped", 143)

    monkeypatch.setattr("fne_cli.numerics.svm.solver.FEW_ROWS", 0)  # the path depends on the memory alone
    evaluate(many_classes, tmp_path / "1.json", cost=(0.1, 1))
    monkeypatch.setattr("fne_cli.steps.evaluate.free_memory", lambda: 10**9)
    with pytest.raises(Stopped):
        evaluate(many_classes, tmp_path / "2.json", cost=(0.1, 1), cluster=on(Here(stop), **BLOCKS))
    monkeypatch.setattr("fne_cli.steps.evaluate.free_memory", lambda: free)
    monkeypatch.setattr("fne_cli.steps.evaluate.processors", lambda: 64)
    again = Here()
    evaluate(many_classes, tmp_path / "2.json", cost=(0.1, 1), cluster=on(again, **BLOCKS))
    same(tmp_path / "1.json", tmp_path / "2.json")


def test_an_interrupted_evaluation_in_blocks_goes_on(many_classes, tmp_path):
    def stop(engine):
        if len(engine.done) == 1:
            raise Stopped("stopped", 143)

    evaluate(many_classes, tmp_path / "1.json")
    with pytest.raises(Stopped):
        evaluate(many_classes, tmp_path / "2.json", cluster=on(Here(stop), **BLOCKS))
    again = Here()
    evaluate(many_classes, tmp_path / "2.json", cluster=on(again, **BLOCKS))
    assert len(again.given) == 1
    same(tmp_path / "1.json", tmp_path / "2.json")


def test_an_input_that_workers_do_not_see_is_named(files, engine, tmp_path):
    source = tmp_path / "a.h5"
    source.write_bytes(files.whole.read_bytes())
    with pytest.raises(BadInput, match=r"Worker .* should see .*a\.h5\. Found: no such file there(.|\n)*file system"):
        normalize(source, tmp_path / "m.h5", cluster=on(Around(engine, before=source.unlink)))
    assert not list(tmp_path.iterdir())


def test_another_file_where_the_workers_look_is_named(files, engine, tmp_path):
    source = tmp_path / "a.h5"
    source.write_bytes(files.whole.read_bytes())
    images = table(90, split=["train"] * 90)

    def exchange():
        source.unlink()
        write(source, {"conv": np.ones((180, 9), np.float32)}, images, crops=2)

    with pytest.raises(BadInput, match=r"should see the same .*a\.h5 as the command. Found: another file"):
        normalize(source, tmp_path / "m.h5", cluster=on(Around(engine, before=exchange)))
    assert not (tmp_path / "m.h5").exists()


def test_what_a_worker_finds_wrong_is_said_here(cluster, tmp_path):
    rows = np.ones((90, 9), np.float32)
    rows[50, 3] = np.inf
    source = write(tmp_path / "a.h5", {"conv": rows}, table(90))
    with pytest.raises(DamagedFile, match=r"layer conv, row 50 .* should have finite activations"):
        normalize(source, tmp_path / "m.h5", cluster=cluster)


def test_a_fit_that_no_worker_has_the_memory_for_is_refused(files, tmp_path, monkeypatch):
    monkeypatch.setattr("fne_cli.steps.evaluate.tasks.free_memory", lambda: 1000)
    with pytest.raises(DoesNotFit, match=r"Worker .* of memory for a fit. Found: 0\.0 GiB"):
        evaluate(files.codes, tmp_path / "r.json", cluster=on(Here()))


@pytest.mark.parametrize(("words", "each"), [([], 6.0), (["--cluster", "local:3"], 2.0), (["--memory", "5G"], 5.0)])
def test_local_workers_share_the_memory_of_their_machine(files, fne, tmp_path, monkeypatch, words, each):
    monkeypatch.setattr("fne_cli.clusters.engine.DaskEngine.open", lambda *_: nullcontext(Here()))
    monkeypatch.setattr("fne_cli.steps.evaluate.free_memory", lambda: 12 << 30)
    result = fne("evaluate", files.codes, tmp_path / "r.json", *words)
    assert result.code == 0, result.err
    assert f" of {each:.1f} GiB" in result.err


def test_evaluate_says_that_a_cluster_needs_a_place_for_parts(files, fne):
    result = fne("evaluate", files.codes, "--cluster", "local:2")
    assert (result.code, "beside the file RESULTS" in result.err) == (2, True)


def test_the_command_starts_workers_of_its_own(files, fne, tmp_path):
    normalize(files.whole, tmp_path / "1.h5", standardized=tmp_path / "z1.h5")
    command = ("normalize", *files.shards, tmp_path / "2.h5", "--standardized", tmp_path / "z2.h5")
    result = fne(*command, "--cluster", "local:1")
    assert result.code == 0, result.err
    assert result.err.count("dashboard") == 1, "both outputs should be made by the same workers"
    same(tmp_path / "1.h5", tmp_path / "2.h5")
    same(tmp_path / "z1.h5", tmp_path / "z2.h5")
    again = fne("normalize", *files.shards, tmp_path / "2.h5", "--cluster", "local:1")
    assert "up to date" in again.err
    assert "dashboard" not in again.err, "nothing to do, so nobody should be started"


def test_without_a_cluster_dask_is_not_loaded(files, tmp_path):
    code = (
        "import sys; from fne_cli.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print([name for name in ('dask', 'distributed') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, "evaluate", files.codes, tmp_path / "r.json", "-q", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
