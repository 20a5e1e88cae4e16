"""Standard output that is full or closed, standard error too: a line and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from real_files import write_all

from fne_cli.cli.main import COMMANDS

PRINTS: dict[str, tuple[str, ...]] = {
    "analyze": ("a.h5", "new/b.h5"),
    "cluster": ("local:1", "--help"),
    "completion": ("bash",),
    "config": ("show", "c.toml"),
    "detect": ("--help",),
    "discretize": ("a.h5", "m.h5", "new/c.h5"),
    "doctor": ("--help",),
    "evaluate": ("c.h5", "-C", "1"),
    "export": ("c.h5", "new/e.copy"),
    "extract": ("--help",),
    "features": ("b.h5", "--help"),
    "info": ("a.h5",),
    "layers": ("mini",),
    "map": ("--help",),
    "merge": ("--help",),
    "normalize": ("a.h5", "new/m.h5"),
    "plot": ("--help",),
    "predict": ("k.npz", "c.h5"),
    "rank": ("a.h5",),
    "reduce": ("a.h5", "new/d.h5", "--components", "2"),
    "retrieve": ("a.h5",),
    "report": ("--help",),
    "run": ("c.toml", "--dry-run"),
    "sample": ("--help",),
    "scatter": ("c.h5", "new/x.csv", "--json"),
    "search": ("c.h5",),
    "split": ("--help",),
    "train": ("--help",),
    "transfer": ("--help",),
    "try": ("--help",),
    "tune": ("--help",),
    "verify": ("a.h5",),
    "vocabulary": ("--help",),
}
"""Words with which each command prints, as far as it ever does."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("streams")
    for old, new in zip(write_all(place, 24), ("a.h5", "m.h5", "c.h5"), strict=True):
        old.rename(place / new)
    (place / "c.toml").write_text('[datasets.d]\nsample = "digits"\n[networks.n]\nmodel = "mini"\n')
    (place / "new").mkdir()
    done = run(place, "evaluate", "c.h5", "r.json", "-C", "1", "--model", "k.npz", out=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return place


def run(folder: Path, *words: str, **streams: object) -> subprocess.CompletedProcess[str]:
    out, err = streams.get("out", subprocess.PIPE), streams.get("err", subprocess.PIPE)
    closed = streams.get("closed")
    return subprocess.run(
        [sys.executable, "-m", "fne_cli", *words], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=out, stderr=err, stdin=subprocess.DEVNULL, text=True,
        preexec_fn=None if closed is None else lambda: os.close(closed),
    )  # fmt: skip


def test_every_command_is_here():
    assert sorted(PRINTS) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "command",
    [name if name in ("predict", "info", "config") else pytest.param(name, marks=pytest.mark.slow) for name in PRINTS],
)
def test_a_full_device_is_a_line_and_the_exit_code_1(folder, command):
    """If it prints at all: what it makes is made, its notes go to standard error."""
    words = (command, *PRINTS[command])
    prints = run(folder, *words).stdout
    with open("/dev/full", "w") as full:
        done = run(folder, *words, out=full)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    if prints:
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last == "fne: standard output cannot be used: No space left on device."
    else:
        assert done.returncode == 0, done.stderr


def test_a_log_on_a_full_disk_costs_no_work(folder):
    with open("/dev/full", "w") as full:
        done = run(folder, "normalize", "a.h5", "new/log.h5", "--rows", "all", "-v", err=full)
        wrong = run(folder, "normalize", "absent.h5", "new/log2.h5", err=full)
    assert (done.returncode, wrong.returncode) == (0, 1)
    assert (folder / "new" / "log.h5").exists()


@pytest.mark.parametrize(("mode", "stamped"), [("a", True), ("w", False)])
def test_lines_of_a_log_that_is_appended_to_begin_with_the_time(folder, mode, stamped):
    log = folder / f"{mode}.log"
    with open(log, mode) as file:
        for name in ("a.h5", "absent.h5"):
            run(folder, "normalize", name, "new/timed.h5", "-v", err=file)
    lines = log.read_text().splitlines()
    beginnings = [bool(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line)) for line in lines]
    assert len(lines) >= 2 and beginnings == [stamped] * len(lines)
    assert "fne: absent.h5" in lines[-1]


@pytest.mark.parametrize(("closed", "code"), [(1, 0), (2, 0), (0, 0)])
def test_streams_that_are_closed_hand_their_numbers_to_no_file(folder, closed, code):
    (folder / "new" / "closed.h5").unlink(missing_ok=True)
    done = run(folder, "normalize", "a.h5", "new/closed.h5", closed=closed)
    assert done.returncode == code
    assert run(folder, "verify", "new/closed.h5").returncode == 0


def test_predictions_need_a_standard_output(folder):
    done = run(folder, "predict", "k.npz", "c.h5", closed=1)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fne: Standard output should be open for the predictions.")


@pytest.mark.parametrize("value", ["[1]", "{ a = 1 }", '"x"', "true", "1.5"])
@pytest.mark.parametrize("command", [("config", "show"), ("run",)])
def test_a_seed_of_another_type_is_told(fne, folder, tmp_path, command, value):
    path = tmp_path / "c.toml"
    path.write_text(f'[datasets.d]\nsample = "digits"\n[networks.n]\nmodel = "mini"\nseed = {value}\n')
    result = fne(*command, path)
    assert result.code in (1, 2)
    assert f"{path}, [networks.n] seed: " in result.err and len(result.err.splitlines()) == 1


def test_a_config_table_with_a_list_for_a_number(fne, folder, tmp_path):
    (tmp_path / "c.toml").write_text("[evaluate]\nseed = [1]\n")
    result = fne("evaluate", folder / "c.h5", "--config", tmp_path / "c.toml")
    assert result.code == 2
    assert "seed should be" in result.err and "Found: [1]." in result.err


def test_too_little_address_space_for_a_network_is_told(folder):
    """TensorFlow would end the process, or try for ever."""
    words = [sys.executable, "-m", "fne_cli", "layers", "mini"]
    shell = f"ulimit -v 3000000; {shlex.join(words)}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fne: Networks should have at least 3,500 MiB of addresses")
    assert "Found: a limit of 2,929 (ulimit -v)." in done.stderr


def test_a_batch_size_beyond_all_machines_is_told(fne, folder):
    result = fne("extract", folder, folder / "new" / "x.h5", "--batch-size", 2**63 - 1)
    assert result.code == 2
    assert "--batch-size" in result.err and "1<=x<=65536" in result.err


def test_a_list_that_cannot_be_read_is_not_taken_for_standard_output(fne, tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "list.csv").write_text("path,label\n")
    monkeypatch.setattr("fne_cli.steps.split.read_manifest", broken)
    monkeypatch.setattr("fne_cli.images.lists.source.list_images", broken)
    result = fne("split", tmp_path / "list.csv", tmp_path / "out.csv", "--test", 0.5)
    assert result.code == 1
    assert "Input/output error" in result.err and "standard output" not in result.err
