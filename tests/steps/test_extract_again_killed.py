"""fne extract of a list that changes, killed anywhere; on a cluster; and by SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pictures import write_image
from waiting import PROGRAM, committed, wait_for

from fne_cli.errors import DifferentOutput, TooManyBad
from fne_cli.images.lists import source
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import SILENT
from fne_cli.steps import extract as step
from fne_cli.steps.extract import RunOptions, leftovers, tasks
from fne_cli.steps.extract.local import extract_here
from fne_cli.steps.extract.request import ExtractionRequest
from fne_cli.steps.extract.sharded import ShardedExtraction
from fne_cli.steps.extract.sources import Source, open_source
from fne_cli.store.format import chunks
from fne_cli.store.many.merged import Shards, write_merged
from fne_cli.store.output import resume
from fne_cli.store.output.partial import Output
from fne_cli.tasks.engine import Cluster

COUNT = 9
opened = os.open


@pytest.fixture
def recipe(network: Path) -> Recipe:
    return Recipe(model=str(network), preprocess="tf", batch_size=3)


@pytest.fixture(scope="module")
def built() -> dict[Recipe, Source]:
    return {}


@pytest.fixture
def once(built: dict[Recipe, Source]) -> Callable[[Recipe], Source]:
    """The network, built only once."""

    def prepare(recipe: Recipe) -> Source:
        if recipe not in built:
            built[recipe] = open_source(recipe)
        return built[recipe]

    return prepare


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(40):
        write_image(folder / f"{number:02d}.png", number)
    (folder / "bad.png").write_bytes(b"no")
    return folder


def write_list(folder: Path, pictures: Path, names: str, label: str = "a") -> str:
    """A manifest of the images of these names."""
    lines = [f"{name}.png,{label if place % 2 else 'b'}" for place, name in enumerate(names.split())]
    path = folder / "list.csv"
    path.write_text("\n".join(["path,label", *lines]) + "\n")
    return str(path)


class Killed(BaseException):
    """The process is gone."""


class Killing:
    """Kills at the call number `point` of all that write or remove; then nothing that cleans up happens."""

    WRITES = ((os, "replace"), (os, "unlink"), (os, "fsync"), (os, "truncate"), (Path, "unlink"), (os, "open"),
              (chunks, "write_chunk"), (h5py.File, "flush"))  # fmt: skip

    def __init__(self, point: int) -> None:
        self.left, self.dead = point, False

    def __enter__(self) -> Killing:
        self.patches = pytest.MonkeyPatch()
        for owner, name in self.WRITES:
            self.patches.setattr(owner, name, self.around(getattr(owner, name)))
        leave = Output.__exit__

        def gone(output: Output, *arguments: Any) -> None:
            if not self.dead:
                leave(output, *arguments)
            elif output._lock is not None:
                os.close(output._lock)
                output._lock = None

        self.patches.setattr(Output, "__exit__", gone)
        return self

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if real is opened and not arguments[1] & os.O_CREAT:
                return real(*arguments, **options)
            if not self.dead:
                self.left -= 1
                self.dead = self.left < 0
            if self.dead:
                raise Killed
            return real(*arguments, **options)

        return call

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.patches.undo()
        return kind is Killed


@pytest.fixture
def many_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit after every batch, and chunks of few rows."""
    monkeypatch.setattr(resume, "COMMIT_SECONDS", -1.0)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 256)


class Job:
    """Extractions to a.h5 in a folder of its own."""

    def __init__(self, folder: Path, pictures: Path, recipe: Recipe, once: Callable[[Recipe], Source]) -> None:
        folder.mkdir()
        self.folder, self.pictures, self.recipe, self.once = folder, pictures, recipe, once
        self.output = folder / "a.h5"

    def __call__(self, names: str, label: str = "a", output: str = "a.h5", **options: Any) -> int:
        """How many images this run has computed."""
        listing = source.list_images(write_list(self.folder, self.pictures, names, label), str(self.pictures))
        request = ExtractionRequest(listing, self.folder / output, self.recipe, RunOptions(**options))
        if extract_here(request, self.once).up_to_date:
            return 0
        return json.loads((self.folder / f"{output}.run.json").read_text())["runs"][-1]["images"]

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("a.h5*"))


