"""The page of what IMAGES may be: its example, as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from places import DOCS


@pytest.mark.slow
def test_the_example_says_what_the_page_says(fne, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "input.md").read_text(encoding="utf-8")
    commands, said = re.search(r"^```sh\n(.*?)^```\n\n```\n(.*?)^```", page, re.MULTILINE | re.DOTALL).groups()
    for line in commands.splitlines():
        if line.startswith("fne "):
            done = fne(*shlex.split(line)[1:])
            assert done.code == 0, done.err
        else:
            subprocess.run(line, shell=True, check=True)
    assert done.err == said
