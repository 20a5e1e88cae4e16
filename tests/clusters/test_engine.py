"""The engine: tasks on a local cluster of two processes, whatever dies."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from places import BUILDERS

from fne_cli.clusters import run, versions
from fne_cli.clusters.engine import DaskEngine
from fne_cli.clusters.spec import Spec
from fne_cli.clusters.start import Lost, _logs_told
from fne_cli.errors import BadInput, DifferentOutput, Stopped
from fne_cli.progress import Progress


class Heard(Progress):
    """Remembers what it was told; `code` is what a signal would ask for."""

    def __init__(self):
        self.notes, self.counts, self.code = [], [], None

    def note(self, text):
        self.notes.append(text)

    def track(self, total, unit, done=0):
        from contextlib import nullcontext

        self.total = (total, unit, done)
        return nullcontext(self.counts.append)

    def deferred(self):
        from contextlib import nullcontext

        return nullcontext(lambda: self.code)


@pytest.fixture(scope="module")
def engine():
    with pytest.MonkeyPatch.context() as patch:
        import dask.config

        patch.setenv("PYTHONPATH", str(BUILDERS), prepend=os.pathsep)
        with dask.config.set({"distributed.worker.preload": ["cluster_functions"]}):
            with DaskEngine.open("local:2", Heard()) as opened:
                yield opened


def wait_for_workers(engine, other_than=()):
    given_up = time.monotonic() + 300  # an engine that is broken is so for all tests that follow
    while len(set(engine._pool.look()) - set(other_than)) < 2:
        assert time.monotonic() < given_up, f"of two workers there is only {engine._pool.slots}"
        time.sleep(0.1)


@pytest.fixture
def heard(engine, monkeypatch):
    """What the engine tells. Both workers are there: those that the test before has killed come back when they can."""
    wait_for_workers(engine)
    heard = Heard()
    monkeypatch.setattr(engine, "_progress", heard)
    return heard


@pytest.fixture
def patient(monkeypatch):
    """On a busy machine it takes long until word comes of a task that has begun, or that it has stopped."""
    monkeypatch.setattr(run, "_BEGUN_SECONDS", 300.0)
    monkeypatch.setattr(run, "_STOP_SECONDS", 300.0)


def text_of(log):
    """What a task wrote, once it did; a file is there before its text."""
    while not (text := log.exists() and log.read_text()):
        time.sleep(0.05)
    return text


def test_each_task_is_answered_once_and_both_workers_do_some(engine, heard):
    answers = dict(engine.run("double", [{"value": value} for value in range(20)]))
    assert {index: answer["twice"] for index, answer in answers.items()} == {n: 2 * n for n in range(20)}
    assert len({answer["worker"] for answer in answers.values()}) == 2
    assert (heard.total, sum(heard.counts)) == ((20, "parts", 0), 20)


def test_what_a_task_raises_arrives_with_its_class_and_message(engine, heard):
    with pytest.raises(DifferentOutput, match=r"^here exists$"):
        list(engine.run("refuse", [{"value": "here"}]))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(engine.run("bug", [{"value": 0}]))
    assert [answer for _, answer in engine.run("bug", [{"value": 2}])] == [0.5]


def test_a_task_that_its_workers_die_of_is_an_error_that_says_so(engine, heard, tmp_path):
    settings = {"log": str(tmp_path / "log"), "deaths": 99, "step": 0}
    with pytest.raises(
        BadInput, match=r"Part 1 of 1 should end on some worker. Found: the last 4 that tried died of it"
    ):
        list(engine.run("die", [settings], sizes=[100]))
    assert len((tmp_path / "log").read_text().split()) == 4


@pytest.mark.slow
def test_a_task_that_gets_further_may_lose_many_workers(engine, heard, tmp_path):
    settings = {"log": str(tmp_path / "log"), "deaths": 6, "step": 1}
    assert list(engine.run("die", [settings], sizes=[100])) == [(0, 7)]
    assert "part 1 lost several workers, but gets further: going on" in heard.notes
    assert sum(heard.counts) == 100


def test_a_signal_stops_tasks_that_have_begun(engine, heard, patient, tmp_path):
    def ask():
        text_of(log)
        heard.code = 130

    log = tmp_path / "log"
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    with pytest.raises(Stopped) as stopped:
        list(engine.run("until_stopped", [{"log": str(log)}]))
    thread.join()
    assert stopped.value.exit_code == 130
    assert log.read_text() == "stopped"


def test_an_abandoned_run_stops_its_tasks(engine, heard, patient, tmp_path):
    log = tmp_path / "log"
    for _ in engine.run("double_or_wait", [{"value": 1}, {"log": str(log)}]):
        assert text_of(log) == "begun"
        break
    assert log.read_text() == "stopped"


def test_workers_with_other_versions_are_refused_with_every_difference():
    ours = {"fne": "1", "numpy": "2.0", "keras": "3.1"}
    versions.check(ours, dict(ours), "tcp://a")
    with pytest.raises(BadInput) as wrong:
        versions.check(ours, {"fne": "1", "numpy": "1.9", "torch": "2"}, "tcp://a")
    assert str(wrong.value).splitlines()[1:4] == [
        "  numpy: 1.9 there, 2.0 here",
        "  keras: none there, 3.1 here",
        "  torch: 2 there, none here",
    ]


def test_a_worker_that_comes_later_is_checked_too(engine, heard, monkeypatch):
    monkeypatch.setattr(versions, "versions", lambda: {"fne": "0.0.1"})
    with pytest.raises(BadInput, match=r"fne: \S+ there, 0.0.1 here"):
        list(engine.run("double", [{"value": 1}]))


def worker_processes():
    """The process numbers of workers that are alive; another child may end, or have ended, while we look."""
    import psutil

    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # ZombieProcess is one
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_workers_are_there_while_the_client_asks_for_none(engine, heard):
    """The client has a callback that asks the scheduler for no workers; what it hears is not what we hear."""
    done = threading.Event()

    def ask():
        while not done.is_set():
            engine._pool._client.sync(engine._pool._client._update_scheduler_info)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert {len(engine._pool.look()) for _ in range(300)} == {2}
    finally:
        done.set()
        thread.join()


def test_what_dask_logs_is_for_those_who_ask_for_more(engine, heard, capfd, monkeypatch):
    told, client = [], logging.getLogger("distributed.client")
    monkeypatch.setattr(heard, "detail", told.append)
    monkeypatch.setattr(client, "handlers", [logging.StreamHandler()])  # as Dask has it, when nobody else logs
    monkeypatch.setattr(client, "propagate", False)
    with _logs_told(heard):
        for name in ("distributed.client", "distributed.core", "tornado.application"):
            logging.getLogger(name).error("the scheduler %s", "is gone")
    assert told == ["Dask: the scheduler is gone"] * 3
    assert capfd.readouterr().err == ""


def test_killed_workers_come_back(engine, heard):
    before = worker_processes()
    os.kill(min(before), signal.SIGKILL)
    answers = dict(engine.run("double", [{"value": value} for value in range(10)]))
    assert len(answers) == 10


def test_a_worker_that_dask_gives_up_is_opened_again(engine, heard):
    """Dask closes the nanny of a worker that is not back in time; and it does not open another by itself."""
    import dask.config

    before, known = worker_processes(), set(engine._pool.slots)
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "50ms"}):
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for_workers(engine, known)
    assert not before & worker_processes()
    assert len(dict(engine.run("double", [{"value": value} for value in range(4)]))) == 4


@pytest.mark.slow
def test_workers_that_die_while_they_start_are_opened_again():
    import dask.config

    with DaskEngine.open("local:2", Heard()) as engine:
        seen, known = worker_processes(), set(engine._pool.slots)
        with dask.config.set({"distributed.deploy.lost-worker-timeout": "50ms"}):
            for pid in seen:
                os.kill(pid, signal.SIGKILL)
            newborn = 0
            while newborn < 8:
                engine._pool.look()
                time.sleep(0.05)
                for pid in worker_processes() - seen:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    newborn += 1
                    seen.add(pid)
            wait_for_workers(engine, known)


ONE = ("--nthreads", "1", "--resources", "fne=1", "--memory-limit", "0")


class Enough(Exception):
    """Ends what would wait for ever."""


class Until(Heard):
    """Ends the waiting when it hears a word."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def note(self, text):
        super().note(text)
        if self.word in text:
            raise Enough(text)


