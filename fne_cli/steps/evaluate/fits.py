"""The fits of an evaluation, each embedding in each trial: here, one after the other, or as tasks of workers."""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.machine import free_memory
from fne_cli.numerics.embedding import Embedding, Kind
from fne_cli.numerics.evaluation.assessment import Judged
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.svm.dual import GROUP
from fne_cli.numerics.svm.solver import Estimate, LinearModel, estimate
from fne_cli.numerics.svm.spread import EACH
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.evaluate.blocks import Blocks
from fne_cli.steps.evaluate.features import Features
from fne_cli.steps.evaluate.measure import Detail, Measurement, Outcome
from fne_cli.steps.evaluate.task import FOLDS, Protocol, Task
from fne_cli.store.many.gather import JoinedLayer
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.tasks.parts import Parts
from fne_cli.tasks.place import Place, Result, kept, reopened

KINDS = ("codes", "activations")
EMBEDDING = "embedding"
SHARE = 0.17  # of a fit: 7 values of C in 5 folds took 6.1 fits (scripts/bench_svm.py)
BLOCK_SECONDS, MANY = 600.0, 64
"""A fit of so many seconds (reckoned on two cores) is shared by all workers, unless there are so many to give out."""


@dataclass(frozen=True)
class Wanted:
    """What to fit, plainly. layers: names. cuts: low and high of ternary codes. memory: bytes of each process.

    reckoned: the processors of the command, by which all processes choose the solver's path.
    """

    layers: Sequence[str]
    embedding: Kind | None
    each_layer: bool
    cuts: Sequence[float]
    protocol: Protocol
    costs: Sequence[float]
    aggregate: Any
    solver: Any
    tolerance: float
    memory: int
    seed: int
    reckoned: int

    def plain(self) -> dict[str, Any]:
        """As JSON has it; paths are absolute."""
        split = self.protocol.split and os.path.abspath(self.protocol.split)
        return {**asdict(self), "protocol": {**asdict(self.protocol), "split": split}}

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> Wanted:
        """The same again."""
        protocol = dict(values["protocol"])
        split, sizes = protocol["split"] and Path(protocol["split"]), tuple(protocol["per_class"])
        return cls(**{**values, "protocol": Protocol(**{**protocol, "split": split, "per_class": sizes})})


@dataclass(frozen=True)
class Fit:
    """One embedding, by its number, in one trial. detail: None if it was not asked for."""

    embedding: int
    outcome: Outcome
    detail: Detail | None


