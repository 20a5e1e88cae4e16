"""fne extract --cluster from the command line: the bytes and the exit codes of one process, whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pictures import write_image
from places import BUILDERS
from waiting import committed, wait_for

FNE = [sys.executable, "-m", "fne_cli"]
pytestmark = pytest.mark.slow  # every worker loads TensorFlow


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    subprocess.run([*FNE, "sample", "digits", folder / "digits", "-q"], check=True)
    subprocess.run([*FNE, "extract", folder / "digits", folder / "whole.h5", "--model", "mini", "-q"], check=True)
    return folder


@pytest.fixture
def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(BUILDERS), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "DASK_DISTRIBUTED__WORKER__PRELOAD": "['quick_commits']"}


@pytest.fixture
def go(environment, tmp_path) -> Path:
    """A file that workers of this environment wait for, each with 100 images committed and more on the way."""
    environment["HELD_UNTIL"] = str(tmp_path / "go")
    return tmp_path / "go"


def finished(words, environment, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FNE, *map(str, words)], env=environment, capture_output=True, text=True, **more)


def begun(words, environment, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen([*FNE, *map(str, words)], env=environment, stderr=file, start_new_session=True)


def wait_for_commits(output: Path, client: subprocess.Popen[bytes], images: int = 1) -> None:
    """Until that many images are safe."""
    shards = output.with_name(output.name + ".shards")
    wait_for(lambda: sum(map(committed, shards.glob("*.h5.partial.json"))) >= images, client)


def workers_of(client: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(client.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended while we look; ZombieProcess is one, too
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def long(digits: Path, output: Path) -> list[object]:
    return ["extract", digits / "digits", output, "--model", "mini", "--crops", 5]


@pytest.fixture(scope="module")
def longer(digits) -> bytes:
    """What one process makes of five crops of each digit."""
    subprocess.run([*FNE, *map(str, long(digits, digits / "longer.h5")), "-q"], check=True)
    return (digits / "longer.h5").read_bytes()


def test_two_workers_write_the_bytes_of_one_process(digits, environment, tmp_path):
    output = tmp_path / "a.h5"
    words = ["extract", digits / "digits", output, "--model", "mini"]
    result = finished([*words, "--cluster", "local:2", "--shard-rows", 300], environment)
    assert result.returncode == 0, result.stderr
    assert output.read_bytes() == (digits / "whole.h5").read_bytes()
    assert "Dask's dashboard: http://" in result.stderr
    assert "1,797 images in 6 shards" in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "a.h5.run.json"]
    for more in ([], ["--cluster", "local:2"]):
        again = finished([*words, *more], environment)
        assert (again.returncode, "up to date" in again.stderr, "Dask" in again.stderr) == (0, True, False)


def test_other_settings_and_bad_images_end_as_those_of_one_process_do(environment, network, photos, tmp_path):
    output = tmp_path / "a.h5"
    (photos / "train" / "b" / "05.png").write_bytes(b"")
    words = ["extract", photos, output, "--model", network, "--preprocess", "tf", "--batch-size", 4]
    cluster = ["--cluster", "local:1", "--shard-rows", 7]
    refused = finished([*words, *cluster], environment)
    assert (refused.returncode, output.exists()) == (3, False)
    assert "1 of 26 images is bad:\n  train/b/05.png: 0 bytes" in refused.stderr
    assert finished([*words, *cluster, "--max-bad", "1"], environment).returncode == 0
    one = [*words[:2], tmp_path / "one.h5", *words[3:], "--max-bad", "1"]
    assert finished(one, environment).returncode == 0
    assert output.read_bytes() == (tmp_path / "one.h5").read_bytes()
    other = finished([*words, *cluster, "--resize", "crop"], environment)
    assert (other.returncode, 'resize: "squash" in the existing output, "crop"' in other.stderr) == (4, True)
    write_image(photos / "train" / "b" / "05.png", 5)
    mended = finished([*words, *cluster, "--retry-bad"], environment)
    assert mended.returncode == 0, mended.stderr
    assert finished([*one, "--retry-bad"], environment).returncode == 0
    assert output.read_bytes() == (tmp_path / "one.h5").read_bytes()
    wrong = finished([*words[:2], tmp_path / "b.h5", "--model", "nonsense", *cluster], environment)
    assert (wrong.returncode, "'nonsense' should be a network's name" in wrong.stderr) == (1, True)
    assert not list(tmp_path.glob("b.h5*"))


def test_paths_on_standard_input(environment, network, photos, tmp_path):
    paths = "".join(f"{path.relative_to(photos)}\n" for path in sorted(photos.rglob("*.png"), reverse=True))
    known = ["--root", photos, "--model", network, "--preprocess", "tf", "--batch-size", 4]
    assert finished(["extract", "-", tmp_path / "one.h5", *known], environment, input=paths).returncode == 0
    shared = ["extract", "-", tmp_path / "a.h5", *known, "--cluster", "local:2"]
    result = finished(shared, environment, input=paths)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "one.h5").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_of_them_keeps_what_was_done(digits, longer, environment, go, tmp_path, number, code):
    output = tmp_path / "a.h5"
    words = [*long(digits, output), "--cluster", "local:2"]
    client = begun(words, environment, tmp_path / "log")
    wait_for_commits(output, client, 100)
    os.killpg(client.pid, number)
    go.touch()
    assert client.wait() == code, (tmp_path / "log").read_text()
    assert "of 1,797 images safe. Run the same command again to go on." in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    shards = tmp_path / "a.h5.shards"
    whole = len(list(shards.glob("*.h5")))  # where the client was slow to pass the signal on
    assert sum(map(committed, shards.glob("*.partial.json"))) + 898 * whole >= 100
    again = finished([*words, "--shard-rows", 99], environment)
    assert again.returncode == 0, again.stderr
    assert "going on with the 2 shards in a.h5.shards" in again.stderr
    assert output.read_bytes() == longer


def test_killed_workers_cost_what_they_had_not_committed(digits, longer, environment, go, tmp_path):
    output, chance = tmp_path / "a.h5", random.Random(0)
    client = begun([*long(digits, output), "--cluster", "local:2"], environment, tmp_path / "log")
    for number in range(1, 4):
        wait_for_commits(output, client, 100 + 100 * number)  # both have come to their hundred, and the last one again
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(workers_of(client)).kill()
    go.touch()
    assert client.wait() == 0, (tmp_path / "log").read_text()
    assert output.read_bytes() == longer
    images = sum(run["images"] for run in json.loads((tmp_path / "a.h5.run.json").read_text())["runs"])
    assert 1797 <= images < 2 * 1797, "the shards began anew"


@pytest.fixture
def scheduler(environment, tmp_path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A Dask scheduler and a worker, as other programs."""
    processes = []

    def start(*more: object) -> None:
        command = [sys.executable, "-m", *map(str, more)]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True))

    def cluster(address: str, *more: str) -> list[subprocess.Popen[bytes]]:
        processes.clear()
        port = address.rsplit(":", 1)[1]
        start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        start("distributed.cli.dask_worker", address, "--nthreads", 1, "--no-dashboard", *more)
        return processes

    yield cluster
    for process in processes:
        process.kill()
        process.wait()


