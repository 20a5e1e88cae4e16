"""The fits of an evaluation, each embedding in each trial: one after the other in this process, or by workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.numerics.embedding import Embedding, embedding
from fne_cli.numerics.evaluation.metrics import Judged
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.models import model_of
from fne_cli.numerics.recipes.candidates import CANDIDATES, fits_of
from fne_cli.numerics.svm.dual import GROUP
from fne_cli.numerics.svm.problem import SHARING
from fne_cli.progress import Progress
from fne_cli.steps.evaluate.blocks import Blocks
from fne_cli.steps.evaluate.classifiers.discriminant import CentroidTraining, LdaTraining
from fne_cli.steps.evaluate.classifiers.estimates import Estimate, Sizes, estimate
from fne_cli.steps.evaluate.classifiers.logistic import LogisticTraining
from fne_cli.steps.evaluate.classifiers.neighbours import NeighboursTraining
from fne_cli.steps.evaluate.classifiers.recipe import RecipeTraining, as_tried
from fne_cli.steps.evaluate.classifiers.ridge import RidgeTraining
from fne_cli.steps.evaluate.classifiers.svm import SvmTraining
from fne_cli.steps.evaluate.classifiers.training import Training
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.measure import Detail, Detailed, Measurement
from fne_cli.steps.evaluate.options import FitPlan
from fne_cli.steps.evaluate.pictures import Measured
from fne_cli.store.many.gather import JoinedLayer
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.pooled import Layer, averaged
from fne_cli.tasks.engine import TaskSizes
from fne_cli.tasks.files import TaskFiles
from fne_cli.tasks.parts import Parts
from fne_cli.trials.classification import FOLDS, ClassificationTask
from fne_cli.trials.summary import Outcome
from fne_cli.vectors.projections import read_projection

KINDS = ("codes", "activations")
EMBEDDING = "embedding"
SHARE = 0.17  # of a fit: 7 values of C in 5 folds took 6.1 fits (scripts/bench_svm.py)
MANY = 64  # fits to give out: then none of them is shared by all workers


@dataclass(frozen=True)
class MeasuredFit:
    """One embedding, by its number, in one trial. detail: None if it was not asked for."""

    embedding: int
    outcome: Outcome
    detail: Detail | None


class Fits:
    """All fits of an evaluation. embeddings: names and features."""

    def __init__(self, source: JoinedFiles, plan: FitPlan, progress: Progress) -> None:
        self.source, self.plan = source, plan
        self.task = ClassificationTask.of(source, plan.protocol, plan.solver.seed, progress)
        self.training = _training(self.task, plan)
        self.measured = Measured.of(self.task, source, plan.classifier.regions)
        self.measurement = Measurement(self.measured, self.training, plan.solver.seed)
        self.kind: type[Embedding] | None = None if source.kind == "codes" else embedding(plan.embedding or "l2")
        self.projection = None if plan.projection is None else read_projection(plan.projection)
        if self.projection is not None:
            self.kind = self.projection.kind
        self.embeddings = [
            (name, Features(source, layers, self.kind, plan.thresholds, self.task, plan.solver))
            for name, layers in _embeddings(source, plan)
        ]
        self.largest = max(self.embeddings, key=lambda pair: (pair[1].count, pair[1].inputs))
        self.rows = max(len(trial.train) for trial in self.task.trials) * self.task.crops

    def __len__(self) -> int:
        return len(self.embeddings) * len(self.task.trials)

    def estimate(self) -> Estimate | None:
        """What one fit of the largest embedding takes at most; None for scikit-learn's solver. Raises DoesNotFit.

        Raises BadInput, too, if it cannot be made of so few rows.
        """
        self.largest[1].fit_bytes(self.rows)
        for _, each in self.embeddings:
            each.check(min(len(trial.train) for trial in self.task.trials) * self.task.crops)
        trains = [self.task.labels[trial.train] for trial in self.task.trials] if self.task.several else []
        sizes = Sizes(
            self.rows,
            self.largest[1].count,
            len(self.task.classes),
            self.task.crops,
            ternary=self.kind is None or self.kind.dtype == np.int8,
            several=self.task.several,
            asked=max(len(trial.test) for trial in self.task.trials) * self.task.crops,
            patterns=max((np.unique(train == -1, axis=1).shape[1] for train in trains), default=1),
        )
        solver = self.plan.solver
        how = as_tried(self.plan.classifier) if isinstance(self.training, RecipeTraining) else self.plan.classifier
        return estimate(how, sizes, solver.memory, solver.planned_threads)

    def load(self) -> tuple[int, float]:
        """The fits of one embedding in all trials, those by which C is chosen included; and as how many they count.

        Fits that share a Gram matrix and start from each other's solutions are short.
        """
        trials, costs = self.task.trials, self.plan.classifier.tried
        count, times = sum(map(self._fits_in, trials)), float(len(trials))
        if isinstance(self.training, RecipeTraining) or costs == 1:
            return count, float(count)
        wanted = self.estimate()
        shared = wanted is not None and wanted.path in SHARING
        for trial in trials:
            folds = _folds(trial)
            own = 0 if self.kind is None and shared else folds  # Gram matrices: codes have the one of the last fit
            times += own + (SHARE if shared else 1.0) * (folds * costs - own)
        return count, times

    @property
    def shortened(self) -> str:
        """What is to be said of a budget or memory that leaves out some of the candidates of a recipe."""
        if not isinstance(self.training, RecipeTraining):
            return ""
        counts = [len(self.training.candidates(self.largest[1], trial)) for trial in self.task.trials]
        fewest = min((count for count in counts if count), default=len(CANDIDATES))
        return (
            "" if fewest == len(CANDIDATES) else f"{fewest} of {len(CANDIDATES)} candidates fit --budget and --memory"
        )

    def _fits_in(self, trial: Trial) -> int:
        """How many problems are solved in one trial, those by which C is chosen included."""
        if isinstance(self.training, RecipeTraining):
            return 1 + sum(map(fits_of, self.training.candidates(self.largest[1], trial)))
        costs = self.plan.classifier.tried
        return 1 if costs == 1 else 1 + _folds(trial) * costs

    @property
    def bytes(self) -> int:
        """What a process takes for a fit, the rows included."""
        wanted = self.estimate()
        features = self.largest[1]
        held = min(features.bytes_of(len(self.task.images)), self.plan.solver.memory // 4)
        fit = 3 * 8 * self.rows * features.count if wanted is None else wanted.bytes
        return max(held + fit, features.fit_bytes(self.rows))  # rows are made when the embedding is there

    def in_blocks(self, sizes: TaskSizes) -> bool:
        """Whether workers had better share each fit, by blocks of classes, than do a fit each."""
        wanted = self.estimate()
        few_classes = len(self.task.classes) <= sizes.class_groups * GROUP
        if wanted is None or wanted.path not in ("gram", "rows", "direct") or len(self) >= MANY or few_classes:
            return False
        costs = self.plan.classifier.tried
        repeated = 1 if costs == 1 else 1 + FOLDS * costs
        return repeated * wanted.seconds() > sizes.fit_seconds

    def fit(self, number: int) -> MeasuredFit:
        """One of them. The rows that the trials of an embedding share stay until another one's turn comes."""
        place, trial = divmod(number, len(self.task.trials))
        for other, (_, features) in enumerate(self.embeddings):
            if other != place:
                features.release()
        outcome, detail = self.measurement.outcome(self.embeddings[place][1], trial)
        return MeasuredFit(place, outcome, detail)

    def results(self, parts: Parts | None, details: Detailed, progress: Progress) -> Iterator[MeasuredFit]:
        """All of them, in order; with `parts` by workers, with those details that are wanted."""
        sizes = [self._fits_in(trial) for trial in self.task.trials] * len(self.embeddings)
        if parts is None:
            with progress.track(sum(sizes), "fits") as advance:
                for number, size in enumerate(sizes):
                    yield self.fit(number)
                    advance(size)
        elif self.in_blocks(parts.sizes):
            progress.note("every fit is shared by the workers, in blocks of classes")
            blocks = Blocks(parts, self.plan.solver.memory)
            for _, features in self.embeddings:
                features.remote = blocks
            yield from map(self.fit, range(len(self)))
        else:
            yield from self._by_workers(parts, sizes, details)

    def _by_workers(self, parts: Parts, sizes: list[int], details: Detailed) -> Iterator[MeasuredFit]:
        paths = [os.path.abspath(path) for path in self.source.paths]
        shared = {"paths": paths, "plan": self.plan.plain(), "details": details}
        tasks = [{**shared, "fit": number} for number in range(len(self))]
        for number, (found, files) in enumerate(parts.results("fit", tasks, "fit", sizes, "fits")):
            place, trial = divmod(number, len(self.task.trials))
            outcome = Outcome(self.measured.task.trials[trial], found["figures"], found["seconds"])
            yield MeasuredFit(place, outcome, self._detail(place, found, files, details) if details else None)

    def _detail(self, place: int, found: Mapping[str, Any], files: TaskFiles, details: Detailed) -> Detail:
        def array(name: str) -> np.ndarray:
            return np.array(files.load(name))

        judged, how = Judged(array("decisions"), array("predicted")), self.plan.classifier
        if details != "classifier":
            return Detail(judged, None, None)
        features, fitted = self.embeddings[place][1], None
        arrays = {name: array(name) for name in found["arrays"]}
        model = model_of(how.classifier, array("classes"), features.count, arrays, how.temperature)
        if self.kind is not None:
            kind = embedding(found["figures"]["recipe"]) if "recipe" in found["figures"] else self.kind
            state = {name: array(f"state-{name}") for name in kind.arrays}
            fitted = kind.of_state(state, features.widths, self.plan.thresholds)
        return Detail(judged, model, fitted)


def _training(task: ClassificationTask, plan: FitPlan) -> Training:
    if plan.classifier.recipe == "auto":
        return RecipeTraining(task, plan.classifier, plan.solver)
    kinds: dict[str, type[Training]] = {
        "svm": SvmTraining,
        "ridge": RidgeTraining,
        "lda": LdaTraining,
        "logistic": LogisticTraining,
        "knn": NeighboursTraining,
        "centroid": CentroidTraining,
    }
    return kinds[plan.classifier.kind](task, plan.classifier, plan.solver)


def _folds(trial: Trial) -> int:
    """In how many divisions of its training images a trial tries the values of C."""
    return 1 if len(trial.validation) else FOLDS


def _embeddings(source: JoinedFiles, plan: FitPlan) -> Iterator[tuple[str, list[Layer]]]:
    stored = [JoinedLayer(source, name) for name in plan.layers]
    layers: list[Layer] = list(stored) if plan.pool is None else [averaged(layer) for layer in stored]
    alone = source.kind == "activations" and plan.embedding is None
    if not alone:
        yield EMBEDDING, layers
    if alone or plan.each_layer:
        for layer in layers:
            yield layer.name, [layer]
