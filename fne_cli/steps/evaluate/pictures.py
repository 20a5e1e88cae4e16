"""Images as they are measured: each by itself, or all regions of a picture as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.evaluation.metrics import Judged
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.evaluation.regions import Together, shown, together
from fne_cli.store.format.schema import Images
from fne_cli.trials.classification import ClassificationTask
from fne_cli.trials.labelled import Labelled, ListedImages
from fne_cli.unprintable import plain
from fne_cli.vectors.items import box_of, picture_of


@dataclass(frozen=True)
class Measured:
    """task, source: of what is measured, with the same trials as those of the rows that are trained on.

    whose: the number of the picture of each image of the file; None if each is measured by itself.
    """

    task: ClassificationTask
    source: Labelled
    whose: np.ndarray | None = None
    how: Together = "max"

    @classmethod
    def of(cls, task: ClassificationTask, source: Labelled, how: Together | None) -> Self:
        """how: what the decision values of a picture's regions become; None for images by themselves.

        Raises BadInput for images that are no regions, and pictures of which some are trained on and some measured.
        """
        if how is None:
            return cls(task, source)
        path = source.images.path
        used = task.images.tolist()
        lost = next((path[number] for number in used if box_of(path[number]) is None), None)
        if lost is not None:
            raise BadInput(
                f"{source.name} should have regions of images, path#x0,y0,x1,y1, for --regions {how}. Found: "
                f"{plain(lost)}.\nMake them: fne split IMAGES regions.csv --regions sliding:3, and extract that."
            )
        numbers: dict[str, int] = {}
        whose = np.array([numbers.setdefault(picture_of(name), len(numbers)) for name in path], np.int64)
        names = list(numbers)
        for trial in task.trials:
            both = np.intersect1d(whose[trial.test], whose[np.concatenate([trial.train, trial.validation])])
            if len(both):
                raise BadInput(
                    f"--regions {how} measures pictures, so all regions of one should be trained on, or measured. "
                    f"Found: {plain(names[both[0]])}"
                    + (f" and {len(both) - 1:,} more are both" if len(both) > 1 else " is both")
                    + ".\nDivide images first: fne split IMAGES split.csv --folds 5; then split-1.csv ... into regions."
                )
        trials = [_of_pictures(trial, whose) for trial in task.trials]
        images = _as_pictures(source.images, names, whose, used)
        _check_labels(task, images, trials, source.name)
        pictures = replace(task, crops=1, labels=images.label, trials=trials)
        return cls(pictures, ListedImages(source.name, images), whose, how)

    def judged(self, judged: Judged, test: np.ndarray) -> Judged:
        """What is said of what is measured, from what is said of the images `test`."""
        if self.whose is None:
            return judged
        order = np.argsort(self.whose[test], kind="stable")
        starts = np.flatnonzero(np.diff(self.whose[test][order])) + 1
        return together(judged, np.split(order, starts), self.how)


def _of_pictures(trial: Trial, whose: np.ndarray) -> Trial:
    train, test, validation = (np.unique(whose[part]) for part in (trial.train, trial.test, trial.validation))
    return replace(trial, train=train, test=test, validation=validation)


def _as_pictures(images: Images, names: list[str], whose: np.ndarray, used: list[int]) -> Images:
    """The image table of pictures, with what those of their regions show that are used."""
    members: list[list[int]] = [[] for _ in names]
    for number in used:
        members[whose[number]].append(number)
    first = [own[0] if own else 0 for own in members]
    label = shown(images.label, [np.array(own or [0]) for own in members])
    if label.ndim == 2:  # where a region was near an object, and none shows it, nobody can say
        near = np.stack([(images.label[own or [0]] == -1).any(axis=0) for own in members])
        label[(label == 0) & near] = -1
    return replace(
        images,
        path=names,
        split=[images.split[number] for number in first],
        label=label,
        status=images.status[first],
        message=[images.message[number] for number in first],
        sha256=[images.sha256[number] for number in first],
    )


def _check_labels(task: ClassificationTask, images: Images, trials: list[Trial], name: str) -> None:
    if task.several:
        return
    used = np.unique(np.concatenate([trial.images for trial in trials]))
    apart = used[images.label[used] < 0]
    if len(apart):
        raise BadInput(
            f"{name} should have pictures whose regions all have one label for --regions. Found: "
            f"{plain(images.path[int(apart[0])])}, whose regions have several."
        )