FIRST = "00 01 02 03 04 05 06 07 08"
SECOND = "10 00 02 11 03 04 05 07 08 06 12"
THIRD = "13 08 02 11 10 03 04 05 07"
# A list that is begun, or made, before the run that is killed; that run's list; and the one that is finished then.
STORIES: dict[str, tuple[list[str], str, str]] = {
    "a first run, and another list": ([], FIRST, SECOND),
    "a following run": ([FIRST], SECOND, SECOND),
    "a following run, and another list": ([FIRST], SECOND, THIRD),
    "unfinished work is set aside": (["interrupted " + FIRST], SECOND, SECOND),
    "unfinished work is set aside twice": (["interrupted " + FIRST], SECOND, THIRD),
    "unfinished following work is set aside": ([FIRST, "interrupted " + SECOND], THIRD, THIRD),
}
EVERY = pytest.mark.parametrize("every", [41, pytest.param(7, marks=pytest.mark.slow)])


def interrupted(job: Job, names: str) -> None:
    """Killed when six images are safe."""
    commit, commits = resume.Growing.commit, 0

    def killed(growing: resume.Growing) -> None:
        nonlocal commits
        commit(growing)
        commits = growing.committed
        if commits >= 6:
            raise Killed

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(resume.Growing, "commit", killed)
        with pytest.raises(Killed):
            job(names)


@EVERY
@pytest.mark.parametrize("story", STORIES)
def test_killed_at_any_point_the_file_is_a_fresh_runs_in_the_end(
    tmp_path, pictures, recipe, once, many_commits, story, every
):
    """And nothing is left behind, and what stood there as the output stays until it is replaced by a whole one."""
    before, names, last = STORIES[story]
    fresh = Job(tmp_path / "fresh", pictures, recipe, once)
    whole = {}
    for wanted in (FIRST, names, last):
        fresh(wanted, overwrite=True)
        whole[wanted] = fresh.output.read_bytes()
    point, ended = 0, False
    while not ended:
        job = Job(tmp_path / f"{point}", pictures, recipe, once)
        for earlier in before:
            if earlier.startswith("interrupted "):
                interrupted(job, earlier.removeprefix("interrupted "))
            else:
                job(earlier)
        stood = job.output.read_bytes() if job.output.exists() else None
        with Killing(point) as killing:
            job(names)
        ended = not killing.dead
        if job.output.exists():
            assert job.output.read_bytes() in (stood, whole[names])
        safe = Output(job.output).read_journal()["committed"] if Output(job.output).resumable else 0
        computed = job(last)
        assert job.output.read_bytes() == whole[last], point
        if last == names and before in ([], [FIRST]):
            assert computed <= len(names.split()) - safe, "what is safe is not computed again"
        assert set(job.left()) <= {"a.h5", "a.h5.run.json", "a.h5.partial.json", "a.h5.run.json.new"}, point
        point += every
    assert point > every


def test_what_was_copied_and_computed_counts_for_another_list(tmp_path, pictures, recipe, once, many_commits):
    """Of six images that are safe two were computed by the run that was interrupted, four were known."""
    job = Job(tmp_path / "work", pictures, recipe, once)
    job(FIRST)
    interrupted(job, SECOND)  # 10 00 02 11 03 04
    assert job(THIRD) == 1  # 13
    assert job.left() == ["a.h5", "a.h5.run.json"]


def test_a_run_that_is_refused_leaves_the_older_output_and_waits(tmp_path, pictures, recipe, once):
    job = Job(tmp_path / "work", pictures, recipe, once)
    job(FIRST)
    before = job.output.read_bytes()
    with pytest.raises(TooManyBad):
        job(f"bad {FIRST}")
    assert job.output.read_bytes() == before
    # Back again: nothing is lost of what stands there.
    assert job(FIRST) == 0
    assert job.output.read_bytes() == before
    # And the other list is finished from what waits.
    assert job(f"bad {FIRST}", max_bad="1") <= 1
    assert job.left() == ["a.h5", "a.h5.run.json"]


# A cluster


