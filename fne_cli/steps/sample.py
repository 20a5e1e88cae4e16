"""Write a small real dataset as a folder of labelled images."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fne_cli.errors import BadInput, DifferentOutput
from fne_cli.images.lists.folders import write_folder
from fne_cli.progress import SILENT, Progress
from fne_cli.store.output.own import check_folder

COUNTS = {"digits": (898, 1797, 10)}
"""Training images, all images and classes of each dataset."""


@dataclass(frozen=True)
class Sample:
    """The folder, and how many images it has in train/ and test/."""

    path: Path
    train: int
    test: int
    up_to_date: bool = False


def sample(dataset: Literal["digits"], folder: Path, *, overwrite: bool = False, progress: Progress = SILENT) -> Sample:
    """Write `dataset` below `folder` as train/<class>/*.png and test/<class>/*.png.

    digits: the first half of scikit-learn's 1,797 images is train, the second test, as in its own example "Recognizing
    hand-written digits"; the two halves are of different writers. The folder appears whole or not at all.
    """
    from fne_cli.numerics.samples import digits

    if dataset != "digits":
        raise BadInput(f"DATASET should be digits. Found: {dataset!r}.")
    pixels, labels = digits()
    half = COUNTS["digits"][0]
    paths = [f"{'train' if number < half else 'test'}/{label}/{number:04d}.png" for number, label in enumerate(labels)]
    partial = folder.with_name(folder.name + ".partial")
    for place in (folder, partial):
        check_folder(place)
    if folder.exists():
        found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
        if found == sorted(paths) and not overwrite:
            return Sample(folder, half, len(labels) - half, up_to_date=True)
        if found and (not overwrite or not set(found) <= set(paths)):
            raise DifferentOutput(
                f"{folder} should be a new or empty folder. Found: {len(found):,} other files, such as "
                f"{sorted(set(found) - set(paths) or found)[0]}. Choose another folder."
            )
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_folder(str(partial), paths, list(pixels))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise BadInput(f"{folder} cannot be written: {error}.") from error
    return Sample(folder, half, len(labels) - half)
