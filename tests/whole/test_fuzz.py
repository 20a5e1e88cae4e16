"""Short forms of scripts/fuzz_files.py, and what it has ever found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from places import ROOT, SCRIPTS

CORPUS = ROOT / "tests" / "corpus"


def fuzz(*options: str) -> tuple[int, Any]:
    done = subprocess.run([sys.executable, SCRIPTS / "fuzz_files.py", *options], capture_output=True, text=True)
    assert done.stdout, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout)


def test_what_was_ever_found_is_refused():
    code, found = fuzz("--corpus", str(CORPUS))
    assert [one["file"] for one in found] == sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob("*/*"))
    assert [one for one in found if one["outcome"] != "refused"] == []
    assert code == 0


def test_some_files_of_the_quick_kinds():
    code, found = fuzz("--kind", "table,toml,tar", "--most", "5", "--seed", "1")
    assert found["total"]["findings"] == 0, found
    assert found["total"]["inputs"] == 5 * len(found["samples"])
    assert found["total"]["refused"] > 0
    assert code == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["h5", "keras,network", "onnx", "npz,results", "image,tar", "table,toml"])
def test_files_of_all_kinds_for_a_minute_together(kind):
    code, found = fuzz("--kind", kind, "--seconds", str(12 / len(kind.split(","))), "--seed", "2")
    assert (found["total"]["findings"], code) == (0, 0), found
    assert found["total"]["inputs"] > 0
