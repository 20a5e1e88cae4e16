"""From a folder of images to a number: the steps with their usual options, in a folder of their own."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, TooManyBad, WrongOptions
from fne_cli.experiments.doing import make_folder
from fne_cli.experiments.jobs import Execution, Job
from fne_cli.experiments.stamps import Sources, Stamps
from fne_cli.experiments.written.config import FIGURES, Options
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL
from fne_cli.images.lists.source import list_images
from fne_cli.networks.catalog import known_name
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.text import parse_json
from fne_cli.unprintable import plain

MEASURED = {"fne": "embedding, SVM", "layers": "best single layer, SVM", "knn": "embedding, nearest neighbours"}
"""What is measured, by the names of the files."""

STAMPS = "stamps.json"


@dataclass(frozen=True)
class Attempt:
    """What was measured, and the commands that did it.

    results: an entry of fne evaluate for each of `MEASURED`, with `measured`. layers: how many were compared. folds: of
    cross-validation, None if the images have splits. bad: images that could not be used. made: how many commands had
    anything to do.
    """

    folder: Path
    results: list[dict[str, Any]]
    layers: int
    folds: int | None
    bad: int
    commands: list[str]
    made: int


def attempt(
    images: str,
    work: Path | None = None,
    *,
    options: Options,
    extraction: Mapping[str, Any],
    cv: int | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Attempt:
    """Measure the embedding of `images`, every single layer, and nearest neighbours; all files go to work/MODEL/.

    options: what the commands can be told, as `fne run` has them. extraction: options of fne extract; the others have
    their defaults. Images without train and test are measured by `cv` folds (5 if it is None), each image once. What is
    up to date is left as it is. Raises the errors of fne_cli.errors.
    """
    if images == "-":
        raise WrongOptions("IMAGES should be a folder, a manifest or a .tar: it is read again. Found: standard input.")
    listing = list_images(images, extraction.get("root"), extraction.get("label_column", LABEL))
    divided = {"train", "test"} <= set(listing.splits)
    folds = (cv or 5) if cv is not None or not divided else None
    folder = place(images, work) / named(extraction["model"])
    _check(images, listing, folds, folder, progress)
    jobs = _jobs(images, folder, extraction, folds)
    make_folder(folder)
    stamps = Stamps(folder / STAMPS, options, Sources())
    made = 0
    with progress.track(len(jobs), "steps") as advance:
        for number, job in enumerate(jobs, start=1):
            which = f"[{number}/{len(jobs)}]"
            made += _done(job, which, stamps, options, Execution(overwrite, progress=progress))
            advance(1)
    read = {name: parse_json((folder / f"{name}.json").read_bytes()) for name in MEASURED}
    found = {name: document["results"] for name, document in read.items()}
    figure = next(key for key in FIGURES if found["fne"][0].get(key) is not None)
    best = {name: max(entries, key=lambda entry: entry[figure]) for name, entries in found.items()}
    results = [{"measured": MEASURED[name], **entry} for name, entry in best.items()]
    bad = read["fne"]["images"]["bad"]
    return Attempt(folder, results, len(found["layers"]), folds, bad, [job.line(options) for job in jobs], made)


def place(images: str, work: Path | None) -> Path:
    """The folder of all attempts: as it was given, else named after the images and in the current folder."""
    if work is not None:
        return work
    path = Path(os.path.abspath(images))
    name = path.name if path.is_dir() else path.stem
    return Path(f"{name or 'images'}-fne")


def named(model: str) -> str:
    """What a network is called in the name of its folder. Raises BadInput for what is none."""
    name = known_name(model)
    return Path(model).stem if name is None else re.sub(r"[^\w.-]", "_", name)


def _check(images: str, listing: Listing, folds: int | None, folder: Path, progress: Progress) -> None:
    """Raises BadInput for what cannot be measured, before a network is built."""
    if os.path.isdir(images) and Path(os.path.abspath(folder)).is_relative_to(os.path.abspath(images)):
        raise WrongOptions(
            f"WORK should not lie in the folder of the images. Found: {folder}, in {os.path.abspath(images)}. "
            "Name another folder behind it, or run this elsewhere."
        )
    counts = Counter(labels[0] for labels in listing.labels if labels)
    if len(listing.classes) < 2:
        found = ", ".join(map(plain, listing.classes)) or "none"
        raise BadInput(
            f"{images} should have images of two classes or more, a folder for each. Found: {found}.\n"
            "docs/input.md says how folders and manifests name classes."
        )
    if folds is None or listing.several:
        return
    if rare := [name for name, count in counts.items() if count < folds]:
        progress.note(
            f"{len(rare):,} of {len(counts):,} classes have fewer images than there are folds ({folds}), such as "
            f"{plain(rare[0])} with {counts[rare[0]]:,}: in some folds nothing is trained on, or measured of them"
        )


def _jobs(images: str, folder: Path, extraction: Mapping[str, Any], folds: int | None) -> list[Job]:
    """The steps in their order."""
    names = ("activations", "moments", "codes")
    activations, moments, codes = (folder / f"{name}.h5" for name in names)
    files = tuple(
        Path(str(extraction[key])) for key in ("model", "weights") if os.path.isfile(str(extraction.get(key) or ""))
    )
    by: dict[str, Any] = {} if folds is None else {"cv": folds}
    measured: dict[str, dict[str, Any]] = {
        "fne": {"embedding": "fne", **by},
        "layers": by,
        "knn": {"embedding": "fne", **by, "classifier": "knn:20"},
    }
    jobs = [
        Job(
            "extract", (images, str(activations)), dict(extraction), files, (activations,), images=images,
            root=extraction.get("root"),
        ),
        Job("normalize", (str(activations), str(moments)), {}, (activations,), (moments,)),
        Job("discretize", (str(activations), str(moments), str(codes)), {}, (activations, moments), (codes,)),
    ]  # fmt: skip
    for name, chosen in measured.items():
        result = folder / f"{name}.json"
        jobs.append(Job("evaluate", (str(activations), str(result)), chosen, (activations,), (result,)))
    return jobs


def _done(job: Job, number: str, stamps: Stamps, options: Options, execution: Execution) -> bool:
    """Do one if there is anything to do; whether there was. Raises the errors of its step."""
    if stamps.fresh(job):
        return False
    execution.progress.note(f"{number} {job.line(options)}")
    began, before = time.monotonic(), stamps.made_from(job)
    try:
        job.perform(execution)
    except TooManyBad as error:
        raise TooManyBad(error.problem, bad=error.bad, mending="Or mend them, and give the same command.") from error
    stamps.put(job, time.monotonic() - began, before)
    return True
