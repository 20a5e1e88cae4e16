"""fne extract of what is there already: told by the record and by the bytes, and as surely as HDF5 tells it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from pictures import write_image

from fne_cli.store.output.notes import read_record, record_path, write_json

HEAVY = {"numpy", "h5py", "tensorflow", "keras", "PIL", "numba", "scipy"}


@pytest.fixture
def done(extract, tmp_path) -> Path:
    """Activations of five images."""
    for number in range(5):
        write_image(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", number)
    assert extract("photos", "a.h5").code == 0
    return tmp_path / "a.h5"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded_by(*arguments: object) -> tuple[str, set[str]]:
    """What a command says, and which of the large libraries it has loaded."""
    code = (
        "import sys\n"
        "from fne_cli.cli.main import main\n"
        "try:\n"
        f"    main({[str(argument) for argument in arguments]!r})\n"
        "finally:\n"
        f"    print(*({HEAVY!r} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stderr, set(ended.stdout.split())


def test_what_is_up_to_date_is_told_without_libraries(done, network):
    said, loaded = loaded_by("extract", "photos", "a.h5", *_OPTIONS, "--model", network)
    assert "a.h5 is up to date: 5 images" in said
    assert not loaded


_OPTIONS = ("--preprocess", "tf", "--batch-size", "4")


def flipped(at: Callable[[Path], int]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at(path)] ^= 4
        path.write_bytes(content)

    return spoil


def chunk(name: str) -> Callable[[Path], int]:
    def place(path: Path) -> int:
        with h5py.File(path) as file:
            return int(file[name].id.get_chunk_info(0).byte_offset) + 1

    return place


def other_extraction(path: Path) -> None:
    """Another one, by hand, with the record of this one."""
    with h5py.File(path, "r+") as file:
        file["images/label"][0] = 1


SPOILT = {
    "nothing": lambda path: None,
    "a header": flipped(lambda path: 600),
    "a path": flipped(chunk("images/path")),
    "a label": flipped(chunk("images/label")),
    "a status": flipped(chunk("images/status")),
    "a digest": flipped(chunk("images/sha256")),
    "the seal": flipped(lambda path: path.stat().st_size - 1),
    "the seal's digest": flipped(lambda path: path.stat().st_size - 50),
    "the end": lambda path: os.truncate(path, path.stat().st_size - 100),
    "all": lambda path: os.truncate(path, 0),
    "more": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "another file": other_extraction,
    "another image": lambda path: write_image(path.parent / "photos/a/0.png", 9),
    "one more image": lambda path: write_image(path.parent / "photos/a/9.png", 9),
    "no record": lambda path: record_path(path).unlink(),
    "no file": lambda path: path.unlink(),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_what_has_changed_is_noticed_as_by_hdf5(spoilt, done, extract, tmp_path):
    """With what the record has of the bytes, and without, when HDF5 is asked as for every older output."""
    said = []
    for known in (True, False):
        folder = tmp_path / str(known)
        folder.mkdir()
        shutil.copytree(tmp_path / "photos", folder / "photos", copy_function=shutil.copy2)
        for path in (done, record_path(done)):
            shutil.copy2(path, folder / path.name)
        record = read_record(folder / "a.h5")
        assert set(record["intact"]) == {"seal", "table", "sha256"}
        if not known:
            write_json(record_path(folder / "a.h5"), {name: record[name] for name in record if name != "intact"})
        SPOILT[spoilt](folder / "a.h5")
        os.chdir(folder)
        ended = extract("photos", "a.h5")
        said.append((ended.code, ended.err))
        assert ("a.h5 is up to date: 5 images" in ended.err) == (spoilt in ("nothing", "no record"))
    assert _without_times(said[0]) == _without_times(said[1])


def _without_times(said: tuple[int, str]) -> tuple[int, list[str]]:
    code, text = said
    return code, [line.split(" in ")[0].split(" free on")[0].split(", ")[0] for line in text.splitlines()]


def test_an_output_with_bad_images_is_opened(extract, tmp_path):
    write_image(tmp_path / "photos" / "a" / "1.png", 1)
    (tmp_path / "photos" / "a" / "2.png").write_bytes(b"no image")
    assert extract("photos", "a.h5", "--max-bad", 1).code == 0
    again = extract("photos", "a.h5", "--max-bad", 1)
    assert "a.h5 is up to date: 2 images" in again.err
    assert "1 of 2 images is bad" in again.err


def test_derived_outputs_are_told_without_what_computes(done, fne):
    for words in (("normalize", "a.h5", "m.h5"), ("discretize", "a.h5", "m.h5", "c.h5")):
        assert fne(*words, *(("--rows", "all") if words[0] == "normalize" else ())).code == 0
    for words in (("normalize", "a.h5", "m.h5", "--rows", "all"), ("discretize", "a.h5", "m.h5", "c.h5")):
        said, loaded = loaded_by(*words)
        assert "up to date" in said
        assert loaded == {"numpy", "h5py"}
