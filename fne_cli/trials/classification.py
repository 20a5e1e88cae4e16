"""What is to be learnt from a file: its classes, and which images are trained on and measured."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, TooFewImages
from fne_cli.images.lists.manifest import read_manifest
from fne_cli.images.lists.paths import in_one_form
from fne_cli.numerics.evaluation.protocols import Trial, draws, folds
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.schema import Images
from fne_cli.store.other.results.tested import Tested
from fne_cli.trials.labelled import Labelled
from fne_cli.trials.leaks import apart
from fne_cli.trials.protocol import Protocol
from fne_cli.unprintable import plain

VALIDATION = ("val", "validation", "valid")
FOLDS = 5  # to choose C without validation images


@dataclass(frozen=True)
class ClassificationTask:
    """labels: (n,) int, -1 for none, or (n, classes) int8 with 1, 0 and -1; of all images of `name`, the files."""

    name: str
    classes: Sequence[str]
    crops: int
    labels: np.ndarray
    trials: list[Trial]
    description: dict[str, Any]

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return self.labels.ndim == 2

    @property
    def images(self) -> np.ndarray:
        """All images that take part in some trial, ascending."""
        return np.unique(np.concatenate([trial.images for trial in self.trials]))

    @property
    def tested_images(self) -> int:
        """How many images some trial measures."""
        return len(np.unique(np.concatenate([trial.test for trial in self.trials])))

    def row_labels(self, images: np.ndarray) -> np.ndarray:
        """The labels of all rows (crops) of images."""
        return np.repeat(self.labels[images], self.crops, axis=0)

    def trained(self, images: np.ndarray) -> np.ndarray:
        """How many of these images each class has, (classes,)."""
        labels = self.labels[images]
        return (labels == 1).sum(axis=0) if self.several else np.bincount(labels, minlength=len(self.classes))

    @classmethod
    def of(cls, source: Labelled, protocol: Protocol, seed: int, progress: Progress) -> ClassificationTask:
        """The task that a file, and maybe a manifest, defines. Raises BadInput if there is none."""
        images = source.images
        several = images.label.ndim == 2
        given = images.split if protocol.split is None else _given(source, protocol.split, progress)
        numbers: dict[str, int] = {}
        splits = np.fromiter((numbers.setdefault(name, len(numbers)) for name in given), np.int64, len(given))
        usable = images.good & ((images.label != -1).any(axis=1) if several else images.label >= 0)
        known = dict(zip(numbers, _places(np.where(usable, splits, -1), len(numbers)), strict=True))
        validation = np.concatenate([np.empty(0, np.int64), *(known[name] for name in VALIDATION if name in known)])
        try:
            if protocol.cv is not None:
                trials = folds(images.label, _chosen(source, protocol.rows, known, usable), protocol.cv, seed)
            else:
                train, test = (_split(source, known, name) for name in ("train", "test"))
                if protocol.per_class:
                    if several:
                        raise BadInput(
                            f"{source.name} should have one label per image to draw images per class. Found: several."
                        )
                    trials = draws(
                        images.label, train, test, protocol.per_class, protocol.draws, seed, np.sort(validation)
                    )
                    if protocol.draws > 1 and any(len(trial.train) == len(train) for trial in trials):
                        progress.note(
                            f"{max(protocol.per_class)} images per class are all that there are: they are drawn once, "
                            "and have no spread"
                        )
                else:
                    trials = [Trial(train, test, np.sort(validation))]
        except TooFewImages as error:
            name = images.classes[error.label]
            raise BadInput(
                f"class {plain(name)} {error.problem}", file=source.name, remedy="Give fewer with --per-class."
            ) from error
        leaks: dict[str, int] = {}
        if protocol.without_leaks or progress is not SILENT:  # who works silently for others need not look
            # The draws of a learning curve share their test images: all training images count, drawn or not.
            known_to = [train if protocol.per_class and protocol.cv is None else trial.train for trial in trials]
            trials, leaks = apart(source, trials, known_to, protocol.without_leaks, progress)
        task = cls(source.name, images.classes, source.crops, images.label, trials, {})
        task.description.update(task._check(images, progress) | leaks)
        taken = [numbers[name] for name in ("train", "test", *VALIDATION) if name in numbers]
        without = int((images.good & ~usable & np.isin(splits, taken)).sum())
        if without:
            progress.note(f"{without:,} good images of the splits have no label and are left out")
            task.description["without_label"] = without
        return task

    def tested(self, source: Labelled) -> Tested:
        """The images that the trials measure, each of one label."""
        images = np.unique(np.concatenate([trial.test for trial in self.trials]))
        fold = None
        if all("fold" in dict(trial.of) for trial in self.trials):
            fold = np.zeros(len(images), np.int64)
            for trial in self.trials:
                fold[np.searchsorted(images, trial.test)] = dict(trial.of)["fold"]
        places = images.tolist()
        path, sha256 = source.images.path, source.images.sha256
        ids, contents = [path[place] for place in places], [sha256[place] for place in places]
        return Tested.of(ids, contents, self.classes, self.labels[images], fold)

    def _names(self, chosen: np.ndarray) -> list[str]:
        return [self.classes[number] for number in np.flatnonzero(chosen).tolist()]

    def _check(self, images: Images, progress: Progress) -> dict[str, Any]:
        """Raises BadInput for a training set of one class; says which classes are not trained on or not measured."""
        untrained: set[str] = set()
        untested: set[str] = set()
        for trial in self.trials:
            trained, tested = self.trained(trial.train), self.trained(trial.test)
            if not self.several and (trained > 0).sum() < 2:
                only = self._names(trained > 0)
                raise BadInput(
                    f"{self.name} should have training images of at least two classes. Found: {few(only)} only."
                )
            untrained.update(self._names((trained == 0) & (tested > 0)))
            untested.update(self._names((trained > 0) & (tested == 0)))
        where = " in one of the trials" if len(self.trials) > 1 else ""
        if untrained:
            progress.note(f"no training image{where}, so every test image is wrong: {few(sorted(untrained))}")
        if untested:
            progress.note(f"no test image{where}, so left out of the mean per class: {few(sorted(untested))}")
        first = self.trials[0]
        return {
            "training": len(first.train),
            "test": len(first.test),
            **({"validation": len(first.validation)} if len(first.validation) else {}),
            **({"trials": len(self.trials)} if len(self.trials) > 1 else {}),
            "bad": int((~images.good).sum()),
            "classes_without_training_images": sorted(untrained),
            "classes_without_test_images": sorted(untested),
        }


def _places(numbers: np.ndarray, count: int) -> list[np.ndarray]:
    """Where each of the numbers 0 ... count - 1 stands, ascending."""
    order = np.argsort(numbers, kind="stable")
    edges = np.searchsorted(numbers[order], np.arange(count + 1))
    return [order[start:stop] for start, stop in pairwise(edges)]


def _split(source: Labelled, known: dict[str, np.ndarray], name: str) -> np.ndarray:
    if not len(known.get(name, ())):
        found = few([split for split in known if split]) or "none"
        paths: Sequence[Path] = getattr(source, "paths", ())  # of files; images that were listed have none
        words = shlex.join(map(str, paths)) if len(paths) < 4 else "FILES"
        again = f"fne evaluate {words} " if paths else "the same command with "
        raise BadInput(
            f"{source.name} should have good, labelled images of split {name}. Found: splits {found}.\n"
            f"Measure every image once:  {again}--cv 5\n"
            "Or divide the images:  fne split IMAGES split.csv --per-class 30, or --test 20%\n"
            f"and measure by that:  {again}--split split.csv\n"
            "Folders train/ and test/ above those of the classes do as well."
        )
    return known[name]


def _chosen(source: Labelled, rows: str | None, known: dict[str, np.ndarray], usable: np.ndarray) -> np.ndarray:
    """The images that folds are made of: a split, "all", by default "train" or, without splits, all."""
    if rows is None:
        rows = "train" if "train" in known else "all"
    if rows == "all":
        if not usable.any():
            raise BadInput(f"{source.name} should have good, labelled images. Found: none.")
        return np.flatnonzero(usable)
    return _split(source, known, rows)


def _given(source: Labelled, manifest: Path, progress: Progress) -> list[str]:
    """The split of every image as a manifest says it, "" for those that it does not name."""
    listing = read_manifest(str(manifest), None, label_column=None)
    known = {in_one_form(name): name for name in source.images.path}
    images = set(source.images.path)
    split = {
        name if name in images else known.get(in_one_form(name), name): part
        for name, part in zip(listing.ids, listing.splits, strict=True)
    }
    found = [split.pop(name, "") for name in source.images.path]
    if split:
        raise BadInput(
            f"{manifest} should name images of {source.name}. Found: {plain(next(iter(split)))}"
            + (f" and {len(split) - 1:,} others" if len(split) > 1 else "")
            + f", which it does not have. Its first image is {plain(source.images.path[0])}."
        )
    if not any(found):
        raise BadInput(f"{manifest} should have a column split with train and test in it. Found: no split.")
    if without := found.count(""):
        progress.note(f"{without:,} of {len(found):,} images have no split in {manifest} and are left out")
    return found


def few(names: list[str]) -> str:
    """The first five names and how many more there are."""
    return ", ".join(map(plain, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
