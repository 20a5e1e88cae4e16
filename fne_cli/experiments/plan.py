"""An experiment -> the jobs that make its files, in an order in which they can be done, and the cells of its table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput, FneError
from fne_cli.experiments.datasets import DatasetPlan, Jobs, ProtocolPlan
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.summed import ranking
from fne_cli.experiments.tunings import tuning
from fne_cli.experiments.written.config import DATA, Experiment, Table, Value
from fne_cli.numerics.classifiers import OWNERS, foreign
from fne_cli.options import taken
from fne_cli.steps.embeddings import takes_thresholds

if TYPE_CHECKING:
    from fne_cli.experiments.varied.factors import Setting

LAYERS = "layers"


@dataclass(frozen=True)
class Cell:
    """One cell of the table, which `job` fills: an embedding, or every single layer (embedding = "layers").

    group: the protocol as it is called in the file, of which this may be one of several splits. needs: the jobs before
    its own.
    """

    dataset: str
    network: str
    pooling: str
    embedding: str
    protocol: str
    group: str
    images: str
    root: str | None
    activations: Path
    job: Job
    needs: tuple[Job, ...]


@dataclass(frozen=True)
class Tried:
    """A setting of the factors, and the cell that measures it on the images by which settings are chosen."""

    setting: Setting
    cell: Cell


@dataclass(frozen=True)
class Plan:
    """Jobs, each after those whose files it reads, and cells.

    tried: settings of factors, which are no cells. ranks: of activations whose single layers are measured.
    """

    jobs: list[Job]
    cells: list[Cell]
    tried: list[Tried] = field(default_factory=list)
    ranks: dict[Path, Job] = field(default_factory=dict)

    @property
    def measured(self) -> list[Cell]:
        """All that is measured."""
        return [*self.cells, *(one.cell for one in self.tried)]


def plan(experiment: Experiment) -> Plan:
    """What is to be done, whether it has been done or not. Raises BadInput."""
    if experiment.factors is not None:
        from fne_cli.experiments.varied.grid import planned

        return planned(experiment, experiment.factors)
    jobs = Jobs()
    cells: list[Cell] = []
    plans = _FeaturePlans(experiment, jobs)
    for name in experiment.named["datasets"]:
        for network in experiment.named["networks"]:
            for pooling in experiment.named["poolings"]:
                for cell in plans.of(name, network, pooling).cells(name, network, pooling):
                    for job in (*cell.needs, cell.job):
                        jobs.add(job)
                    cells.append(cell)
    return ranked(experiment, jobs, Plan(jobs.in_order, cells))


def ranked(experiment: Experiment, jobs: Jobs, plan: Plan) -> Plan:
    """The plan, with a ranking of all activations whose single layers are measured, if the experiment wants that."""
    if ranking.wanted(experiment):
        for cell in plan.cells:
            if cell.embedding == LAYERS and cell.activations not in plan.ranks:
                job = ranking.job_of(experiment, cell.activations, cell.job.options.get("pool"))
                plan.ranks[cell.activations] = job
                jobs.add(job)
    return plan


class _FeaturePlans:
    """The plans of all datasets, networks and poolings; the jobs that make the files of datasets go to `jobs`."""

    def __init__(self, experiment: Experiment, jobs: Jobs) -> None:
        self._experiment, self._jobs = experiment, jobs
        self._datasets: dict[str, DatasetPlan] = {}

    def of(self, dataset: str, network: str, pooling: str) -> FeaturePlan:
        """One of them."""
        experiment, named = self._experiment, self._experiment.named
        if dataset not in self._datasets:
            self._datasets[dataset] = DatasetPlan(experiment, dataset, self._jobs)
        plan = self._datasets[dataset]
        options = experiment.given("extract", plan.table, named["networks"][network], named["poolings"][pooling])
        folder = plan.folder / f"{network}.{pooling}"
        return FeaturePlan(experiment, folder, plan, options, lambda other: self.of(other, network, pooling))


class FeaturePlan:
    """What is made of a dataset by one network with one pooling. others: the same of another dataset, by its name."""

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        dataset: DatasetPlan,
        options: dict[str, Any],
        others: Callable[[str], FeaturePlan] | None = None,
    ) -> None:
        self.experiment, self.folder, self.dataset = experiment, folder, dataset
        self._others = others
        self.embeddings = experiment.named["embeddings"]
        self.activations = folder / "activations.h5"
        self.moments = folder / "moments.h5"
        self.behavior = folder / "behavior.h5"
        if dataset.root is not None:
            options["root"] = dataset.root
        if "split" in dataset.table:
            options.pop("label_column", None)  # of what was divided; the manifest that came of it has the usual one
        images = dataset.images
        made = (Path(images),) if "split" in dataset.table or "sample" in dataset.table else ()
        weights = tuple(
            Path(options[key]) for key in ("model", "weights") if os.path.isfile(str(options.get(key) or ""))
        )
        self.extraction = Job(
            "extract", (images, str(self.activations)), options, made + weights, (self.activations,),
            images=images, root=dataset.root,
        )  # fmt: skip

    def cell(self, network: str, pooling: str, embedding: str, protocol: ProtocolPlan, job: Job) -> Cell:
        """Of an evaluation that needs the activations only."""
        return Cell(
            self.dataset.name, network, pooling, embedding, protocol.name, protocol.group,
            self.dataset.images, self.dataset.root, self.activations, job, (self.extraction,),
        )  # fmt: skip

    def cells(self, dataset: str, network: str, pooling: str) -> Iterator[Cell]:
        """A cell for each embedding and each protocol, and the single layers behind them."""
        for protocol in self.dataset.protocols:
            cells = [(name, self._measured(name, table, protocol)) for name, table in self.embeddings.items()]
            if protocol.table.get("single_layers", Value(True, "")).value:
                cells.append((LAYERS, [self.evaluation(LAYERS, protocol, {})]))
            if pooling == next(iter(self.experiment.named["poolings"])):  # a tuned network has none of its own
                cells += self._tunings(network, protocol)
            for name, jobs in cells:
                yield Cell(
                    dataset, network, pooling, name, protocol.name, protocol.group,
                    self.dataset.images, self.dataset.root, self.activations, jobs[-1],
                    () if jobs[-1].command == "tune" else (self.extraction, *jobs[:-1]),
                )  # fmt: skip

    def _tunings(self, network: str, protocol: ProtocolPlan) -> list[tuple[str, list[Job]]]:
        """What tunes the network, by the trainings that the embeddings have."""
        tables = self.experiment.named["tunings"].items()
        return [
            (name, [tuning(self.experiment, name, table, self.extraction, protocol)])
            for name, table in tables
            if table.get("network", Value(network, "")).value == network
        ]

    def _measured(self, name: str, table: Table, protocol: ProtocolPlan) -> list[Job]:
        """The evaluation of an embedding, last, and what it needs but the activations."""
        if "projection" in table:
            needs, projection = self._projected(table["projection"].value)
            return [*needs, self.evaluation(name, protocol, {"projection": projection})]
        kind = table.get("embedding", Value("fne", "")).value
        cuts = table.get("thresholds", Value(None, "")).value
        chosen = {"layers": table["layers"].value} if "layers" in table else {}
        if "recipe" in table:
            own: dict[str, Any] = {key: table[key].value for key in ("recipe", "budget") if key in table}
            return [self.evaluation(name, protocol, {**own, **chosen})]
        if not takes_thresholds(kind):
            return [self.evaluation(name, protocol, {"embedding": kind, **chosen})]
        thresholds = {} if cuts is None else {"thresholds": self.behavior if cuts == DATA else cuts}
        needs = [self._step("analyze", (self.activations,), self.behavior)] if cuts == DATA else []
        if kind != "fne" or not protocol.trains_once or protocol.manifest is not None:  # else there is a file of codes
            options = {"embedding": kind, **thresholds, **chosen}
            return [*needs, self.evaluation(name, protocol, options)]
        # the moments of the training images are those of the only training there is
        codes = self.folder / f"codes-{name}.h5"
        inputs = (self.activations, self.moments)
        needs.append(self._step("normalize", (self.activations,), self.moments))
        needs.append(self._step("discretize", inputs, codes, **thresholds))
        return [*needs, self.evaluation(name, protocol, chosen, codes)]

    def _projected(self, name: str) -> tuple[list[Job], Path]:
        """What makes a projection, of the dataset that it names or of this one; and its file."""
        table = self.experiment.named["projections"][name]
        dataset = table.get("dataset", Value(self.dataset.name, "")).value
        source = self if dataset == self.dataset.name or self._others is None else self._others(dataset)
        path = source.folder / f"projection-{name}.h5"
        words = (str(source.activations), str(path))
        options = self.experiment.given("reduce", table)
        try:
            from fne_cli.steps.reduce import ReductionOptions

            taken(ReductionOptions, dict(options)).text()
        except FneError as error:
            raise BadInput(f"{self.experiment.path}, [projections.{name}]: {error}") from error
        job = Job("reduce", words, options, (source.activations,), (path,))
        return [*([] if source is self else [source.extraction]), job], path

    def _step(self, command: str, inputs: tuple[Path, ...], output: Path, **options: Any) -> Job:
        words = tuple(str(path) for path in (*inputs, output))
        return Job(command, words, self.experiment.given(command) | options, inputs + _files(options), (output,))

    def evaluation(
        self,
        name: str,
        protocol: ProtocolPlan,
        own: dict[str, Any],
        features: Path | None = None,
        *,
        predicted: bool = True,
    ) -> Job:
        """The evaluation of an embedding, with what is its `own`; of the activations, if there are no other features.

        predicted: with a file of predictions, where there is one training.
        """
        features = features or self.activations
        results = self.folder / f"{name}.{protocol.name}.json"
        table = {key: entry for key, entry in protocol.table.items() if key != "split"}
        options = self.experiment.given("evaluate", table) | own
        strange = ("classifier", *OWNERS) if "recipe" in own else foreign(self.experiment.classifier(table))
        for key in strange:  # [evaluate] may have it for another protocol, the protocol for other embeddings
            options.pop(key, None)
        if protocol.manifest is not None:
            options["split"] = protocol.manifest
        inputs = (features, *_files(options))
        outputs = [results]
        if predicted and protocol.trains_once and name != LAYERS:
            outputs.append(results.with_suffix(".csv"))
            options["predictions"] = outputs[1]
        return Job("evaluate", (str(features), str(results)), options, inputs, tuple(outputs))


def _files(options: dict[str, Any]) -> tuple[Path, ...]:
    """Those of the options that are files."""
    return tuple(value for value in options.values() if isinstance(value, Path))
