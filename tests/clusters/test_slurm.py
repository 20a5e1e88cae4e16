"""A real one-node Slurm: a job array and --cluster end with the bytes of one process, with jobs requeued on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from places import BUILDERS, SCRIPTS
from waiting import committed, wait_for

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
FOUND = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
missing = [name for name in PROGRAMS if shutil.which(name, path=FOUND) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing) or os.geteuid() != 0,
        reason=f"needs root and a Slurm: apt-get install slurm-wlm munge (missing: {', '.join(missing) or 'root'})",
    ),
]
OPTIONS = ["--model", "mini", "--crops", "10", "--batch-size", "10"]  # many batches: many commits


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment in which sbatch finds the Slurm that was started, and `fne` is the command.

    Every Python there does as quick_commits.py says: a job's worker takes no more preloads than its own.
    """
    folder = tmp_path_factory.mktemp("slurm")
    programs = tmp_path_factory.mktemp("bin")
    (programs / "fne").write_text(f'#!/bin/sh\nexec {sys.executable} -m fne_cli "$@"\n')
    (programs / "fne").chmod(0o755)
    (programs / "sitecustomize.py").write_text("import quick_commits\n\nquick_commits.prepare()\n")
    modules = filter(None, [str(programs), str(BUILDERS), os.environ.get("PYTHONPATH")])
    try:
        started = subprocess.run([SCRIPTS / "slurm_local.sh", "start", folder], capture_output=True, text=True)
        assert started.returncode == 0, started.stderr
        name, conf = started.stdout.split()[1].split("=")
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        yield os.environ | {name: conf, "PATH": path, "PYTHONPATH": os.pathsep.join(modules)}
    finally:
        subprocess.run([SCRIPTS / "slurm_local.sh", "stop", folder], capture_output=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory, slurm) -> Path:
    """A folder with the digits, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("place")
    subprocess.run(["fne", "sample", "digits", "digits", "-q"], cwd=folder, env=slurm, check=True)
    subprocess.run(["fne", "extract", "digits", "whole.h5", *OPTIONS, "-q"], cwd=folder, env=slurm, check=True)
    return folder


@pytest.fixture(autouse=True)
def no_jobs_left(slurm) -> Iterator[None]:
    """Those of a test that has failed would keep the processors that the next one needs."""
    yield
    subprocess.run(["scancel", "--user", "root"], env=slurm)


def told(slurm, *words: object) -> str:
    done = subprocess.run([str(word) for word in words], env=slurm, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_until(true: Callable[[], object]) -> None:
    given_up = time.monotonic() + 600  # a job that has failed comes to nothing
    while not true():
        assert time.monotonic() < given_up, "waited in vain"
        time.sleep(0.2)


def test_a_job_array_with_one_task_requeued_by_slurm_and_one_by_itself(slurm, place):
    script = SCRIPTS / "extract_array.sh"
    words = ["sbatch", "--parsable", "--array=1-2", f"--chdir={place}", script, "digits", "part", *OPTIONS]
    go_on = place / "the-array-goes-on"
    job = told(slurm | {"HELD_UNTIL": str(go_on)}, *words).strip()
    parts = [place / f"part-{number}-of-2.h5" for number in (1, 2)]
    journals = [path.with_name(path.name + ".partial.json") for path in parts]
    stops = [
        ["scancel", "--signal=USR1", "--batch", f"{job}_1"],  # as Slurm does when the time is nearly up
        ["scontrol", "requeue", f"{job}_2"],  # as it does when a node is wanted for something else
    ]
    for journal, stop in zip(journals, stops, strict=True):
        wait_until(lambda journal=journal: committed(journal))
        told(slurm, *stop)
    go_on.touch()

    def queued(task: int) -> bool:
        return told(slurm, "squeue", "-h", "-o", "%t", "-j", f"{job}_{task}").strip() == "PD"

    for task, part, journal in zip((1, 2), parts, journals, strict=True):
        wait_until(lambda task=task, part=part: queued(task) or part.exists())  # if we look late, it has ended again
        assert part.exists() or committed(journal) > 0
    # Slurm lets them wait for two minutes. A few seconds are needed: it revokes a task's credential by the second.
    time.sleep(5)
    for task in (1, 2):  # refused if these minutes are over
        subprocess.run(["scontrol", "update", f"JobId={job}_{task}", "StartTime=now"], env=slurm)
    wait_until(lambda: all(path.exists() for path in parts))
    told(slurm, "fne", "merge", *parts, place / "array.h5")
    assert (place / "array.h5").read_bytes() == (place / "whole.h5").read_bytes()
    for path in parts:
        runs = json.loads(path.with_name(path.name + ".run.json").read_text())["runs"]
        assert len(runs) == 2, "the task began anew"
    logs = "".join(path.read_text() for path in place.glob("slurm-*.out"))
    assert sorted(re.findall("going on after [0-9]+ of (89[89]) images", logs)) == ["898", "899"]
    # `scontrol requeue` kills the other one after KillWait: on a busy machine that is before it could say what is safe
    assert re.search("of 899 images safe", logs)


def test_workers_as_slurm_jobs_one_of_which_is_cancelled(slurm, place):
    def jobs() -> list[str]:
        return told(slurm, "squeue", "-h", "-o", "%i", "-n", "fne").split()

    toml = 'kind = "slurm"\nworkers = 2\n[slurm]\ncores = 1\nmemory = "2GB"\nwalltime = "00:20:00"\n'
    (place / "cluster.toml").write_text(toml + f'log_folder = "{place}/logs"\n')
    words = ["fne", "extract", "digits", "jobs.h5", *OPTIONS, "--cluster", "cluster.toml"]
    go_on = place / "the-workers-go-on"
    with (place / "client.log").open("w") as log:
        environment = slurm | {"HELD_UNTIL": str(go_on)}
        client = subprocess.Popen(words, cwd=place, env=environment, stderr=log)
    try:
        journals = place / "jobs.h5.shards"
        wait_for(lambda: any(map(committed, journals.glob("*.partial.json"))), client)
        first = jobs()[0]
        told(slurm, "scancel", first)
        wait_until(lambda: first not in jobs())
        go_on.touch()
        assert client.wait() == 0, (place / "client.log").read_text()
    finally:
        client.kill()
    assert (place / "jobs.h5").read_bytes() == (place / "whole.h5").read_bytes()
    wait_until(lambda: not jobs())


def test_shards_under_make(slurm, place):
    options = f"OPTIONS={' '.join(OPTIONS)}"
    words = ["make", "-f", SCRIPTS / "shards.mk", "-j2", "IMAGES=digits", "OUTPUT=made", "SHARDS=2", options]
    made = subprocess.run([str(word) for word in words], cwd=place, env=slurm, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert (place / "made.h5").read_bytes() == (place / "whole.h5").read_bytes()
