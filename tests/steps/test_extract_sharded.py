"""An extraction cut into shards: how many, what a plan of another run means, what is left behind. No cluster."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.errors import BadInput, Busy, DifferentOutput, DoesNotFit, TooManyBad
from fne_cli.images.lists import source
from fne_cli.images.lists.slices import read_slice, write_slice
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import SILENT
from fne_cli.steps import extract as step
from fne_cli.steps.extract import RunOptions, tasks
from fne_cli.steps.extract.request import ExtractionRequest
from fne_cli.steps.extract.sharded import ShardedExtraction, shard_count
from fne_cli.store.many.merged import Shards, write_merged
from fne_cli.tasks.engine import Cluster

pytestmark = pytest.mark.slow  # tens of seconds together; tests/clusters/test_engine.py stays


@pytest.mark.parametrize(
    ("images", "workers", "count"),
    [(1797, 2, 2), (1, 4, 1), (100_000, 2, 16), (1_281_167, 40, 313), (1_281_167, 2, 20), (100_000_000, 40, 500)],
)
def test_how_many_shards(images, workers, count):
    assert shard_count(images, workers) == count


@given(st.integers(1, 10**9), st.integers(1, 400))
def test_never_more_shards_than_images_or_open_files_never_fewer_than_workers(images, workers):
    count = shard_count(images, workers)
    assert min(images, workers) <= count <= min(images, 500)


def test_a_given_size_of_shards():
    assert shard_count(100, 8, 7) == 15
    with pytest.raises(BadInput, match=r"at most 500 shards. Found: 1,000"):
        shard_count(1000, 1, 1)


def test_a_slice_comes_back_as_it_was(tmp_path, photos, monkeypatch):
    manifest = tmp_path / "m.jsonl"
    rows = [
        {"path": f"photos/{n}\udcff.png", "labels": ["a", "b"][: n % 3], "ignore": ["c"] if n % 2 else []}
        for n in range(5)
    ]
    rows[2] |= {"x0": 0.1, "y0": 0, "x1": 1 / 3, "y1": 7}
    manifest.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "photos" / os.fsdecode(b"0\xff.png")).touch()
    whole = source.list_images(str(manifest))
    part = whole.shard(0, 2)
    write_slice(part, tmp_path / "slice.json")
    monkeypatch.chdir("/")
    again = read_slice(tmp_path / "slice.json")
    for name in ("ids", "files", "splits", "labels", "ignored", "classes", "several"):
        assert getattr(again, name) == getattr(part, name), name
    np.testing.assert_array_equal(again.boxes, part.boxes)
    assert again.spans is None


@pytest.fixture
def recipe(network):
    return Recipe(model=str(network), preprocess="tf", batch_size=4)


def extract(images, output, recipe, **options):
    return step.extract(images, output, recipe, RunOptions(**options))


def sharded(images, output, recipe, **options):
    options = RunOptions(**{"shard_rows": 9, **options})
    return ShardedExtraction(ExtractionRequest(source.list_images(images), output, recipe, options), SILENT)


def without_workers(images, output, recipe, **options):
    """What the command with --cluster does when there is nothing for workers to do."""
    cluster = Cluster(lambda: pytest.fail("workers were asked for"))
    return step.extract(images, output, recipe, RunOptions(**options), cluster=cluster)


class Here:
    """Does in this process what workers would do."""

    def __init__(self, extraction: ShardedExtraction) -> None:
        self.extraction = extraction

    def outline(self):
        return tasks.outline(json.loads(json.dumps(self.extraction.outline_task())), SILENT)

    def run(self, only=None):
        with self.extraction.output:
            todo = self.extraction.begin(self.outline(), 2)
            for number, task in enumerate(todo):
                if only is None or number in only:
                    tasks.extract_shard(json.loads(json.dumps(task)), SILENT)
            if only is not None:
                return None
            with Shards(self.extraction.shards) as shards:
                write_merged(shards, self.extraction.merged, 1000, SILENT)
            return self.extraction.finish(1.0)


def test_the_whole_has_the_bytes_of_one_process_and_is_up_to_date_for_it(photos, recipe, tmp_path):
    extract(str(photos), tmp_path / "one.h5", recipe)
    output = tmp_path / "a.h5"
    done = Here(sharded(str(photos), output, recipe)).run()
    assert (done.images, done.bad) == (26, [])
    assert output.read_bytes() == (tmp_path / "one.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("a.h5*")) == ["a.h5", "a.h5.run.json"]
    assert extract(str(photos), output, recipe).up_to_date
    assert without_workers(str(photos), output, recipe).up_to_date
    record = json.loads((tmp_path / "a.h5.run.json").read_text())
    assert sum(run["images"] for run in record["runs"]) == 26


class Asked(Exception):
    """A worker was asked for something."""


@pytest.mark.parametrize(("local", "given", "each"), [(1, None, None), (4, None, 1000), (4, 500, 500), (1, 500, 500)])
def test_local_workers_share_the_memory_for_decoding(photos, recipe, tmp_path, monkeypatch, local, given, each):
    monkeypatch.setattr("fne_cli.steps.extract.sharded.free_memory", lambda: 8000)
    extraction = sharded(str(photos), tmp_path / "a.h5", recipe, decode_memory=given)
    found = []

    class Engine:
        workers, threads = local, 1

        def run(self, function, tasks, **more):
            if function == "outline":
                yield 0, Here(extraction).outline()
            else:
                found.extend(task["options"]["decode_memory"] for task in tasks)
                raise Asked

    with pytest.raises(Asked):
        extraction.extract(Cluster(lambda: nullcontext(Engine()), local_workers=local))
    assert found == [each] * 3


def test_shards_that_have_begun_are_used_whatever_size_is_asked_for_now(photos, recipe, tmp_path):
    output = tmp_path / "a.h5"
    Here(sharded(str(photos), output, recipe)).run(only=[1])
    again = sharded(str(photos), output, recipe, shard_rows=2)
    with again.output:
        again.begin(Here(again).outline(), 7)
    assert (again.count, again.done(), again.sizes()) == (3, [0, 9, 0], [9, 9, 8])
    with pytest.raises(DifferentOutput, match="resize"):
        Here(sharded(str(photos), output, Recipe(**recipe.as_dict() | {"resize": "crop"}))).run()
    (photos / "train" / "b" / "05.png").unlink()
    assert Here(sharded(str(photos), output, recipe)).run().images == 25
    extract(str(photos), tmp_path / "one.h5", recipe)
    assert output.read_bytes() == (tmp_path / "one.h5").read_bytes()


def test_too_many_bad_wait_and_are_accepted_by_either_command(photos, recipe, tmp_path):
    (photos / "train" / "b" / "05.png").write_bytes(b"")
    (photos / "train" / "b" / "13.png").write_bytes(b"no")
    extract(str(photos), tmp_path / "one.h5", recipe, max_bad="2")
    for name, accept in (
        ("a.h5", lambda path: extract(str(photos), path, recipe, max_bad="2")),
        ("b.h5", lambda path: without_workers(str(photos), path, recipe, max_bad="10%")),
    ):
        output = tmp_path / name
        with pytest.raises(TooManyBad, match=r"2 of 26 images are bad:\n  train/b/05.png: 0 bytes"):
            Here(sharded(str(photos), output, recipe, max_bad="1")).run()
        assert sorted(path.name for path in tmp_path.glob(f"{name}*")) == [f"{name}.partial", f"{name}.partial.json"]
        assert len(accept(output).bad) == 2
        assert output.read_bytes() == (tmp_path / "one.h5").read_bytes()


def test_retry_bad_is_one_task_when_all_images_are_there(photos, recipe, tmp_path):
    output, image = tmp_path / "a.h5", photos / "train" / "b" / "05.png"
    content = image.read_bytes()
    image.write_bytes(b"")
    with pytest.raises(TooManyBad):
        Here(sharded(str(photos), output, recipe)).run()
    image.write_bytes(content)
    again = sharded(str(photos), output, recipe, retry_bad=True)
    assert again.request.already_done() is None
    assert again.as_one
    done = again.whole_done(tasks.extract_shard(json.loads(json.dumps(again.whole_task())), SILENT))
    assert done.bad == []
    extract(str(photos), tmp_path / "one.h5", recipe)
    assert output.read_bytes() == (tmp_path / "one.h5").read_bytes()
    assert not again.folder.exists()
    assert without_workers(str(photos), output, recipe).up_to_date


def test_a_folder_that_is_not_ours_is_left_alone(photos, recipe, tmp_path):
    (tmp_path / "a.h5.shards").mkdir()
    (tmp_path / "a.h5.shards" / "thesis.tex").write_text("mine")
    with pytest.raises(BadInput, match=r"thesis.tex"):
        Here(sharded(str(photos), tmp_path / "a.h5", recipe, overwrite=True)).run()
    assert (tmp_path / "a.h5.shards" / "thesis.tex").read_text() == "mine"


def test_of_a_folder_that_is_ours_only_our_files_go(photos, recipe, tmp_path):
    output = tmp_path / "a.h5"
    extract(str(photos), output, recipe)
    folder = tmp_path / "a.h5.shards"
    folder.mkdir()
    for text, left in (("{}", ["00001.h5", "plan.json", "thesis.txt"]), (PLAN, ["thesis.txt"])):
        (folder / "plan.json").write_text(text)
        for name in ("00001.h5", "thesis.txt"):
            (folder / name).write_text("mine")
        assert without_workers(str(photos), output, recipe).up_to_date
        assert sorted(os.listdir(folder)) == left


PLAN = '{"of": 3, "inputs": {}, "outline": {}}'


def test_nobody_removes_the_shards_of_one_at_work(photos, recipe, tmp_path):
    output = tmp_path / "a.h5"
    extract(str(photos), output, recipe)
    at_work = sharded(str(photos), output, recipe, overwrite=True)
    with at_work.output:
        at_work.begin(Here(at_work).outline(), 2)
        for done in (without_workers(str(photos), output, recipe), extract(str(photos), output, recipe)):
            assert done.up_to_date
            assert sorted(os.listdir(at_work.folder)) == ["00001.json", "00002.json", "00003.json", "plan.json"]
    assert extract(str(photos), output, recipe).up_to_date
    assert not at_work.folder.exists()


@pytest.mark.parametrize("last", ["00001.h5", "plan.json"])
def test_a_kill_while_the_folder_is_removed_or_made_is_no_obstacle(photos, recipe, tmp_path, monkeypatch, last):
    """The process ends after the file `last` was removed."""

    class Killed(BaseException):
        pass

    def unlink(path, missing_ok=False):
        real(path, missing_ok)
        if path.parent.name == "a.h5.shards" and path.name == last:
            raise Killed

    real = Path.unlink
    output = tmp_path / "a.h5"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "unlink", unlink)
        Here(sharded(str(photos), output, recipe)).run()
    assert (tmp_path / "a.h5.shards").exists()
    assert Here(sharded(str(photos), output, recipe, overwrite=True)).run().images == 26
    assert not (tmp_path / "a.h5.shards").exists()


@pytest.mark.parametrize(
    "wrong", [{"of": 0}, {"of": -1}, {"of": True}, {"of": 10**12}, {"outline": 5}, {"outline": [1]}, {"inputs": []}]
)
def test_a_plan_of_other_types_is_refused(photos, recipe, tmp_path, wrong):
    output = tmp_path / "a.h5"
    Here(sharded(str(photos), output, recipe)).run(only=[])
    plan = tmp_path / "a.h5.shards" / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | wrong))
    for overwrite in (False, True):
        with pytest.raises(DifferentOutput, match=r"plan.json should be the plan of fne extract --cluster"):
            Here(sharded(str(photos), output, recipe, overwrite=overwrite)).run()


def test_more_shards_than_images_are_not_the_plan_of_this_listing(photos, recipe, tmp_path):
    Here(sharded(str(photos), tmp_path / "a.h5", recipe)).run(only=[])
    plan = tmp_path / "a.h5.shards" / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"of": 27}))
    assert Here(sharded(str(photos), tmp_path / "a.h5", recipe)).run().images == 26
    assert json.loads((tmp_path / "a.h5.run.json").read_text())["images"] == 26


def test_lists_that_are_missing_are_written_again(photos, recipe, tmp_path):
    output = tmp_path / "a.h5"
    Here(sharded(str(photos), output, recipe)).run(only=[])
    (tmp_path / "a.h5.shards" / "00002.json").unlink()
    assert Here(sharded(str(photos), output, recipe)).run().images == 26


def test_one_process_does_not_begin_anew_what_a_cluster_began(photos, recipe, tmp_path):
    output = tmp_path / "a.h5"
    begun = sharded(str(photos), output, recipe)
    Here(begun).run(only=[1])
    with pytest.raises(DifferentOutput, match=r"Found: \S+a.h5.shards of a run with --cluster.\nFinish it by the same"):
        extract(str(photos), output, recipe)
    assert sorted(path.name for path in tmp_path.glob("a.h5*")) == ["a.h5.shards"]
    with begun.output, pytest.raises(Busy):
        extract(str(photos), output, recipe)
    assert extract(str(photos), output, recipe, dry_run=True).images == 26
    assert begun.folder.exists()
    assert extract(str(photos), output, recipe, overwrite=True).images == 26
    assert not begun.folder.exists()


def test_unfinished_work_of_one_process_is_not_thrown_away(photos, recipe, tmp_path):
    (tmp_path / "a.h5.partial").write_bytes(b"x")
    journal = {"images": 26, "committed": 4, "inputs": {}, "runs": []}
    (tmp_path / "a.h5.partial.json").write_text(json.dumps(journal))
    with pytest.raises(DifferentOutput, match="unfinished work of a run without --cluster"):
        Here(sharded(str(photos), tmp_path / "a.h5", recipe)).run()


def test_a_disk_for_the_whole_but_not_for_its_shards_too(photos, recipe, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 0, 15_000))
    with pytest.raises(DoesNotFit, match="and as many for its shards"):
        Here(sharded(str(photos), tmp_path / "a.h5", recipe)).run()
    assert not (tmp_path / "a.h5.shards").exists()


def test_the_next_shard_finds_the_network_compiled_and_another_recipe_its_own(photos, recipe, tmp_path, monkeypatch):
    from fne_cli.networks import prepared

    built = []
    real = prepared.Extractor
    monkeypatch.setattr(prepared, "Extractor", lambda *options: built.append(1) or real(*options))
    monkeypatch.setattr(tasks._Warm, "source", None)
    Here(sharded(str(photos), tmp_path / "a.h5", recipe)).run()
    assert len(built) == 1
    Here(sharded(str(photos), tmp_path / "b.h5", Recipe(**recipe.as_dict() | {"layers": ("dense",)}))).run()
    assert len(built) == 2


def test_unnamed_layers_have_the_names_of_a_new_process(tmp_path, monkeypatch):
    """MobileNetV3 leaves some layers to Keras to name, by counting."""
    monkeypatch.setattr(tasks._Warm, "source", None)
    names = []
    for image_size in ((32, 32), (64, 64), (32, 32)):
        made = Recipe(model="mobilenetv3small", weights="random", image_size=image_size)
        described = tasks.outline({"recipe": json.loads(json.dumps(made.as_dict()))}, SILENT)
        names.append([layer[0] for layer in described["layers"]])
    assert names[0] == names[1] == names[2]
