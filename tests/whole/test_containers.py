"""The recipes of containers: what they name is there. scripts/test_image.sh builds the image and runs it."""

from __future__ import annotations

import re
import subprocess
import tomllib

from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKER = (ROOT / "Dockerfile").read_text(encoding="utf-8")
APPTAINER = (ROOT / "apptainer.def").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, with lines that go on joined."""
    lines = [line for line in DOCKER.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def copied() -> list[str]:
    sources = [word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]]
    files = APPTAINER.partition("%files")[2].partition("%post")[0].split()
    return [*sources, *files[::2]]


def test_what_is_copied_is_there_and_not_ignored():
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert kept[0] == "*"
    for name in copied():
        assert (ROOT / name).exists() and f"!{name}" in kept
    needed = {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "setup.cfg", "constraints.txt", "fne_cli"}
    assert needed <= set(copied())


def test_extras_and_commands_are_those_of_the_package():
    for text in (DOCKER, APPTAINER):
        extras = {name for found in re.findall(r"\[([a-z,]+)\]", text) for name in found.split(",")}
        assert extras and extras <= set(PROJECT["optional-dependencies"])
    assert "fne" in PROJECT["scripts"]
    assert dict(instructions())["ENTRYPOINT"] == '["fne"]' and 'exec fne "$@"' in APPTAINER


def test_images_have_a_version_that_the_package_takes_and_nobody_is_root():
    images = [dict(instructions())["FROM"], re.search(r"^From: (.*)$", APPTAINER, re.MULTILINE)[1]]
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    for image in images:
        version = re.fullmatch(r"python:(\d+)\.(\d+)-slim", image)
        assert version and (int(version[1]), int(version[2])) >= least
    assert dict(instructions())["USER"] not in ("0", "root")
    assert subprocess.run(["sh", "-n"], input=dict(instructions())["RUN"], text=True).returncode == 0
