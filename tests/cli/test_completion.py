"""fne completion: what the shells are told, and what they are answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_calls_fne(fne, shell):
    result = fne("completion", shell)
    assert result.code == 0
    assert f"_FNE_COMPLETE={shell}_complete" in result.out
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=result.out, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"), [("fne ev", "evaluate"), ("fne discretize --pa", "--packed"), ("fne completion z", "zsh")]
)
def test_words_are_completed(words, expected):
    environment = os.environ | {
        "_FNE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "fne_cli"], env=environment, text=True, capture_output=True, check=True
    )
    assert f"plain,{expected}" in done.stdout.splitlines()
