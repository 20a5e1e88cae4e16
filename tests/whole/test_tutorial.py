"""The tutorial: every command as it stands, in one fresh folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import DOCS


def commands(page: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_every_command_of_the_tutorial_works(tmp_path):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    said = {}
    assert len(commands("tutorial.md")) > 15
    written = re.findall(r"^```toml\n# (\S+)\n(.*?)^```", (DOCS / "tutorial.md").read_text(), re.MULTILINE | re.DOTALL)
    assert written
    for name, text in written:
        (tmp_path / name).write_text(text)
    for line in commands("tutorial.md"):
        done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        said[line] = done.stdout
    assert "97.1" in said["fne evaluate codes.h5 results.json"]
    layers = said["fne evaluate activations.h5 layers.json"].splitlines()
    figures = {line.split()[0]: float(line.split()[4]) for line in layers[1:]}
    assert max(figures, key=figures.__getitem__) == "block4_conv1"
    assert figures["block4_conv1"] == pytest.approx(94.6, abs=0.1)
    assert figures["fc2"] == pytest.approx(49.2, abs=0.3)


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_somewhere(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        assert target.startswith("http") or (DOCS / target).exists(), target


def test_options_in_the_pages_exist():
    known = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", (DOCS / "cli.md").read_text(encoding="utf-8")))
    for page in ("tutorial.md", "faq.md", "evaluation.md", "experiments.md"):
        for line in re.findall(r"fne \w+[^`\n]*", (DOCS / page).read_text(encoding="utf-8")):
            for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", line):
                assert option in known, f"{page}: {option}"
