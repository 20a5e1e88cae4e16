"""Imports of large libraries: what is hidden from them, and from whom nothing is."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from fne_cli.imports import lean

PROGRAM = """
import gc
from fne_cli import imports
{claim}
with imports.lean(["colorsys"]):
    assert not gc.isenabled()
    try:
        import colorsys
        print("there")
    except ImportError:
        print("hidden")
assert gc.isenabled()
import colorsys
print(colorsys.rgb_to_hls(0, 0, 0)[0])
"""


@pytest.mark.parametrize(("claim", "found"), [("imports.claim()", "hidden"), ("", "there")])
def test_unwanted_packages_are_hidden_from_commands_alone_and_only_meanwhile(claim, found):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(claim=claim)], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == ([found, "0.0"], "")


def test_whoever_collects_no_garbage_does_not_do_so_afterwards():
    gc.disable()
    try:
        with lean():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
