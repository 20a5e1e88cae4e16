"""docs/notebooks: the code of each as it stands, in a fresh folder, prints what is stored with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import DOCS, ROOT

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
MARK = "== the next cell"


def cells(path: Path) -> list[tuple[str, str]]:
    """The code of each cell, and what it printed."""
    found = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            printed = ["".join(one["text"]) for one in cell["outputs"] if one["output_type"] == "stream"]
            found.append(("".join(cell["source"]), "".join(printed)))
    return found


def test_notebooks_are_stored_with_what_they_print_and_draw():
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        kinds = {kind for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
                 for one in cell.get("outputs", []) for kind in one.get("data", {})}  # fmt: skip
        assert {"text/html", "image/png"} <= kinds
        assert "/tmp" not in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_again_what_is_stored_with_it(path, tmp_path):
    program = "\n".join(f"{code}\nprint({MARK!r})" for code, _ in cells(path))
    (tmp_path / "notebook.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{MARK}\n")
    for (code, stored), now in zip(cells(path), printed, strict=False):
        if "seconds" not in code:
            assert now == stored, code