class Here:
    """Does in this process what workers would do."""

    def __init__(self, job: Job, names: str, label: str = "a", **options: Any) -> None:
        listing = source.list_images(write_list(job.folder, job.pictures, names, label), str(job.pictures))
        options = {"shard_rows": 3, **options}
        self.job = job
        self.extraction = ShardedExtraction(
            ExtractionRequest(listing, job.output, job.recipe, RunOptions(**options)), SILENT
        )

    def run(self, only: list[int] | None = None) -> int:
        """How many images were computed; `only` these shards, and then the coordinator is killed."""
        request = self.extraction.request
        with self.extraction.output:
            outline = tasks.outline(json.loads(json.dumps(self.extraction.outline_task())), SILENT)
            assert request.is_there(outline["settings"], outline["software"], SILENT, True) is None
            todo = self.extraction.begin(outline, 2)
            for number, task in enumerate(todo):
                if only is None or number in only:
                    tasks.extract_shard(json.loads(json.dumps(task)), SILENT)
            if only is not None:
                return 0
            with Shards(self.extraction.shards) as shards:
                write_merged(shards, self.extraction.merged, 1000, SILENT)
            self.extraction.finish(1.0)
        record = json.loads((self.job.folder / "a.h5.run.json").read_text())
        return sum(run["images"] for run in record["runs"])


@pytest.fixture
def job(tmp_path: Path, pictures: Path, recipe: Recipe, once: Callable[[Recipe], Source]) -> Job:
    return Job(tmp_path / "work", pictures, recipe, once)


def check(job: Job, names: str, label: str = "a") -> None:
    job(names, label, "fresh.h5", overwrite=True)
    assert job.output.read_bytes() == (job.folder / "fresh.h5").read_bytes()
    assert job.left() == ["a.h5", "a.h5.run.json"]


@pytest.mark.slow
def test_shards_of_a_list_that_has_changed(job):
    assert Here(job, FIRST).run() == COUNT
    assert Here(job, SECOND, "z").run() == 3
    check(job, SECOND, "z")
    assert Here(job, SECOND).run() == 0
    check(job, SECOND)


@pytest.mark.slow
def test_one_process_follows_what_a_cluster_made_and_the_other_way_round(job):
    Here(job, FIRST).run()
    assert job(SECOND) == 3
    check(job, SECOND)
    assert Here(job, THIRD).run() == 1
    check(job, THIRD)


@pytest.mark.slow
def test_a_clusters_run_that_was_interrupted_and_a_list_that_has_changed(job):
    """The shards that were finished are known. 01 is of the second shard, 02 of the third; 2 images of each are new."""
    Here(job, FIRST).run(only=[1, 2])
    assert Here(job, SECOND).run() == 11 - 5  # of 01 04 07, 02 05 08 there are 02 04 05 07 08
    check(job, SECOND)


@pytest.mark.slow
def test_a_list_that_changes_twice_before_a_cluster_has_finished(job):
    Here(job, FIRST).run(only=[0, 1, 2])
    Here(job, SECOND).run(only=[0, 3])
    assert sorted(path.name for path in leftovers.retired(leftovers.folder_of(job.output))) == [
        f"known-{number:05d}.h5" for number in (1, 2, 3)
    ]
    # Shard 1 of 4 of SECOND: 10 03 08; shard 4: 11 07.
    assert Here(job, THIRD).run() == 1
    check(job, THIRD)


@pytest.mark.slow
def test_a_following_run_of_a_cluster_that_was_interrupted_goes_on(job):
    Here(job, FIRST).run()
    before = job.output.read_bytes()
    Here(job, SECOND).run(only=[0])
    assert job.output.read_bytes() == before
    assert Here(job, SECOND).run() == 3
    check(job, SECOND)


@pytest.mark.slow
@pytest.mark.parametrize("point", range(8))
def test_killed_while_shards_are_retired(job, point):
    """At each file; then with the new list, with the old one, with other settings, and overwritten."""
    ends: list[Callable[[], None]] = [
        lambda: (Here(job, SECOND).run(), check(job, SECOND)),  # type: ignore[func-returns-value,list-item]  # a story
        lambda: (Here(job, FIRST).run(), check(job, FIRST)),  # type: ignore[func-returns-value,list-item]  # a story
        lambda: assert_computes_all(job),
    ]
    for end in ends:
        for path in job.folder.rglob("*"):
            if path.is_file():
                path.unlink()
        Here(job, FIRST).run(only=[0, 2])
        with Killing(point), job_of_retiring(job):
            pass
        end()


def job_of_retiring(job: Job) -> Any:
    leftovers.retire(leftovers.folder_of(job.output))
    from contextlib import nullcontext

    return nullcontext()


def assert_computes_all(job: Job) -> None:
    """--overwrite, of other settings: what was there is no obstacle, and none of it is used."""
    other = Job.__new__(Job)
    other.__dict__.update(job.__dict__)
    other.recipe = Recipe(**job.recipe.as_dict() | {"resize": "crop"})
    assert Here(other, SECOND, overwrite=True).run() == 11
    check(other, SECOND)


