"""images -> how well a network does that learns on from what it has learned elsewhere, by a protocol of evaluate."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, FneError, TooManyBad
from fne_cli.images.decoded import DecodedImages
from fne_cli.images.lists import findings, source
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL
from fne_cli.images.pixels.bad import Allowed, Status, bad_summary
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.networks.running.extractor import device_name
from fne_cli.networks.trained.building import Trainable
from fne_cli.networks.trained.tuned import Tuned, tunable
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.tune.asked import Asked
from fne_cli.steps.tune.options import LearningOptions, TuneOptions
from fne_cli.steps.tune.tunings import Tunings
from fne_cli.steps.tune.units import Units
from fne_cli.store.format.schema import Images
from fne_cli.store.format.text import parse_json
from fne_cli.store.other.results import VERSION, read_results
from fne_cli.store.output import checkpoint
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import new_run, software, time_run
from fne_cli.store.output.sealed import without_digest
from fne_cli.training.unfinished import unfinished
from fne_cli.trials.classification import ClassificationTask
from fne_cli.trials.labelled import ListedImages
from fne_cli.trials.protocol import Protocol
from fne_cli.trials.summary import entries_of

__all__ = ["LearningOptions", "Protocol", "TuneOptions", "Tuned", "Tuning", "tune"]

TUNED, SCRATCH = "tuned network", "network from scratch"


@dataclass(frozen=True)
class Tuning:
    """The results as `--json` prints them, the file they are in, and whether they were computed now."""

    results: dict[str, Any]
    path: Path
    up_to_date: bool = False
    seconds: float = 0.0


def tune(
    images: str,
    results: Path,
    tuned: Tuned = Tuned(),  # noqa: B008  # frozen
    learning: LearningOptions = LearningOptions(),  # noqa: B008  # frozen
    protocol: Protocol = Protocol(),  # noqa: B008  # frozen
    options: TuneOptions = TuneOptions(),  # noqa: B008  # frozen
    *,
    root: str | None = None,
    label_column: str = LABEL,
    progress: Progress = SILENT,
) -> Tuning:
    """Tune a network on the training images of `images`, measure it on the test images, by `protocol`.

    The options are those of `fne tune`; docs/cli.md describes them. The trials are those of `evaluate` on activations
    of the same images, and the results can be compared image by image. An interrupted run is gone on with, to the same
    bytes. Raises the errors of fne_cli.errors.
    """
    tuned.check()
    protocol.check()
    learning = learning.settled(tuned.scratch)
    allowed = Allowed.parse(options.max_bad)
    check_noted(Path(images))
    listing = source.list_images(images, root, label_column)
    if listing.several:
        raise BadInput(f"{images} should have one label for each image, to tune on. Found: several labels per image.")
    findings.tell(listing, images, progress)
    asked = Asked(results, images, listing, tuned, learning, protocol)
    if asked.is_there(options.overwrite, progress):
        if os.path.lexists(checkpoint.place_of(results)):  # a kill has left it behind
            with contextlib.suppress(FneError, OSError), Output(results):
                checkpoint.remove(results)
        return Tuning(_read_back(results), results, up_to_date=True)
    # What is wrong with splits and sizes is told before the images are decoded, as if all of them were good.
    ClassificationTask.of(ListedImages(images, _table(listing)), protocol, learning.seed, SILENT)
    with Output(results) as output:
        return _tuned(images, asked, allowed, options, output, progress)


def _tuned(
    images: str, asked: Asked, allowed: Allowed, options: TuneOptions, output: Output, progress: Progress
) -> Tuning:  # fmt: skip
    began = time.monotonic()
    listing, learning = asked.listing, asked.learning
    trainable = tunable(asked.tuned, len(listing.classes), learning.seed)
    for note in trainable.notes:
        progress.note(note)
    geometry = Geometry(trainable.height, trainable.width, learning.resize, max_pixels=options.max_pixels)
    with progress.track(len(listing), "images decoded") as advance:
        decoded = DecodedImages(listing, geometry, options.workers, options.memory, advance)
    if len(decoded.bad) > allowed.limit(len(listing)):
        raise TooManyBad(
            f"{bad_summary(decoded.bad, len(listing))}\nThat is more than --max-bad {allowed.text} allows.",
            bad=len(decoded.bad),
            mending="Or mend them.",
        )
    if decoded.bad:
        progress.note(bad_summary(decoded.bad, len(listing)))
    if not decoded.kept:
        progress.note("the images do not fit into memory together (--memory): they are decoded in every epoch")
    found = ListedImages(images, _table(listing, decoded.good, decoded.bad, decoded.sha256))
    task = ClassificationTask.of(found, asked.protocol, learning.seed, progress)
    origin = asked.origin(decoded.sha256)
    left = unfinished(output.path, origin.fingerprint, asked.settings, options.overwrite)
    versions = software("keras", "tensorflow", "tensorflow-cpu", "pillow", "numba")
    runs = [*(left[0].get("runs", []) if left else []), new_run(versions, device_name())]
    head = {"fingerprint": origin.fingerprint, "settings": asked.settings, "software": versions}
    units = Units(output.path, head, runs)
    tunings = Tunings(decoded, task, trainable, learning, units, asked.tuned.precision, progress)
    made_from = _made_from(trainable, asked)
    if left is not None:
        units.take_up(*left)
        progress.note(f"going on: {len(units.finished):,} trainings are finished")
        if left[0].get("software") != versions:
            progress.note("it was begun with other versions of the software: the figures may differ")
    with tunings.inputs:
        tunings.prepare(options.cache)
        outcomes = [tunings.outcome(trial) for trial in task.trials]
    document = {
        "format": "fne",
        "version": VERSION,
        "kind": "results",
        "fingerprint": origin.fingerprint,
        "settings": asked.settings,
        "sources": list(origin.sources),
        "software": versions,
        "images": task.description,
        "made_from": made_from,
        "tested": task.tested(found).described(),
        "results": _with_heads(entries_of(SCRATCH if asked.tuned.scratch else TUNED, outcomes, task)),
    }
    runs[-1]["once"] = round(tunings.seconds, 3)
    runs[-1]["results"] = [
        {**dict(one.trial.group), **dict(one.trial.of), **tunings.took(one.trial)} for one in outcomes
    ]
    time_run(runs[-1], time.monotonic() - began)
    output.write_json(document)
    output.accept({
        "fingerprint": origin.fingerprint, **origin.noted(output.path), "inputs": asked.inputs, "runs": runs,
    })  # fmt: skip
    checkpoint.remove(output.path)
    return Tuning(document, output.path, seconds=time.monotonic() - began)


def _table(
    listing: Listing,
    good: np.ndarray | None = None,
    bad: Sequence[tuple[str, str]] = (),
    sha256: Sequence[str] | None = None,
) -> Images:
    """The images as an extraction of them would have them; without the rest, as if all of them were good."""
    messages = dict(bad)
    return Images(
        path=listing.ids,
        split=listing.splits,
        label=listing.label_array(),
        classes=listing.classes,
        status=np.where(np.ones(len(listing), bool) if good is None else good, Status.GOOD, Status.DAMAGED),
        message=[messages.get(name, "") for name in listing.ids],
        sha256=sha256 or [""] * len(listing),
    )


def _made_from(trainable: Trainable, asked: Asked) -> dict[str, Any]:
    """How the images become rows of what the classifier is given, before anything has been learned."""
    source = None if trainable.copied == 0 else trainable.source
    return {
        "network": asked.settings["model"] if trainable.source is None else trainable.source.rpartition(", ")[0],
        "weights": "drawn" if source is None else source.rpartition(", ")[2],
        **({} if source is None else {"weights_sha256": trainable.source_sha256}),
        "preprocess": trainable.preprocess,
        "image_size": [trainable.height, trainable.width],
        "resize": asked.learning.resize,
        "precision": asked.tuned.precision,
        "frozen": list(trainable.layers[: trainable.frozen]),
        "crops": 1,
    }


def _with_heads(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of several trials with the mean of what the first classifiers had right."""
    key = "head_mean_per_class_accuracy"
    for entry in entries:
        heads = [trial[key] for trial in entry.get("each_trial", ()) if key in trial]
        if heads:
            entry[key] = float(np.mean(heads))
    return entries


def _read_back(results: Path) -> dict[str, Any]:
    read_results(results)
    document: Mapping[str, Any] = parse_json(results.read_bytes())
    return without_digest(dict(document))
