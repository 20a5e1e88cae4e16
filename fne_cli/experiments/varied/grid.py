"""The factors of an experiment -> the jobs that try every setting on images that are no test images, and then the best.

Of each dataset: every network with every setting, on the images that `fne split --holdout` leaves for it; the first
network with the standard, and the setting that is best there, on the test images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fne_cli.errors import FneError
from fne_cli.experiments.datasets import DatasetPlan, Jobs, ProtocolPlan
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.plan import LAYERS, Cell, FeaturePlan, Plan, Tried, ranked
from fne_cli.experiments.varied.factors import Factors, Setting, classifier_name
from fne_cli.experiments.written.config import Experiment, Table, Value
from fne_cli.store.format.reader import open_file
from fne_cli.store.many.pooled import AVERAGE, is_average

_SAYS = ("pooling", "output_shape")
CHOOSING, TESTING = "validation", "test"
"""What the protocols are called: measured on images by which is chosen, and on test images."""


def planned(experiment: Experiment, factors: Factors) -> Plan:
    """All but what is still to be chosen."""
    jobs = Jobs()
    cells: list[Cell] = []
    tried: list[Tried] = []
    for dataset in experiment.named["datasets"]:
        for grid in _grids(experiment, factors, dataset, jobs):
            own = list(grid.tried(factors))
            tried += own
            cells += grid.cells(factors)
            for cell in (*grid.cells(factors), *(one.cell for one in own)):
                for job in (*cell.needs, cell.job):
                    jobs.add(job)
    return ranked(experiment, jobs, Plan(jobs.in_order, cells, tried))


def with_chosen(experiment: Experiment, factors: Factors, plan: Plan, best: dict[str, Tried]) -> Plan:
    """The plan, and the evaluation of the best setting of each dataset on its test images."""
    jobs = Jobs()
    for job in plan.jobs:
        jobs.add(job)
    cells = list(plan.cells)
    for dataset, one in best.items():
        for grid in _grids(experiment, factors, dataset, Jobs()):
            if (grid.network, grid.pooling) == (one.cell.network, one.cell.pooling):
                cell = grid.tested(factors, one.setting)
                jobs.add(cell.job)
                if all(cell.job.output != other.job.output for other in cells):
                    cells.append(cell)
    return Plan(jobs.in_order, cells, plan.tried, plan.ranks)


def is_standard(experiment: Experiment, factors: Factors, one: Tried) -> bool:
    """Whether it is the first network with the first value of every factor."""
    return one.cell.network == next(iter(experiment.named["networks"])) and one.setting == factors.standard


def test_of(plan: Plan, factors: Factors, one: Tried) -> Cell | None:
    """The cell that measures a setting on the test images, if the plan has it."""
    name, protocol = factors.name(one.setting), _protocol(TESTING, one.setting, None).name
    own = (one.cell.dataset, one.cell.network, one.cell.pooling, name, protocol)
    return next(
        (cell for cell in plan.cells
         if (cell.dataset, cell.network, cell.pooling, cell.embedding, cell.protocol) == own),
        None,
    )  # fmt: skip


class _Grid:
    """The settings of one dataset, network and pooling. standard: whether it is the first network.

    averaged: whether the features are the averages over maps of an extraction that has those over cells.
    """

    def __init__(
        self, features: FeaturePlan, network: str, pooling: str, settings: list[Setting], manifest: Path, standard: bool
    ) -> None:
        self.averaged = False
        self.features, self.network, self.pooling = features, network, pooling
        self._settings, self._manifest, self._standard = settings, manifest, standard

    def tried(self, factors: Factors) -> Iterator[Tried]:
        """Every setting, on the images that were held out."""
        for setting in self._settings:
            yield Tried(setting, self._cell(factors, setting, _protocol(CHOOSING, setting, self._manifest), False))

    def cells(self, factors: Factors) -> list[Cell]:
        """Single layers on the images held out: how far the dataset is from the source; and the standard, tested."""
        if factors.standard not in self._settings:
            return []
        found = [self.tested(factors, factors.standard)] if self._standard else []
        layers = ProtocolPlan(f"{CHOOSING}-layers", f"{CHOOSING}-layers", {}, self._manifest)
        job = self.features.evaluation(LAYERS, layers, {"classifier": "svm", "cost": (1.0,), **self._pool})
        return [*found, self.features.cell(self.network, self.pooling, LAYERS, layers, job)]

    def tested(self, factors: Factors, setting: Setting) -> Cell:
        """A setting on the test images."""
        return self._cell(factors, setting, _protocol(TESTING, setting, None), True)

    @property
    def _pool(self) -> dict[str, Any]:
        return {"pool": AVERAGE} if self.averaged else {}

    def average_from(self, others: Sequence[_Grid]) -> None:
        """Take averages over maps from the cells of an extraction that is there, if these say them exactly."""
        own = self._settings[0]
        if own.pool != (AVERAGE,) or self.features.activations.exists():
            return
        for other in others:
            its = other._settings[0]
            cells = len(its.pool) == 1 and its.pool[0].startswith(f"{AVERAGE}:") and its.crops == own.crops
            if cells and _says_average(other.features.activations):
                self.features.activations = other.features.activations
                self.features.extraction = other.features.extraction
                self.averaged = True
                return

    def _cell(self, factors: Factors, setting: Setting, protocol: ProtocolPlan, predicted: bool) -> Cell:
        own: dict[str, Any] = {"embedding": setting.embedding, **self._pool}
        if setting.layers:
            own["layers"] = setting.layers
        name = factors.name(setting)
        job = self.features.evaluation(name, protocol, own, predicted=predicted)
        return self.features.cell(self.network, self.pooling, name, protocol, job)


def _grids(experiment: Experiment, factors: Factors, name: str, jobs: Jobs) -> Iterator[_Grid]:
    """Those of a dataset; the jobs that make its images and lists go to `jobs`."""
    dataset = DatasetPlan(experiment, name, jobs)
    manifest = dataset.folder / f"{CHOOSING}.csv"
    jobs.add(_holdout(dataset, manifest, factors.share, jobs))
    settings: dict[str, list[Setting]] = {}
    for setting in factors.settings:
        settings.setdefault(factors.pooling(setting), []).append(setting)
    for place, (network, own) in enumerate(experiment.named["networks"].items()):
        own_grids: list[_Grid] = []
        for pooling, members in settings.items():
            options = experiment.given("extract", dataset.table, own)
            options |= {"pool": members[0].pool, "crops": members[0].crops}
            features = FeaturePlan(experiment, dataset.folder / f"{network}.{pooling}", dataset, options)
            own_grids.append(_Grid(features, network, pooling, members, manifest, place == 0))
        for grid in own_grids:
            grid.average_from(own_grids)
        yield from own_grids


def grids_first(plan: Plan, factors: Factors) -> list[Job]:
    """Extractions by averages over cells that may say those over maps, which then need none."""
    pools = factors.values["pool"]
    if (AVERAGE,) not in pools:
        return []
    return [
        job for job in plan.jobs
        if job.command == "extract" and str(job.options["pool"][0]).startswith(f"{AVERAGE}:")
    ]  # fmt: skip


def _says_average(activations: Path) -> bool:
    if not activations.exists():
        return False
    try:
        with open_file(activations, "activations") as file:
            said = [{name: str(layer.attrs.get(name, "")) for name in _SAYS} for layer in file.layers.values()]
    except FneError:
        return False
    return all(is_average(**one) for one in said)


def _holdout(dataset: DatasetPlan, manifest: Path, share: float, jobs: Jobs) -> Job:
    options: dict[str, Any] = {"holdout": share}
    if dataset.root is not None:
        options["root"] = dataset.root
    if "label_column" in dataset.table and "split" not in dataset.table:
        options["label_column"] = str(dataset.table["label_column"].value)
    made = tuple(path for path in (Path(dataset.images),) if path in jobs)
    return Job("split", (dataset.images, str(manifest)), options, made, (manifest,), dataset.images, dataset.root)


def _protocol(group: str, setting: Setting, manifest: Path | None) -> ProtocolPlan:
    name = f"{group}-{classifier_name(setting)}"
    table: Table = {"classifier": Value(setting.classifier, "[factors]")}
    if setting.has_cost:
        table["cost"] = Value((setting.cost,), "[factors]")
    return ProtocolPlan(name, name, table, manifest)
