"""OUTPUT.parts: what is finished counts, once; what is not ours stays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from engines import Here, cluster_of

from fne_cli.errors import BadInput, DamagedFile, DoesNotFit, Stopped
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.files import TaskFiles, task
from fne_cli.tasks.parts import Parts


@task
def square(settings, files, progress):
    with progress.track(1, "numbers") as advance:
        advance(1)
    files.save(root=np.array([settings["value"]]))
    return {"square": settings["value"] ** 2}


@pytest.fixture(autouse=True)
def functions(monkeypatch):
    from fne_cli.clusters import worker

    monkeypatch.setitem(worker.FUNCTIONS, "square", f"{__name__}:square")


def squares(path, engine, made_of="x", values=range(10)):
    with Parts(path, made_of, {}, engine if isinstance(engine, Cluster) else cluster_of(engine)) as parts:
        found = parts.results("square", [{"value": value} for value in values], "square")
        return [(result["square"], int(files.load("root")[0])) for result, files in found]


def test_results_come_in_the_order_of_the_tasks_and_nothing_stays(tmp_path):
    assert squares(tmp_path / "o", Here()) == [(n * n, n) for n in range(10)]
    assert not list(tmp_path.iterdir())


def stop_after(count):
    def between(engine):
        if len(engine.done) == count:
            raise Stopped("stopped", 143)

    return Here(between)


def test_an_interrupted_attempt_counts_if_it_was_at_the_same_output(tmp_path):
    with pytest.raises(Stopped):
        squares(tmp_path / "o", stop_after(4))
    assert len(list((tmp_path / "o.parts").glob("*.json"))) == 4
    again = Here()
    assert squares(tmp_path / "o", again) == [(n * n, n) for n in range(10)]
    assert len(again.given) == 6
    assert not list(tmp_path.iterdir())


def test_an_attempt_with_other_settings_is_forgotten(tmp_path):
    with pytest.raises(Stopped):
        squares(tmp_path / "o", stop_after(4))
    other = Here()
    squares(tmp_path / "o", other, made_of="y")
    assert len(other.given) == 10


def test_workers_are_not_started_for_nothing(tmp_path):
    with pytest.raises(Stopped):
        squares(tmp_path / "o", stop_after(10))
    assert squares(tmp_path / "o", Cluster(lambda: pytest.fail("started"))) == [(n * n, n) for n in range(10)]


def test_whoever_fails_to_use_a_result_stops_the_tasks_before_the_workers(tmp_path):
    told = []

    class Engine(Here):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            told.append("workers")

        def run(self, *tasks, **more):
            try:
                yield from super().run(*tasks, **more)
            finally:
                told.append("tasks")

    with pytest.raises(ZeroDivisionError), Parts(tmp_path / "o", "x", {}, Cluster(Engine)) as parts:
        for _ in parts.results("square", [{"value": value} for value in range(10)], "square"):
            raise ZeroDivisionError
    assert told == ["tasks", "workers"]


def test_a_full_disk_of_a_worker_is_said_so(tmp_path, monkeypatch):
    def full(files, **arrays):
        raise OSError(28, "No space left on device", str(files.folder))

    monkeypatch.setattr(TaskFiles, "save", full)
    with pytest.raises(DoesNotFit, match=r"disk of .*o\.parts is full, worker"):
        squares(tmp_path / "o", Here())


def test_files_of_others_in_the_folder_stay(tmp_path):
    (tmp_path / "o.parts").mkdir()
    mine = tmp_path / "o.parts" / "notes.txt"
    mine.write_text("mine")
    squares(tmp_path / "o", Here())
    assert [*(tmp_path / "o.parts").iterdir()] == [mine]


def test_a_task_that_was_done_already_is_not_done_again(tmp_path):
    files = TaskFiles(tmp_path, "0123456789abcdef-square-00000")
    asked = {"folder": str(tmp_path), "name": files.name, "inputs": [], "settings": {"value": 3}}
    assert square(asked) == {"square": 9}
    files.path("json").write_text(json.dumps({"square": "known"}))
    assert square(asked) == {"square": "known"}


def test_what_the_worker_cannot_see_is_named(tmp_path):
    asked = {"folder": str(tmp_path), "name": "x", "inputs": [str(tmp_path / "a.h5")], "settings": {"value": 3}}
    with pytest.raises(BadInput, match=r"should see .*a\.h5. Found: no such file there(.|\n)*file system that all"):
        square(asked)
    with pytest.raises(BadInput, match=r"should see .*gone"):
        square({**asked, "inputs": [], "folder": str(tmp_path / "gone")})


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    files = TaskFiles(tmp_path, "x")
    with pytest.raises(OSError, match="no more"):
        with files.writing("rows") as file:
            file.write(b"half")
            raise OSError("no more")
    assert not list(tmp_path.iterdir())
    (tmp_path / "x.rows.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(DamagedFile, match="should be an array"):
        files.load("rows")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "o.parts").write_text("a file")
    with pytest.raises(BadInput, match=r"o\.parts should be a folder to write to"):
        squares(tmp_path / "o", Here())
