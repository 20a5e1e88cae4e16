"""What the jobs of an experiment will take: bytes on the disk, and time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fne_cli.errors import FneError
from fne_cli.experiments.foreseen.measurable import (
    classifier_of,
    components_of,
    left_by,
    trainings,
    widths_of,
    without_components,
    without_layers,
)
from fne_cli.experiments.jobs import Execution, Job
from fne_cli.experiments.stamps import Sources, Stamps
from fne_cli.experiments.written.config import Experiment
from fne_cli.images.lists.manifest import LABEL
from fne_cli.options import taken
from fne_cli.progress import Progress
from fne_cli.steps.sample import COUNTS
from fne_cli.store.format.reader import open_file

if TYPE_CHECKING:
    from fne_cli.networks.recipe import Recipe


@dataclass(frozen=True)
class Expected:
    """Bytes of the outputs and seconds of the work, None where they cannot be known yet; and what else to say."""

    detail: str = ""
    bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class _Activations:
    """Features by layer, rows, and seconds of extracting a row (None if it is done)."""

    features: dict[str, int]
    rows: int
    row_seconds: float | None


@dataclass(frozen=True)
class _Counts:
    """Training images, all images, and classes."""

    training: int
    images: int
    classes: int


class Forecast:
    """Measures the networks that are needed, once each. Times of earlier runs win over estimates."""

    def __init__(self, experiment: Experiment, sources: Sources, stamps: Stamps, progress: Progress) -> None:
        self._sources, self._stamps, self._progress = sources, stamps, progress
        self._speeds: dict[Recipe, Any] = {}
        self._activations: dict[Path, _Activations | str] = {}
        self._extractions: dict[Path, Job] = {}
        self._made: dict[Path, Job] = {}
        self._reductions: dict[Any, Job] = {}
        self._reduced: tuple[Any, ...] = ()
        self._draws: int = experiment.options["evaluate"]["draws"].default
        self._components: int = experiment.options["reduce"]["components"].default

    def of(self, job: Job) -> Expected:
        """What the job will take."""
        match job.command:
            case "extract":
                return self._extraction(job)
            case "normalize" | "discretize" | "analyze":
                return self._streaming(job)
            case "evaluate":
                return self._evaluation(job)
            case "tune":
                return Expected("", None, self._stamps.seconds(job))
            case _:
                return Expected()

    def _extraction(self, job: Job) -> Expected:
        found = self._of_file(job.output)
        if isinstance(found, str):
            return Expected(found)
        itemsize = 2 if job.options.get("dtype") == "float16" else 4
        total = sum(found.features.values())
        seconds = None if found.row_seconds is None else found.rows * found.row_seconds
        return Expected(
            f"{found.rows:,} rows x {total:,} features", itemsize * found.rows * total, self._known(job, seconds)
        )

    def _streaming(self, job: Job) -> Expected:
        found = self._of_file(Path(job.arguments[0]))
        if isinstance(found, str):
            return Expected(found)
        total = sum(found.features.values())
        size = {
            "normalize": 5 * 8 * total,
            "discretize": found.rows * total // (4 if job.options.get("packed") else 1),
            "analyze": None,
        }[job.command]
        return Expected("", size, self._stamps.seconds(job))

    def _evaluation(self, job: Job) -> Expected:
        from fne_cli.machine import free_memory

        activations = Path(job.arguments[0]).with_name("activations.h5")
        found = self._of_file(activations)
        if isinstance(found, str):
            return Expected(found)
        split = job.options.get("split")
        extraction = self._extractions[activations]
        counts = self._counts(str(split), extraction.root) if split else self._images(extraction)
        if counts is None:
            return Expected()
        budget = job.options.get("memory") or free_memory() // 2
        alone = job.arguments[0] == str(activations) and not {"embedding", "recipe", "projection"} & set(job.options)
        widths = widths_of(job, found.features)
        widths = widths if alone else [sum(widths)]
        crops, classes = max(1, found.rows // max(1, counts.images)), counts.classes
        seconds = 0.0
        try:
            for rows in trainings(job, counts.training, classes, self._draws):
                for width in widths:
                    seconds += self._fit_seconds(job, rows * crops, found.rows, width, classes, budget, crops, alone)
        except FneError as error:
            return Expected(str(error).splitlines()[0])
        return Expected("", None, self._known(job, seconds))

    def _fit_seconds(
        self, job: Job, rows: int, read: int, features: int, classes: int, memory: int, crops: int, alone: bool
    ) -> float:
        """One fit, of so many rows, of which some are trained on. Raises DoesNotFit."""
        from fne_cli.numerics.svm.solver import RATE
        from fne_cli.steps.evaluate.classifiers.estimates import Sizes, beside, estimate
        from fne_cli.steps.evaluate.classifiers.recipe import as_tried

        reducing, features = (0.0, features) if alone else self._reducing(job, rows, features)
        how = classifier_of(job)
        auto = how.recipe == "auto"
        how = as_tried(how) if auto else replace(how, solver="certified")
        sizes = Sizes(rows, features, classes, crops, ternary=not alone and not auto)
        found = estimate(how, sizes, memory)
        solving = 0.0 if found is None else found.seconds()
        return reducing / RATE + solving + beside(read, features)

    def _reducing(self, job: Job, rows: int, features: int) -> tuple[float, int]:
        """Operations of a reduction, and the columns behind it; what jobs in a row reduce alike is decomposed once."""
        from fne_cli.numerics.embedding import embedding

        if (made := self._reductions.get(job.options.get("projection"))) is not None:
            return 0.0, made.options.get("lda") or made.options.get("components", self._components)
        name = job.options.get("embedding", "fne")
        columns, side = embedding(name).columns(features), min(rows, features)
        if ",pca:" not in f",{name}":
            return 0.0, columns
        key = (job.arguments[0], str(job.options.get("layers")), name.partition("pca:")[0], rows)
        again, self._reduced = key == self._reduced, key
        return 3.0 * rows * features * columns + (not again) * (rows * features * side + 20.0 * side**3), columns

    def _known(self, job: Job, seconds: float | None) -> float | None:
        known = self._stamps.seconds(job)
        return seconds if known is None else known

    def _of_file(self, activations: Path) -> _Activations | str:
        """Of the activations that a job reads: as they are, or as they will be."""
        found = self._activations[activations]
        return "" if isinstance(found, str) else found  # the extraction says why

    def looked_at(self, jobs: Sequence[Job]) -> dict[Path, str]:
        """Learn what the extractions among the jobs give; by their outputs, why some jobs are impossible."""
        self._made = {path: job for job in jobs if job.command in ("sample", "split") for path in job.outputs}
        self._reductions = {job.output: job for job in jobs if job.command == "reduce"}
        impossible: dict[Path, str] = {}
        for job in jobs:
            if any(path in impossible for path in job.inputs):
                impossible[job.output] = ""  # the other one says why
            elif job.images is not None and self._images(job) is None:
                impossible[job.output] = self._sources.problem(job)
            elif problem := self._indivisible(job) or self._without_rows(job):
                impossible[job.output] = problem
            if job.command == "extract":
                self._extractions[job.output] = job
                found = impossible[job.output] if job.output in impossible else self._of_extraction(job)
                self._activations[job.output] = found
                if isinstance(found, str):
                    impossible[job.output] = found
        return impossible

    def _indivisible(self, job: Job) -> str:
        """Why fne split would fail, "" if it would not: it is asked for a manifest elsewhere."""
        if job.command != "split" or any(path in self._made for path in job.inputs) or self._stamps.fresh(job):
            return ""
        with tempfile.TemporaryDirectory() as folder:
            elsewhere = Path(folder) / job.output.name
            try:
                replace(job, arguments=(job.arguments[0], str(elsewhere)), outputs=(elsewhere,)).perform(Execution())
            except FneError as error:
                return str(error)
        return ""

    def _without_rows(self, job: Job) -> str:
        """Why an evaluation has nothing to measure, "" if it has: there are no such layers, or components."""
        if job.command != "evaluate":
            return ""
        activations = Path(job.arguments[0]).with_name("activations.h5")
        found = self._activations[activations]
        if isinstance(found, str):
            return ""
        problem = without_layers(job, found.features)
        counts = None if problem or not components_of(job) else self._training(job, self._extractions[activations])
        if counts is None:
            return problem
        crops = max(1, found.rows // max(1, counts.images))
        rows = crops * max(trainings(job, counts.training, counts.classes, self._draws))
        return without_components(job, rows, found.features)

    def _training(self, job: Job, extraction: Job) -> _Counts | None:
        """What an evaluation trains on at most; None if manifests are still to be made, and may change."""
        made = self._made.get(Path(job.options.get("split") or str(extraction.images)))
        if made is None or made.command == "sample" or self._stamps.fresh(made):
            split = job.options.get("split")
            return self._counts(str(split), extraction.root) if split else self._images(extraction)
        before, whole = self._made.get(Path(str(made.images))), self._images(made)
        certain = before is None or before.command == "sample" or self._stamps.fresh(before)
        if whole is None or not certain or "holdout" not in made.options:
            return None
        listing = self._sources.listing(str(made.images), made.root, made.label_column)
        return replace(whole, training=left_by(made, listing, whole.training, whole.classes))

    def _of_extraction(self, job: Job) -> _Activations | str:
        if os.path.isfile(job.output) and not self._stamps.otherwise(job):
            try:
                with open_file(job.output, "activations") as file:
                    widths = {name: layer.features for name, layer in file.layers.items()}
                    rows = len(file.images) * int(file.settings.get("crops", 1))
                    return _Activations(widths, rows, None)
            except (FneError, TypeError, ValueError):
                return f"{job.output} is there, and not what fne extract writes"
        return self._measured(job)

    def _measured(self, job: Job) -> _Activations | str:
        from fne_cli.descriptors.opening import open_source
        from fne_cli.networks.recipe import Recipe
        from fne_cli.networks.running.speed import measure

        recipe = taken(Recipe, dict(job.options))
        if recipe not in self._speeds:
            self._progress.note(f"timing {recipe.model}")
            try:
                self._speeds[recipe] = measure(recipe, open_source)
            except FneError as error:
                self._speeds[recipe] = str(error)
        speed = self._speeds[recipe]
        counts = self._images(job)
        if isinstance(speed, str) or counts is None:
            return str(speed)
        return _Activations(speed.features, counts.images * recipe.crops, speed.row_seconds)

    def _images(self, job: Job) -> _Counts | None:
        return self._counts(str(job.images), job.root, job.label_column)

    def _counts(self, images: str, root: str | None, label_column: str = LABEL) -> _Counts | None:
        """Of a listing; of images or a split that are still to be made, as they will be; None if there are none."""
        listing = self._sources.listing(images, root, label_column)
        if listing is not None:
            training = sum(name == "train" for name in listing.splits) or len(listing)
            return _Counts(training, len(listing), len(listing.classes))
        job = self._made.get(Path(images))
        if job is None:
            return None
        if job.command == "sample":
            return _Counts(*COUNTS[job.arguments[0]])
        whole = self._images(job)
        if whole is None:
            return None
        if "per_class" in job.options:
            return _Counts(min(whole.images, job.options["per_class"] * whole.classes), whole.images, whole.classes)
        rest = 1 - sum(job.options.get(name) or 0.0 for name in ("test", "val", "holdout"))
        of = whole.training if "holdout" in job.options else whole.images
        return _Counts(round(of * rest), whole.images, whole.classes)
