"""docs/format.md against real files, both ways."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from fne_cli.images.bad import Status

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "format.md").read_text(encoding="utf-8")
KINDS = ("activations", "moments", "standardized", "plain codes", "packed codes")


def rows_below(title: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def of_kind(cell: str, kind: str) -> bool:
    return cell == "all" or bool({kind, kind.rsplit(maxsplit=1)[-1]} & set(cell.split(", ")))


@pytest.fixture
def files(fne, extract, photos, tmp_path):
    (photos / "train" / "a" / "zz.png").write_bytes(b"")
    paths = {kind: tmp_path / f"{kind}.h5" for kind in KINDS}
    assert extract(photos, paths["activations"], "--max-bad", 1, "--pool", "conv1=none").code == 0
    source, moments = paths["activations"], paths["moments"]
    assert fne("normalize", source, moments, "--standardized", paths["standardized"]).code == 0
    assert fne("discretize", source, moments, paths["plain codes"]).code == 0
    assert fne("discretize", source, moments, paths["packed codes"], "--packed").code == 0
    return paths


def test_the_root_has_exactly_the_attributes_of_the_page(files):
    for kind in KINDS:
        with h5py.File(files[kind]) as file:
            described = {name for name, _, kinds, _ in rows_below("The root's attributes") if of_kind(kinds, kind)}
            assert set(file.attrs) == described
            assert len(file.attrs["fingerprint"]) == 64
            assert (file.attrs["format"], file.attrs["version"], file.attrs["kind"]) == (
                b"fne",
                1,
                kind.split()[-1].encode(),
            )


def test_every_dataset_is_described_and_every_description_is_a_dataset(files):
    for kind in KINDS:
        described = {
            path: (shape, dtype) for path, shape, dtype, kinds, _ in rows_below("Datasets") if of_kind(kinds, kind)
        }
        seen = set()
        with h5py.File(files[kind]) as file:
            images, classes = 27, 3

            def check(name, item, described=described, seen=seen, images=images, classes=classes):
                if not isinstance(item, h5py.Dataset):
                    return
                path = re.sub(r"^/layers/[^/]+", "/layers/<name>", f"/{name}")
                shape, dtype = described[path]
                seen.add(path)
                if dtype.startswith("text"):
                    assert item.dtype.kind == "S"
                    assert h5py.check_string_dtype(item.dtype).encoding == "utf-8"
                    length = re.search(r"(\d+) bytes", dtype)
                    assert not length or item.dtype.itemsize == int(length[1])
                else:
                    assert item.dtype.name in dtype
                first = {"n": images, "n * c": images, "k": classes, "features": item.shape[0]}
                assert item.shape[0] == first[re.match(r"\(([^,)]+)", shape)[1]]
                assert item.ndim == 1 or "features" in shape
                if path != "/classes":
                    assert item.fletcher32
                    assert item.chunks is not None
                    assert item.compression is None

            file.visititems(check)
        assert seen == set(described), kind


def test_every_layer_has_exactly_the_attributes_of_the_page(files):
    for kind in KINDS:
        described = {name for name, _, kinds, _ in rows_below("Attributes of a layer") if of_kind(kinds, kind)}
        with h5py.File(files[kind]) as file:
            for number, name in enumerate(sorted(file["layers"], key=lambda name: file["layers"][name].attrs["order"])):
                attributes = file["layers"][name].attrs
                assert set(attributes) == described, (kind, name)
                assert attributes["order"] == number


def test_the_status_codes_are_those_of_the_page():
    assert {int(number): name for number, name, _ in rows_below("Status")} == {s.value: s.name for s in Status}


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_program_computes_the_fingerprint(files, kind, monkeypatch):
    section = PAGE.split("## The fingerprint\n", 1)[1]
    program = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1].replace("photos.h5", str(files[kind]))
    exec(compile(program, "docs/format.md", "exec"), {})


def test_the_pages_three_lines_read_packed_codes(files):
    section = PAGE.split("## Packed codes\n", 1)[1]
    program = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    with h5py.File(files["plain codes"]) as plain:
        for name in plain["layers"]:
            found = {"h5py": h5py, "np": np}
            own = program.replace("codes.h5", str(files["packed codes"])).replace("fc2", name)
            exec(compile(own, "docs/format.md", "exec"), found)
            assert np.array_equal(found["codes"], plain["layers"][name][:]), name
            found["layer"].file.close()


def test_bad_images_are_nan_or_0(files):
    with (
        h5py.File(files["activations"]) as activations,
        h5py.File(files["standardized"]) as scores,
        h5py.File(files["plain codes"]) as codes,
        h5py.File(files["packed codes"]) as packed,
    ):
        (bad,) = np.flatnonzero(activations["images/status"][:])
        for name in activations["layers"]:
            assert np.isnan(activations["layers"][name][bad]).all()
            assert np.isnan(scores["layers"][name][bad]).all()
            assert np.isfinite(scores["layers"][name][:bad]).all()
            assert not codes["layers"][name][bad].any()
            assert not packed["layers"][name][bad].any()
            assert np.isfinite(activations["layers"][name][:bad]).all()