@pytest.mark.slow
def test_shards_of_other_settings_that_nothing_tells_of(job):
    """Killed when only retired shards are left: with other settings that is unfinished work of another run."""
    Here(job, FIRST).run(only=[0, 1, 2])
    folder = leftovers.folder_of(job.output)
    leftovers.retire(folder)
    other = Job.__new__(Job)
    other.__dict__.update(job.__dict__)
    other.recipe = Recipe(**job.recipe.as_dict() | {"resize": "crop"})
    with pytest.raises(DifferentOutput, match=r"(?s)resize.*--overwrite"):
        Here(other, SECOND).run()
    assert len(leftovers.retired(folder)) == 3


@pytest.mark.slow
def test_one_process_does_not_throw_away_a_clusters_following_work(job):
    """a.h5 is there, of an older list; a cluster has begun to make it again."""
    Here(job, FIRST).run()
    Here(job, SECOND).run(only=[0, 1])
    folder = leftovers.folder_of(job.output)
    with pytest.raises(DifferentOutput, match=r"a.h5.shards of a run with --cluster"):
        step.extract(
            write_list(job.folder, job.pictures, SECOND), job.output, job.recipe, RunOptions(), root=str(job.pictures)
        )
    assert (folder / "00001.h5").exists()
    assert Here(job, SECOND).run() == 3
    check(job, SECOND)


@pytest.mark.slow
def test_shards_that_were_left_when_the_output_was_finished_go(job):
    Here(job, FIRST).run(only=[0])
    folder, kept = leftovers.folder_of(job.output), job.folder / "kept"
    os.rename(folder, kept)
    assert job(FIRST) == COUNT
    os.rename(kept, folder)
    listing = write_list(job.folder, job.pictures, FIRST)
    nobody = Cluster(lambda: pytest.fail("workers were asked for"))
    done = step.extract(listing, job.output, job.recipe, RunOptions(), root=str(job.pictures), cluster=nobody)
    assert done.up_to_date
    assert not folder.exists()


# A process of its own


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for number in range(300):
        write_image(tmp_path / "many" / "a" / f"{number:03d}.png", number)
    return tmp_path / "many"


@pytest.mark.slow
def test_sigkill_in_a_run_that_follows(network, many, tmp_path) -> None:
    """Of 300 images 200 are new; it is killed when 100 are safe, and goes on; or the list changes once more."""
    words = ["extract", str(many), "a.h5", "--model", str(network), "--preprocess", "tf", "--batch-size", "2"]
    words += ["--workers", "1"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fne_cli", *words, *more]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for number in range(0, 300, 3):
        for path in (many / "a").glob(f"{number:03d}.png"):
            path.rename(hidden / path.name)
    first = run()
    assert first.returncode == 0, first.stderr
    before = (tmp_path / "a.h5").read_bytes()
    for path in hidden.iterdir():
        path.rename(many / "a" / path.name)
    go = tmp_path / "go"
    process = subprocess.Popen([sys.executable, PROGRAM, go, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: committed(tmp_path / "a.h5.partial.json"), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)
    assert (tmp_path / "a.h5").read_bytes() == before
    safe = committed(tmp_path / "a.h5.partial.json")
    assert safe >= 100
    write_image(many / "a" / "000x.png", 7777)
    done = run()
    assert done.returncode == 0, done.stderr
    assert f"what it has of the {safe} that are safe is used again" in done.stderr
    (computed,) = [json.loads((tmp_path / "a.h5.run.json").read_text())["runs"][-1]["images"]]
    assert computed == 1 + len([number for number in range(0, 300, 3) if number >= safe])
    words[2] = "fresh.h5"
    assert run().returncode == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "fresh.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("a.h5*")) == ["a.h5", "a.h5.run.json"]


@pytest.fixture(autouse=True)
def _warm() -> Iterator[None]:
    """Each test has a network of its own file."""
    yield
    tasks._Warm.source = None


def test_rows_are_those_of_a_run_that_knows_nothing(job):
    """By plain h5py: what was copied stands at its image, and no other."""
    job(FIRST)
    job(SECOND)
    job(SECOND, output="fresh.h5")
    with h5py.File(job.output) as made, h5py.File(job.folder / "fresh.h5") as fresh:
        for name in fresh["layers"]:
            np.testing.assert_array_equal(made[f"layers/{name}"][:], fresh[f"layers/{name}"][:])
            assert len(np.unique(fresh[f"layers/{name}"][:], axis=0)) == 11
