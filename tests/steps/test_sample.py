"""fne sample digits: scikit-learn's images, exactly, in folders that extract reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def test_digits_are_scikit_learns_in_its_own_split(fne, tmp_path):
    assert fne("sample", "digits", tmp_path / "digits").code == 0
    bunch = load_digits()
    train, test = train_test_split(np.arange(1797), test_size=0.5, shuffle=False)
    for split, numbers in (("train", train), ("test", test)):
        files = sorted((tmp_path / "digits" / split).glob("*/*.png"), key=lambda file: file.name)
        assert [int(file.stem) for file in files] == numbers.tolist()
        assert [int(file.parent.name) for file in files] == bunch.target[numbers].tolist()
        pixels = np.stack([np.asarray(Image.open(file)) for file in files])
        np.testing.assert_allclose(pixels / 255 * 16, bunch.images[numbers], atol=0.04)


def test_again_is_up_to_date_and_foreign_files_are_not_touched(fne, tmp_path):
    folder = tmp_path / "digits"
    fne("sample", "digits", folder)
    assert "up to date" in fne("sample", "digits", folder).err
    (folder / "notes.txt").write_text("mine")
    for more in ([], ["--overwrite"]):
        result = fne("sample", "digits", folder, *more)
        assert (result.code, "notes.txt" in result.err) == (4, True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made(fne, tmp_path):
    (tmp_path / "file").write_text("")
    result = fne("sample", "digits", tmp_path / "file" / "digits")
    assert result.code == 1
    assert "cannot be written" in result.err
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["file"]