class Fits:
    """All fits of an evaluation. embeddings: names and features."""

    def __init__(self, source: JoinedFiles, wanted: Wanted, progress: Progress) -> None:
        self.source, self.wanted = source, wanted
        self.task = Task.of(source, wanted.protocol, wanted.seed, progress)
        self.measurement = Measurement(self.task, wanted.costs, wanted.aggregate, wanted.seed)
        self.kind: Kind | None = None if source.kind == "codes" else wanted.embedding or "l2"
        self._options = {name: getattr(wanted, name) for name in ("solver", "tolerance", "memory", "seed", "reckoned")}
        low, high = wanted.cuts
        self.embeddings = [
            (name, Features(source, layers, self.kind, (low, high), self.task, self._options))
            for name, layers in _embeddings(source, wanted)
        ]
        self.largest = max(self.embeddings, key=lambda pair: pair[1].count)
        self.rows = max(len(trial.train) for trial in self.task.trials) * self.task.crops

    def __len__(self) -> int:
        return len(self.embeddings) * len(self.task.trials)

    def estimate(self) -> Estimate | None:
        """What one fit of the largest embedding takes at most; None for scikit-learn's solver. Raises DoesNotFit."""
        features, memory = self.largest[1].count, self.wanted.memory
        if self.wanted.solver == "liblinear":
            needed = 3 * 8 * self.rows * features
            if needed > memory:
                raise DoesNotFit(
                    f"scikit-learn's LinearSVC makes about three float64 copies of {self.rows:,} rows of {features:,} "
                    f"features: {needed / 2**30:.1f} GiB of {memory / 2**30:.1f} GiB. Leave --solver out."
                )
            return None
        itemsize = 2 if self.kind in (None, "fne") else 8
        return estimate(self.rows, features, len(self.task.classes), memory, itemsize, threads=self.wanted.reckoned)

    def load(self) -> tuple[int, float]:
        """The fits of one embedding in all trials, those by which C is chosen included; and as how many they count.

        Fits that share a Gram matrix and start from each other's solutions are short.
        """
        trials, costs = self.task.trials, len(self.wanted.costs)
        if costs == 1:
            return len(trials), float(len(trials))
        count, times = sum(map(self._fits_in, trials)), float(len(trials))
        wanted = self.estimate()
        shared = wanted is not None and wanted.path == "gram"
        for trial in trials:
            folds = _folds(trial)
            own = 0 if self.kind is None and shared else folds  # Gram matrices: codes have the one of the last fit
            times += own + (SHARE if shared else 1.0) * (folds * costs - own)
        return count, times

    def _fits_in(self, trial: Trial) -> int:
        """How many problems are solved in one trial, those by which C is chosen included."""
        costs = len(self.wanted.costs)
        return 1 if costs == 1 else 1 + _folds(trial) * costs

    @property
    def bytes(self) -> int:
        """What a process takes for a fit, the rows included."""
        wanted = self.estimate()
        held = min(self.largest[1].bytes_of(len(self.task.images)), self.wanted.memory // 4)
        return held + (3 * 8 * self.rows * self.largest[1].count if wanted is None else wanted.bytes)

    @property
    def in_blocks(self) -> bool:
        """Whether workers had better share each fit, by blocks of classes, than do a fit each."""
        wanted = self.estimate()
        if wanted is None or wanted.path == "newton" or len(self) >= MANY or len(self.task.classes) <= EACH * GROUP:
            return False
        repeated = 1 if len(self.wanted.costs) == 1 else 1 + FOLDS * len(self.wanted.costs)
        return repeated * wanted.seconds() > BLOCK_SECONDS

    def fit(self, number: int) -> Fit:
        """One of them. The rows that the trials of an embedding share stay until another one's turn comes."""
        place, trial = divmod(number, len(self.task.trials))
        for other, (_, features) in enumerate(self.embeddings):
            if other != place:
                features.release()
        outcome, detail = self.measurement.outcome(self.embeddings[place][1], self.task.trials[trial])
        return Fit(place, outcome, detail)

    def here(self, progress: Progress) -> Iterator[Fit]:
        """All of them, in order."""
        sizes = self._sizes()
        with progress.track(sum(sizes), "fits") as advance:
            for number, size in enumerate(sizes):
                yield self.fit(number)
                advance(size)

    def elsewhere(self, parts: Parts, details: bool, progress: Progress) -> Iterator[Fit]:
        """All of them, in order, by workers; with details if they are wanted."""
        if self.in_blocks:
            progress.note("every fit is shared by the workers, in blocks of classes")
            self._options["elsewhere"] = Blocks(parts, self.wanted.memory)
            yield from map(self.fit, range(len(self)))
            return
        paths = [os.path.abspath(path) for path in self.source.paths]
        shared = {"paths": paths, "wanted": self.wanted.plain(), "details": details}
        tasks = [{**shared, "fit": number} for number in range(len(self))]
        for number, (found, place) in enumerate(parts.results("fit", tasks, "fit", self._sizes(), "fits")):
            embedding, trial = divmod(number, len(self.task.trials))
            outcome = Outcome(self.task.trials[trial], found["figures"], found["seconds"])
            yield Fit(embedding, outcome, self._detail(outcome.trial, place) if details else None)

    def _sizes(self) -> list[int]:
        return [self._fits_in(trial) for trial in self.task.trials] * len(self.embeddings)

    def _detail(self, trial: Trial, place: Place) -> Detail:
        def array(name: str) -> np.ndarray:
            return np.array(place.load(name))

        embedding = None
        if self.kind is not None:
            mean, std = map(array, ("mean", "std")) if Embedding.needs_moments(self.kind) else (None, None)
            embedding = Embedding(self.kind, mean, std, (self.wanted.cuts[0], self.wanted.cuts[1]))
        model = LinearModel(array("classes"), array("weights"), array("intercepts"))
        return Detail(Judged(array("decisions"), array("predicted")), model, embedding)


def _folds(trial: Trial) -> int:
    """In how many divisions of its training images a trial tries the values of C."""
    return 1 if len(trial.validation) else FOLDS


@kept
def fit_one(settings: Mapping[str, Any], place: Place, progress: Progress) -> Result:
    """A worker's task: one embedding in one trial."""
    with _forgetting.put_off():
        fits = _opened(json.dumps({name: settings[name] for name in ("paths", "wanted", "inputs")}))
        found = fits.fit(settings["fit"])
    if settings["details"] and found.detail is not None:
        judged, model, embedding = found.detail.judged, found.detail.model, found.detail.embedding
        place.save(decisions=judged.decisions, predicted=judged.predicted)
        place.save(classes=model.classes, weights=model.weights, intercepts=model.intercepts)
        if embedding is not None and embedding.mean is not None and embedding.std is not None:
            place.save(mean=embedding.mean, std=embedding.std)
    return {"figures": found.outcome.figures, "seconds": found.outcome.seconds}


@lru_cache(maxsize=1)
def _opened(text: str) -> Fits:
    """The fits of the last task are those of the next: its rows, and their Gram matrix, are in memory."""
    settings = json.loads(text)
    source, wanted = reopened(settings, *KINDS), Wanted.of_plain(settings["wanted"])
    fits, free = Fits(source, wanted, SILENT), free_memory()
    if fits.bytes > free:
        raise DoesNotFit(
            f"Worker {platform.node()} should have {fits.bytes / 2**30:.1f} GiB of memory for a fit. Found: "
            f"{free / 2**30:.1f} GiB.\nGive less with --memory, of which every worker takes as much, or fewer workers."
        )
    return fits


class _Forgetting:
    """What a worker has of its last task goes when no other follows: workers outlive commands."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._timer = seconds, threading.Timer(0, _opened.cache_clear)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Not while this is open, and count from then."""
        self._timer.cancel()
        try:
            yield
        finally:
            self._timer = threading.Timer(self._seconds, _opened.cache_clear)
            self._timer.daemon = True
            self._timer.start()


_forgetting = _Forgetting(120.0)


def _embeddings(source: JoinedFiles, wanted: Wanted) -> Iterator[tuple[str, list[JoinedLayer]]]:
    layers = [JoinedLayer(source, name) for name in wanted.layers]
    alone = source.kind == "activations" and wanted.embedding is None
    if not alone:
        yield EMBEDDING, layers
    if alone or wanted.each_layer:
        for layer in layers:
            yield layer.name, [layer]
