"""Compiled kernels, and their cache on the disk when several processes fill it in the same moment."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import pytest

from fne_cli.compiled import _LockedEntries, compiled


def twice(number):
    return 2 * number


@pytest.mark.parametrize("error", [RuntimeError("no locator available"), OSError("read-only file system")])
def test_a_cache_that_cannot_be_written_costs_only_time(error, monkeypatch):
    real = numba.njit

    def refuse(*arguments, cache=False, **options):
        if cache:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    kernel = compiled("int64(int64)")(twice)
    assert kernel(21) == 42
    assert len(kernel.signatures) == 1
    with pytest.raises(TypeError, match="No matching definition"):
        kernel("a")


class Entries:
    """What numba keeps of a function, and in which order it was written."""

    def __init__(self, folder: Path) -> None:
        self._index_path = str(folder / "twice.nbi")
        self.index: dict[str, str] = {}
        self.data: dict[str, str] = {}
        self.order: list[str] = []

    def _load_index(self):
        return dict(self.index)

    def _save_index(self, index):
        self.order.append("index")
        self.index = index

    def _data_name(self, number):
        return f"twice.{number}.nbc"

    def _save_data(self, name, data):
        self.order.append(name)
        self.data[name] = data

    def load(self, key):
        return self.data[self.index[key]] if key in self.index else None


def test_the_code_is_there_before_the_index_names_it(tmp_path):
    entries = Entries(tmp_path)
    locked = _LockedEntries(entries)
    entries.data["twice.1.nbc"] = "code of an older version, which nobody names"
    for key in ("int64", "float64", "int64"):
        locked.save(key, f"code for {key}")
    assert entries.order == ["twice.1.nbc", "index", "twice.2.nbc", "index", "twice.1.nbc"]
    assert [locked.load(key) for key in ("int64", "float64", "int8")] == ["code for int64", "code for float64", None]


def test_nobody_writes_while_another_does(tmp_path):
    entries = Entries(tmp_path)
    with open(entries._index_path + ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread = threading.Thread(target=_LockedEntries(entries).save, args=("int64", "code"))
        thread.start()
        thread.join(0.2)
        assert (thread.is_alive(), entries.order) == (True, [])
    thread.join(60)
    assert entries.order == ["twice.1.nbc", "index"]


KERNEL = """
import json, os, sys, time
import numpy as np
from fne_cli.compiled import compiled


@compiled()
def add(values, more):
    total = values[0] * 0
    for value in values:
        total += value
    return total + more


kinds = ["f8", "f4", "i8", "i4", "i2", "u1", "u4", "c16"]
if __name__ == "__main__":
    own = kinds[int(sys.argv[1]):int(sys.argv[2])]
    print("ready", flush=True)
    sys.stdin.readline()
    found = {kind: str(add(np.array([1, 2, 4], kind), 10)) for kind in own}
    print(json.dumps([found, sum(add.stats.cache_hits.values())]), flush=True)
"""


def start(folder: Path, *words: object) -> subprocess.Popen[str]:
    where = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": where}
    command = [sys.executable, folder / "kernel.py", *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)


@pytest.mark.slow
def test_eight_processes_fill_one_cache_in_the_same_moment(tmp_path):
    """Each with another signature; numba alone gave two of them one file, and each then ran the other's code."""
    (tmp_path / "kernel.py").write_text(KERNEL)
    processes = [start(tmp_path, number, number + 1) for number in range(8)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
    last = start(tmp_path, 0, 8)
    found, hits = json.loads(last.communicate("\n", timeout=120)[0].splitlines()[-1])
    expected = dict.fromkeys(("f8", "f4"), "17.0") | dict.fromkeys(("i8", "i4", "i2", "u1", "u4"), "17")
    assert found == expected | {"c16": "(17+0j)"}
    assert hits == 8, "nothing is to be compiled any more"


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["", "garbage", None])
def test_a_cache_that_is_damaged_or_torn_is_made_again(tmp_path, spoil):
    (tmp_path / "kernel.py").write_text(KERNEL)
    start(tmp_path, 0, 2).communicate("\n", timeout=120)
    for path in (tmp_path / "cache").rglob("*.nbc"):
        if spoil is None:
            path.unlink()
        else:
            path.write_text(spoil)
    output, _ = start(tmp_path, 0, 2).communicate("\n", timeout=120)
    assert json.loads(output.splitlines()[-1]) == [{"f8": "17.0", "f4": "17.0"}, 0]