@pytest.fixture
def batch_system(tmp_path, monkeypatch):
    """Puts a program in the place of sbatch; scancel ends the process that sbatch called its job."""

    def put(**programs):
        for name, text in programs.items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name).chmod(0o755)

    put(scancel="kill $1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    return put


@pytest.mark.slow
def test_a_first_job_that_sbatch_refuses_is_an_error_in_its_words(batch_system):
    batch_system(sbatch="echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    heard = Heard()
    with pytest.raises(BadInput, match=r"Found: sbatch: error: invalid partition specified: gpu\n"):
        with DaskEngine.open("slurm:2", heard):
            pass
    batch_system(sbatch="echo nothing that has a number")
    with pytest.raises(BadInput, match=r"sbatch should take the job of a worker"):
        with DaskEngine.open("slurm:1", heard):
            pass


def test_jobs_without_a_worker_are_spoken_of(batch_system, monkeypatch):
    monkeypatch.setattr("fne_cli.clusters.pool._REMIND_SECONDS", 0.5)
    batch_system(sbatch="echo Submitted batch job 9999999")
    spec = Spec("slurm", 2, 2, jobs={"log_folder": "logs"})
    with pytest.raises(Enough, match=r"2 jobs were asked for, and no worker is here.* logs/fne-\*.err should say why"):
        with DaskEngine.open(spec, Until("2 jobs were asked for")):
            pass


@pytest.mark.slow
def test_a_job_refused_later_is_asked_for_again(batch_system, tmp_path, monkeypatch):
    monkeypatch.setattr("fne_cli.clusters.pool._REMIND_SECONDS", 1.0)
    batch_system(
        sbatch=f"""cd {tmp_path}; echo >>asked
[ $(wc -l <asked) = 2 ] && {{ echo the queue is full >&2; exit 1; }}
cp "$1" job-$$; bash job-$$ >log-$$ 2>&1 & echo Submitted batch job $!"""
    )
    heard = Heard()
    with DaskEngine.open(Spec("slurm", 1, 2), heard) as engine:
        engine._pool.scale(2)
        wait_for_workers(engine)
    assert "sbatch refused a job (the queue is full): asking again" in heard.notes


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"HTTP/1.1 400 Bad Request\r\n" * 9, b""])
def test_a_server_that_is_no_scheduler(answer):
    import dask.config

    def serve():
        while True:
            try:
                talk.append(server.accept()[0])
                talk[-1].sendall(answer)
            except OSError:
                return

    talk = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with dask.config.set({"distributed.comm.timeouts.connect": "3s"}):
            with pytest.raises(Lost, match=rf"{address} should be a Dask scheduler. Found: (no|an) answer"):
                with DaskEngine.open(address):
                    pass
        server.shutdown(socket.SHUT_RDWR)
    for connection in talk:
        connection.close()


def test_a_host_that_nobody_knows_is_said_at_once():
    with pytest.raises(Lost, match=r"tcp://none.invalid:8786 should be a Dask scheduler. Found: "):
        with DaskEngine.open("tcp://none.invalid:8786"):
            pass


@pytest.mark.slow
def test_a_scheduler_that_is_only_just_started_is_waited_for(monkeypatch):
    import dask.config

    monkeypatch.setattr("fne_cli.clusters.start._PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started = []

    class Starting(Heard):
        def note(self, text):
            super().note(text)
            if text.startswith("waiting up to 300 s for the Dask scheduler tcp://127.0.0.1:"):
                for words in (["scheduler", "--port", str(port)], ["worker", f"tcp://127.0.0.1:{port}", *ONE]):
                    command = [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", "--no-dashboard", *words[1:]]
                    started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

    try:
        with dask.config.set({"distributed.comm.timeouts.connect": "300s"}):
            with DaskEngine.open(f"tcp://127.0.0.1:{port}", Starting()) as engine:
                assert len(engine._pool.look()) == 1
    finally:
        for process in started:
            process.kill()
            process.wait()