def free_address() -> str:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{found.getsockname()[1]}"


RESOURCE = ("--resources", "fne=1", "--memory-limit", "0")


def test_a_scheduler_that_is_killed_is_missed_and_the_same_command_resumes(
    digits, longer, environment, go, scheduler, tmp_path
):
    output, address = tmp_path / "a.h5", free_address()
    words = [*long(digits, output), "--cluster", address, "--shard-rows", 4000]
    processes = scheduler(address, *RESOURCE)
    client = begun(words, environment, tmp_path / "log")
    wait_for_commits(output, client, 100)
    processes[0].kill()
    go.touch()
    assert client.wait() == 1
    assert (
        f"fne: The Dask scheduler {address} should stay until the work is done. Found: it is gone."
        in (tmp_path / "log").read_text()
    )
    processes[1].terminate()
    processes[1].wait()
    processes[0].wait()
    scheduler(address, *RESOURCE)
    again = finished(words, environment)
    assert again.returncode == 0, again.stderr
    assert output.read_bytes() == longer


def test_workers_that_would_do_several_tasks_at_once_are_refused(digits, environment, scheduler, tmp_path):
    address = free_address()
    scheduler(address)
    result = finished([*long(digits, tmp_path / "a.h5"), "--cluster", address], environment)
    assert result.returncode == 1
    assert "should have the resource fne" in result.stderr
    assert "dask worker SCHEDULER --nthreads 1 --resources fne=1" in result.stderr


def test_no_scheduler_there(digits, environment, tmp_path):
    environment |= {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    result = finished([*long(digits, tmp_path / "a.h5"), "--cluster", free_address()], environment)
    assert result.returncode == 1
    assert "should be a Dask scheduler. Found:" in result.stderr
    assert "Traceback" not in result.stderr
