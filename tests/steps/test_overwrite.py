"""--overwrite replaces what is of the kind that the command writes; anything else was most likely mixed up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from commands import carry_out
from PIL import Image
from real_files import write_all

from fne_cli.errors import DifferentOutput
from fne_cli.steps.export import export
from fne_cli.store.output.notes import read_record, record_path, write_json


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes, results with predictions and a classifier, a manifest, a photograph."""
    folder = tmp_path_factory.mktemp("made")
    write_all(folder, 24)
    for number in range(8):
        (folder / f"{number}.png").touch()
    lines = ["path,label", *(f"{n}.png,{'ab'[n % 2]}" for n in range(8))]
    (folder / "list.csv").write_text("\n".join([*lines, ""]))
    outputs = ("--predictions", "p.csv", "--model", "k.npz")
    carry_out("evaluate", "codes.h5", "r.json", "-C", 1, *outputs, at=folder)
    carry_out("split", "list.csv", "s.csv", "--test", 0.5, at=folder)
    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    (folder / "photo.png").rename(folder / "photo.npz")
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    return folder


@pytest.fixture
def files(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, the working folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


EVALUATE = ("evaluate", "codes.h5", "r2.json", "-C", 1, "--overwrite")


@pytest.mark.parametrize(
    ("words", "victim", "expected"),
    [
        ((*EVALUATE, "--predictions", "k.npz"), "k.npz", "a table of predictions"),
        ((*EVALUATE, "--predictions", "s.csv"), "s.csv", "a table of predictions"),
        ((*EVALUATE, "--predictions", "notes.csv"), "notes.csv", "a table of predictions"),
        ((*EVALUATE, "--model", "p.csv"), "p.csv", "a classifier of fne evaluate"),
        ((*EVALUATE, "--model", "photo.npz"), "photo.npz", "a classifier of fne evaluate"),
        (("predict", "k.npz", "codes.h5", "s.csv", "--overwrite"), "s.csv", "a table of predictions"),
        (("predict", "k.npz", "codes.h5", "photo.npz", "--overwrite"), "photo.npz", "a table of predictions"),
        (("split", "list.csv", "p.csv", "--test", 0.5, "--overwrite"), "p.csv", "a manifest as fne split writes it"),
        (("split", "list.csv", "notes.csv", "--test", 0.5, "--overwrite"), "notes.csv", "a manifest as fne split"),
        (("export", "codes.h5", "k.npz", "--overwrite"), "k.npz", "the export .npz that fne has written"),
        (("export", "codes.h5", "p.csv", "--overwrite"), "p.csv", "the export .csv that fne has written"),
        (("export", "codes.h5", "notes.csv", "--overwrite"), "notes.csv", "the export .csv that fne has written"),
    ],
)
def test_a_file_of_another_kind_stays(files, fne, words, victim, expected):
    before, names = Path(victim).read_bytes(), sorted(os.listdir())
    result = fne(*words)
    assert result.code == 4
    assert f"{victim} exists, so it should be {expected}" in result.err
    assert "--overwrite" not in result.err
    assert Path(victim).read_bytes() == before
    assert sorted(os.listdir()) == names


def test_what_is_of_the_kind_is_replaced_with_and_without_its_record(files, fne):
    Path("p.csv.run.json").unlink()
    Path("k.npz.run.json").unlink()
    Path("s.csv.run.json").unlink()
    assert fne(*EVALUATE, "--predictions", "p.csv", "--model", "k.npz").code == 0
    assert fne("predict", "k.npz", "codes.h5", "p.csv", "--overwrite").code == 0
    assert fne("split", "list.csv", "s.csv", "--test", 0.25, "--overwrite").code == 0


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "svm", "parquet"])
def test_an_export_is_replaced_if_its_record_knows_it_or_it_is_empty(files, fne, ending):
    path = Path(f"e.{ending}")
    path.touch()
    assert fne("export", "codes.h5", path, "--overwrite").code == 0
    assert fne("export", "codes.h5", path, "--layers", "fc", "--overwrite").code == 0
    Path(f"{path}.run.json").unlink()
    result = fne("export", "codes.h5", path, "--overwrite")
    assert (result.code, "Else remove that file" in result.err) == (4, True)


def test_an_export_is_known_by_its_bytes_and_by_a_record_that_says_no_kind(files, fne):
    assert fne("export", "codes.h5", "e.csv").code == 0
    os.utime("e.csv", ns=(0, 0))  # as a copy has it
    assert fne("export", "codes.h5", "e.csv", "--overwrite").code == 0
    record = read_record(Path("e.csv"))
    del record["kind"]
    write_json(record_path(Path("e.csv")), record)
    assert fne("export", "codes.h5", "e.csv", "--overwrite").code == 0


def test_a_file_of_ours_whose_beginning_is_lost_is_replaced(files, fne):
    good = Path("moments.h5").read_bytes()
    Path("moments.h5").write_bytes(bytes(8) + good[8:])
    assert fne("normalize", "activations.h5", "moments.h5", "--overwrite").code == 0
    assert Path("moments.h5").read_bytes() == good


def test_the_matrix_and_its_table_are_one_output(files):
    source, matrix, table = Path("codes.h5"), Path("e.npy"), Path("e.npy.images.csv")
    export(source, matrix)
    good = table.read_bytes()
    assert export(source, matrix).up_to_date
    table.unlink()
    assert not export(source, matrix).up_to_date
    assert table.read_bytes() == good
    table.write_bytes(good.replace(b"train", b"test"))
    assert table.read_bytes() != good
    with pytest.raises(DifferentOutput, match=r"e\.npy\.images\.csv should be as it was written with e\.npy"):
        export(source, matrix)
    assert not export(source, matrix, overwrite=True).up_to_date
    assert table.read_bytes() == good
    for path in (matrix, table):
        path.unlink()
    table.write_text("my images\n")
    for overwrite in (False, True):
        with pytest.raises(DifferentOutput, match=r"e\.npy\.images\.csv should be the table of the images of e\.npy"):
            export(source, matrix, overwrite=overwrite)
    assert table.read_text() == "my images\n"
    assert not matrix.exists()
