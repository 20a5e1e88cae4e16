"""images -> a network that is trained on them, from scratch or from another network."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DoesNotFit, TooManyBad
from fne_cli.images.augmented import spelled
from fne_cli.images.decoded import DecodedImages
from fne_cli.images.lists import findings, source
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL
from fne_cli.images.lists.rows import is_table
from fne_cli.images.pixels.bad import Allowed, bad_summary
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.machine import free_memory
from fne_cli.networks.running.extractor import device_name
from fne_cli.networks.saved.lineage import lineage_of
from fne_cli.networks.trained.building import Start, Trainable, build
from fne_cli.networks.trained.trainer import Rule, Trainer
from fne_cli.networks.trained.writing import sweep, write
from fne_cli.networks.weights import digest_of
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.train.asked import Asked
from fne_cli.steps.train.chosen import ROLES, choose, without
from fne_cli.steps.train.options import Selection, TrainOptions
from fne_cli.store.output import checkpoint
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import new_run, software, time_run
from fne_cli.store.output.sealed import with_digest
from fne_cli.training.course import Course
from fne_cli.training.inputs import Inputs
from fne_cli.training.loop import Diverged, Loop, Parts

__all__ = ["Course", "Rule", "Selection", "Start", "TrainOptions", "Training", "train"]

COLUMNS = ("epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy")
JUDGED = ("test_loss", "test_accuracy")


@dataclass(frozen=True)
class Training:
    """What became of a training: epochs done, the one whose weights are kept, its figures, and the bad images."""

    path: Path
    classes: int
    images: Mapping[str, int]
    epochs: int
    kept: int
    figures: Mapping[str, float]
    bad: Sequence[tuple[str, str]] = ()
    up_to_date: bool = False
    seconds: float = 0.0

    def bad_summary(self) -> str:
        """How many images are bad, and the first few with what was wrong."""
        return bad_summary(self.bad, sum(self.images.values()) + len(self.bad))


def train(
    images: str,
    network: Path,
    start: Start = Start(),  # noqa: B008  # frozen
    rule: Rule = Rule(),  # noqa: B008  # frozen
    course: Course = Course(),  # noqa: B008  # frozen
    options: TrainOptions = TrainOptions(),  # noqa: B008  # frozen
    selection: Selection = Selection(),  # noqa: B008  # frozen
    *,
    root: str | None = None,
    label_column: str = LABEL,
    progress: Progress = SILENT,
) -> Training:
    """Train a network on the training images of `images` and write it to the .keras file `network`.

    The options are those of `fne train`; docs/cli.md describes them. An interrupted run is gone on with, to the same
    bytes. Raises the errors of fne_cli.errors.
    """
    start.check()
    course.check()
    course = replace(course, augment=spelled(course.augment))
    selection = replace(selection, classes=tuple(sorted(set(selection.classes))))
    allowed = Allowed.parse(options.max_bad)
    check_noted(Path(images))
    listing = source.list_images(images, root, label_column)
    findings.tell(listing, images, progress)
    judges = _judges(listing, images, selection.judge, root, label_column, progress)
    chosen = choose(listing, images, course.patience is not None, progress, selection, judges)
    named = [Path(one) for one in (images, selection.judge) if one is not None and os.path.exists(one)]
    asked = Asked(network, start, rule, course, selection, chosen, named)
    if asked.is_unchanged(options.history, options.overwrite):
        return _known(network)
    there, told = asked.is_there(options.history, options.overwrite, progress)
    if there:
        asked.forget_checkpoint()
        if not told and options.history is not None:
            _write_history(asked, options.history, network)
        return _known(network)
    with ExitStack() as stack:
        output = stack.enter_context(Output(network))
        sweep(network)
        beside = None if options.history is None else stack.enter_context(Output(options.history))
        return _trained(images, asked, rule, course, options, allowed, output, beside, progress)


def _judges(
    listing: Listing, images: str, judge: str | None, root: str | None, label_column: str, progress: Progress
) -> Listing | None:
    """The list whose images of split test judge: it may be the list of all."""
    if judge is None or judge == images:
        return None if judge is None else listing
    check_noted(Path(judge))
    table = is_table(judge) and not os.path.isdir(judge)
    found = source.list_images(judge, root if table else None, label_column if table else LABEL)
    findings.tell(found, judge, progress)
    return found


def _trained(
    images: str,
    asked: Asked,
    rule: Rule,
    course: Course,
    options: TrainOptions,
    allowed: Allowed,
    output: Output,
    beside: Output | None,
    progress: Progress,
) -> Training:
    chosen, start = asked.chosen, asked.start
    trainable = build(start, len(chosen.classes))
    for note in trainable.notes:
        progress.note(note)
    geometry = Geometry(trainable.height, trainable.width, course.resize, max_pixels=options.max_pixels)
    with progress.track(len(chosen.listing), "images decoded") as advance:
        decoded = DecodedImages(chosen.listing, geometry, options.workers, options.memory, advance)
    if len(decoded.bad) > allowed.limit(len(chosen.listing)):
        raise TooManyBad(
            f"{bad_summary(decoded.bad, len(chosen.listing))}\nThat is more than --max-bad {allowed.text} allows.",
            bad=len(decoded.bad),
            mending="Or mend them.",
        )
    good = without(chosen, decoded.good, images)
    learned, validating, judging = (chosen.numbers(role, good) for role in ROLES)
    parts = Parts(learned, validating, judging, int((chosen.roles < ROLES.index("test")).sum()))
    if not decoded.kept:
        progress.note("the images do not fit into memory together (--memory): they are decoded in every epoch")
    batch = min(course.batch_size, len(parts.learned))
    trainer = Trainer(trainable, rule, batch, start.seed, start.precision)
    _check_memory(trainer, batch)
    origin = asked.origin(decoded.sha256)
    found = asked.checkpoint(origin, options.overwrite)
    versions = software("keras", "tensorflow", "tensorflow-cpu", "pillow")
    runs = [*(found[0].get("runs", []) if found else []), new_run(versions, device_name())]
    head = {"fingerprint": origin.fingerprint, "settings": asked.settings, "software": versions}
    began = time.monotonic()
    with Inputs(decoded, trainer, course.augment) as inputs:
        loop = Loop(
            output.path, trainer, inputs, chosen.labels, parts, course, start.seed, head, runs
        )  # fmt: skip
        if found is not None:
            loop.go_on(*found)
            progress.note(f"going on in epoch {min(loop.reached.epoch + 1, course.epochs)} of {course.epochs}")
            if found[0].get("software") != versions:
                progress.note("it was begun with other versions of the software: the weights may differ in last bits")
        inputs.compute_frozen(
            np.concatenate([parts.learned, parts.validating, parts.judging]),
            options.cache,
            output.path.parent,
            progress,
        )
        try:
            loop.run(progress)
        except Diverged:
            checkpoint.remove(output.path)  # the same command would only come here again
            raise
    images_used = {"train": len(parts.learned), "val": len(parts.validating)}
    if len(parts.judging):
        images_used["test"] = len(parts.judging)
    lineage = _lineage(asked, origin, trainable, loop, images_used, versions)
    write(trainable.model, lineage, output.into, output.path)
    time_run(runs[-1], time.monotonic() - began)
    if beside is not None:
        _fill_history(beside, asked.origin(decoded.sha256, "history"), loop.reached.history)
    record = {"fingerprint": origin.fingerprint, **origin.noted_whole(output.path), "inputs": asked.inputs}
    output.accept_noted({**record, "bad_images": len(decoded.bad), "runs": runs})
    checkpoint.remove(output.path)
    figures = loop.reached.history[loop.kept - 1]
    return Training(
        output.path, len(chosen.classes), images_used, loop.reached.epoch, loop.kept, figures, decoded.bad,
        seconds=time.monotonic() - began,
    )  # fmt: skip


def _check_memory(trainer: Trainer, batch: int) -> None:
    needed, free = trainer.bytes_needed(), free_memory()
    if needed > free:
        raise DoesNotFit(
            f"Training with batches of {batch} images takes about {needed:,} bytes. Free: {free:,}.\n"
            "Use a smaller --batch-size or --image-size, a smaller network, or --freeze more layers."
        )


def _lineage(
    asked: Asked,
    origin: Origin,
    trainable: Trainable,
    loop: Loop,
    images: Mapping[str, int],
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """What the network says of itself; nothing in it depends on when or where it was trained."""
    parent = None
    if trainable.source is not None:
        parent = {"network": trainable.source, "weights_sha256": trainable.source_sha256, "copied": trainable.copied}
    return with_digest({
        "format": "fne",
        "kind": "network",
        "version": 1,
        "fingerprint": origin.fingerprint,
        "preprocess": trainable.preprocess,
        "image_size": [trainable.height, trainable.width],
        "classes": list(asked.chosen.classes),
        "images": dict(images),
        "parent": parent,
        "frozen": trainable.frozen,
        "layers": list(trainable.layers),
        "epochs": loop.reached.epoch,
        "kept_epoch": loop.kept,
        "weights_sha256": digest_of(trainable.model),
        "settings": asked.settings,
        "sources": list(origin.sources),
        "software": dict(versions),
        "history": loop.reached.history,
        **({"right": loop.right} if loop.right else {}),
    })  # fmt: skip


def _known(network: Path) -> Training:
    """What an output that is up to date says of itself."""
    said = lineage_of(str(network)) or {}
    history, kept = said.get("history", []), said.get("kept_epoch", 0)
    return Training(
        network,
        len(said.get("classes", [])),
        said.get("images", {}),
        said.get("epochs", 0),
        kept,
        history[kept - 1] if history else {},
        up_to_date=True,
    )


def _write_history(asked: Asked, history: Path, network: Path) -> None:
    """The history of a network that is there."""
    from fne_cli.images import contents
    from fne_cli.machine import processors

    sha256 = contents.read_digests(asked.chosen.listing, processors(), lambda count: None)
    with Output(history) as output:
        _fill_history(output, asked.origin(sha256, "history"), (lineage_of(str(network)) or {}).get("history", []))


def _fill_history(output: Output, origin: Origin, history: Sequence[Mapping[str, Any]]) -> None:
    with open(output.into, "w", newline="", encoding="utf-8") as file:
        columns = COLUMNS + (JUDGED if any(JUDGED[0] in row for row in history) else ())
        lines = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        lines.writeheader()
        lines.writerows(history)
    output.accept_noted({"fingerprint": origin.fingerprint, **origin.noted_whole(output.path)})
