"""docs/library.md: its code as it stands, in one fresh folder; and the face of the package."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from places import DOCS

import fne_cli

PAGE = (DOCS / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_code_of_the_page_runs_and_prints_what_it_says(tmp_path):
    program = tmp_path / "page.py"
    code = "\n".join(BLOCKS)
    body = "\n".join(f"    {line}" if line else "" for line in code.splitlines())
    program.write_text(f'if __name__ == "__main__":\n{body}\n')
    done = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("1797 3104 (")
    assert float(said[1]) == pytest.approx(0.971, abs=0.001)
    assert "activations" in done.stdout
    assert said[-3] == "{'rows': 26955}"  # 1,797 images, 15 layers
    assert said[-2].startswith("codes.h5 should be an fne activations file. Found: kind=codes.")
    assert said[-1] == "True"


def test_every_name_is_there_and_stands_on_the_page():
    for name in fne_cli.__all__:
        assert getattr(fne_cli, name) is not None
        assert name.startswith("__") or f"`{name}`" in PAGE, name
    assert set(fne_cli.__all__) <= set(dir(fne_cli))
    assert set(fne_cli._FACE) | {"__version__"} == set(fne_cli.__all__)


def test_nothing_heavy_comes_with_the_package():
    heavy = ("numpy", "h5py", "numba", "sklearn", "scipy", "keras", "tensorflow", "click")
    program = f"import sys, fne_cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
