"""A disk that fails to read, write or sync, and one that loses what was not synced: no output is ever wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluation_files import evaluate
from places import BUILDERS, ROOT
from real_files import write_all

COMMANDS = {
    "normalize": "normalize activations.h5 out.h5",
    "standardized": "normalize activations.h5 out.m.h5 --standardized out.h5",
    "discretize": "discretize activations.h5 moments.h5 out.h5",
    "packed": "discretize activations.h5 moments.h5 out.h5 --packed",
    "analyze": "analyze activations.h5 out.h5 --random-classes 3",
    "evaluate": "evaluate codes.h5 out.json --predictions out.csv --model out.npz",
    "predict": "predict classifier.npz codes.h5 out.csv",
    "export": "export codes.h5 out.npy",
}
FAST = ("discretize", "evaluate")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that is loaded before the C library."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    source = BUILDERS / "faults.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = (tmp_path / "disk").resolve()
    folder.mkdir()
    _, _, codes = write_all(folder, 24)
    evaluate(codes, folder / "results.json", model=folder / "classifier.npz")
    return folder


def on(shim: Path, place: Path, mode: str, words: str, most: int = 0) -> Any:
    environment = os.environ | {"LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    program = [sys.executable, BUILDERS / "faulty_disk.py", place, mode, str(most), *words.split()]
    done = subprocess.run(program, env=environment, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def chosen(names: tuple[str, ...]) -> list[Any]:
    return [pytest.param(name, marks=() if name in names else pytest.mark.slow) for name in COMMANDS]


def check(found: list[dict[str, Any]]) -> None:
    assert {one["kind"] for one in found} == set("rws")
    for one in found:
        assert one["exit"] in (0, 1), one
        assert one["whole"] if one["exit"] == 0 else "Traceback" not in one["said"], one
        assert (one["wrong"], one["again"], one["same"]) == ([], 0, True), one
    assert any(one["exit"] for one in found)


@pytest.mark.parametrize("name", chosen(("discretize",)))
def test_input_and_output_errors(shim, place, name):
    """Some of the calls fail, one at a time. The output is right or absent, and the same command then makes it."""
    check(on(shim, place, "eio", COMMANDS[name], 1 if name == "discretize" else 12))


@pytest.mark.slow
def test_every_call_may_fail(shim, place):
    check(on(shim, place, "eio", COMMANDS["discretize"], 1 << 20))


@pytest.mark.parametrize("name", chosen(FAST))
def test_a_cut_of_the_power(shim, place, name):
    """After every call: if the output has its name, all its bytes were synced before. At the end its name is, too."""
    found = on(shim, place, "power", COMMANDS[name])
    assert found["calls"] > 5
    assert found["outputs"]
    assert found["renamed"] == found["outputs"]
    assert found["wrong"] == []
    assert found["unsynced"] == []
