"""scripts/shards.mk: make does nothing twice, and changed options do not pass unseen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from places import SCRIPTS

RULES = SCRIPTS / "shards.mk"


@pytest.mark.slow
def test_options_that_have_changed_are_seen(photos, network, tmp_path):
    def make(options):
        words = ["make", "-f", RULES, "IMAGES=photos", "OUTPUT=made", "SHARDS=2", f"OPTIONS={options}"]
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)

    (tmp_path / "fne").write_text(f'#!/bin/sh\nexec {sys.executable} -m fne_cli "$@"\n')
    (tmp_path / "fne").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    options = f"--model {network} --preprocess tf"
    assert make(options).returncode == 0
    before = (tmp_path / "made.h5").read_bytes()
    assert make(options).stdout == "", "there is nothing to do"
    other = make(f"{options} --resize 'crop'")
    assert (other.returncode, 'resize: "squash" in the existing output, "crop"' in other.stderr) == (2, True)
    same = make(f"{options} --workers 3")
    assert (same.returncode, same.stderr.count("is up to date")) == (0, 2)
    assert (tmp_path / "made.h5").read_bytes() == before
