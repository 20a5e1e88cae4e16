"""What the jobs of an experiment will take: bytes on the disk, and time."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fne_cli.errors import FneError
from fne_cli.experiments.config import Experiment
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.stamps import Sources, Stamps
from fne_cli.progress import Progress
from fne_cli.store.output import Output
from fne_cli.store.reader import open_file

if TYPE_CHECKING:
    from fne_cli.networks.recipe import Recipe

_FOLDS = 5  # that choose C


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


class Forecast:
    """Measures the networks that are needed, once each. Times of earlier runs win over estimates."""

    def __init__(self, experiment: Experiment, sources: Sources, stamps: Stamps, progress: Progress) -> None:
        self._experiment, self._sources, self._stamps, self._progress = experiment, sources, stamps, progress
        self._speeds: dict[Recipe, Any] = {}
        self._activations: dict[Path, _Activations | str] = {}
        self._extractions: dict[Path, Job] = {}
        self._splits: dict[Path, Job] = {}

    def of(self, job: Job) -> Expected:
        """What the job will take."""
        match job.command:
            case "extract":
                return self._extraction(job)
            case "normalize" | "discretize" | "analyze":
                return self._streaming(job)
            case "evaluate":
                return self._evaluation(job)
            case _:
                return Expected()

    @staticmethod
    def unfinished(job: Job) -> str:
        """How far an interrupted extraction has come, "" if there is none."""
        output = Output(job.output)
        if job.command != "extract" or not output.resumable:
            return ""
        try:
            journal = output.read_journal()
        except FneError:
            return ""
        return f"{journal['committed']:,} of {journal['images']:,} images safe"

    def _extraction(self, job: Job) -> Expected:
        found = self._of_extraction(job)
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
        from fne_cli.numerics.memory import free_memory
        from fne_cli.numerics.svm import estimate

        activations = Path(job.arguments[0]).with_name("activations.h5")
        found = self._of_file(activations)
        if isinstance(found, str):
            return Expected(found)
        split = job.options.get("split")
        extraction = self._extractions[activations]
        known = self._training(str(split or extraction.images), extraction.root)
        if known is None:
            return Expected()
        training, images, classes = known
        budget = job.options.get("memory") or free_memory() // 2
        alone = job.arguments[0] == str(activations) and "embedding" not in job.options
        widths = list(found.features.values()) if alone else [sum(found.features.values())]
        crops = max(1, found.rows // max(1, images))
        seconds = 0.0
        try:
            for rows in self._trainings(job, training, classes):
                for width in widths:
                    seconds += estimate(rows * crops, width, classes, budget, 8 if alone else 2).seconds()
        except FneError as error:
            return Expected(str(error).splitlines()[0])
        return Expected("", None, self._known(job, seconds))

    def _training(self, images: str, root: str | None) -> tuple[int, int, int] | None:
        """Training images, all images and classes of a listing; of a split that is still to be made, as it will be."""
        listing = self._sources.listing(images, root)
        if listing is not None:
            return sum(name == "train" for name in listing.splits) or len(listing), len(listing), len(listing.classes)
        job = self._splits.get(Path(images))
        whole = None if job is None else self._sources.listing(str(job.images), job.root)
        if job is None or whole is None:
            return None
        count, classes = len(whole), len(whole.classes)
        if "per_class" in job.options:
            return min(count, job.options["per_class"] * classes), count, classes
        return round(count * (1 - job.options.get("test", 0.0) - job.options.get("val", 0.0))), count, classes

    def _trainings(self, job: Job, training: int, classes: int) -> Iterable[int]:
        """The training images of every fit."""
        options = job.options
        sizes = [training]
        if "cv" in options:
            sizes = [training * (options["cv"] - 1) // options["cv"]] * options["cv"]
        if "per_class" in options:
            draws = options.get("draws", self._experiment.options["evaluate"]["draws"].default)
            sizes = [min(training, count * classes) for count in options["per_class"]] * draws
        costs = len(set(options.get("cost", (1,))))
        inner = [size * (_FOLDS - 1) // _FOLDS for size in sizes] * _FOLDS * costs if costs > 1 else []
        return sizes + inner

    def _known(self, job: Job, seconds: float | None) -> float | None:
        known = self._stamps.seconds(job)
        return seconds if known is None else known

    def _of_file(self, activations: Path) -> _Activations | str:
        """Of the activations that a job reads: as they are, or as they will be."""
        found = self._activations[activations]
        return "" if isinstance(found, str) else found  # the extraction says why

    def looked_at(self, jobs: Iterable[Job]) -> None:
        """Learn what the extractions among the jobs give, from their files where they are there."""
        for job in jobs:
            if job.command == "split":
                self._splits[job.output] = job
            if job.command == "extract":
                self._extractions[job.output] = job
                self._activations[job.output] = self._of_extraction(job)

    def _of_extraction(self, job: Job) -> _Activations | str:
        if job.output in self._activations:
            return self._activations[job.output]
        if os.path.isfile(job.output):
            try:
                with open_file(job.output, "activations") as file:
                    widths = {name: layer.features for name, layer in file.layers.items()}
                    rows = len(file.images) * int(file.settings.get("crops", 1))
                    return _Activations(widths, rows, None)
            except (FneError, TypeError, ValueError):
                return "the file that is there is not what fne extract writes"
        return self._measured(job)

    def _measured(self, job: Job) -> _Activations | str:
        from fne_cli.networks.recipe import Recipe
        from fne_cli.networks.speed import measure

        names = {entry.name for entry in dataclasses.fields(Recipe)}
        recipe = Recipe(**{key: value for key, value in job.options.items() if key in names})
        listing = self._sources.listing(str(job.images), job.root)
        if recipe not in self._speeds:
            self._progress.note(f"timing {recipe.model}")
            try:
                self._speeds[recipe] = measure(recipe)
            except FneError as error:
                self._speeds[recipe] = str(error).splitlines()[0]
        speed = self._speeds[recipe]
        if isinstance(speed, str):
            return speed
        if listing is None:
            return "the images are not there yet"
        return _Activations(speed.features, len(listing) * recipe.crops, speed.row_seconds)
