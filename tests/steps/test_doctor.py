"""fne doctor: what it finds is what others say of this machine, and what is in the way is said with what to do."""

from __future__ import annotations

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata

import pytest

from fne_cli.steps.doctor import places


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nobody waits for an answer from outside."""
    monkeypatch.setattr(places, "_unreachable", lambda address: "no network in tests")


def test_what_is_found_is_what_others_say(fne, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    (tmp_path / "keras" / "models").mkdir(parents=True)
    (tmp_path / "keras" / "models" / "vgg16_weights.h5").write_bytes(b"12345")
    done = fne("doctor", tmp_path, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["versions"]["keras"] == metadata.version("keras")
    assert found["processor"]["count"] == len(os.sched_getaffinity(0))
    assert found["disk"]["free"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert found["weights"] == {
        "folder": str(tmp_path / "keras" / "models"),
        "files": {"vgg16_weights.h5": 5},
        "can_be_downloaded": False,
    }
    assert "weights cannot be downloaded: no network in tests" in [one["problem"] for one in found["problems"]]
    assert os.listdir(tmp_path) == ["keras"]


def test_a_folder_that_cannot_be_written_to_ends_with_1(fne, ordinary_folder):
    ordinary_folder.chmod(0o500)
    done = fne("doctor", ordinary_folder)
    ordinary_folder.chmod(0o700)
    assert done.code == 1
    assert f"to mend     outputs cannot be written to {ordinary_folder}: Permission denied" in done.out


def test_threads_that_are_fewer_than_processors_are_said(fne, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)))
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OMP_NUM_THREADS=1: fewer threads than the 4 processors" in fne("doctor", tmp_path).out


def test_the_innermost_mount_names_the_file_system(tmp_path):
    (tmp_path / "mounts").write_text(
        "/dev/a / ext4 rw 0 0\nserver:/home /home nfs4 rw 0 0\n/dev/b /home/a\\040b tmpfs rw 0 0\nx /homes xfs rw 0 0\n"
    )
    expected = {"/srv": "ext4", "/home/me": "nfs4", "/home/a b/c": "tmpfs", "/homes/x": "xfs", "/homestead": "ext4"}
    assert {name: places.file_system(name, tmp_path / "mounts")[0] for name in expected} == expected
    assert places.file_system("/", tmp_path / "none") == ("unknown", "")


def test_whether_weights_can_be_had_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.undo()

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200 if self.path == "/there" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        problems: list[places.Problem] = []
        assert places.weights_of(problems, f"{address}/there")["can_be_downloaded"] and not problems
        assert not places.weights_of(problems, f"{address}/gone")["can_be_downloaded"]
        server.shutdown()
    assert [one.problem for one in problems] == ["weights cannot be downloaded: Not Found"]
