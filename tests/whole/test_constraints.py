"""constraints.txt has a version for everything that pyproject.toml asks for, and one that it permits."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINNED = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
}


@pytest.mark.parametrize(
    "text", sorted({*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["dask"], *EXTRAS["report"]})
)
def test_every_requirement_has_a_tested_version(text):
    wanted = Requirement(text)
    assert PINNED[canonicalize_name(wanted.name)] in wanted.specifier


def test_scripts_install_with_it():
    for name in ("demo.sh", "test.sh"):
        assert "--constraint constraints.txt" in (ROOT / "scripts" / name).read_text()
