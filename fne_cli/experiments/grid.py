"""The factors of an experiment -> the jobs that try every setting on images that are no test images, and then the best.

Of each dataset: every network with every setting, on the images that `fne split --holdout` leaves for it; the first
network with the standard, and the setting that is best there, on the test images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fne_cli.experiments.config import Experiment, Table, Value
from fne_cli.experiments.datasets import DatasetPlan, Jobs, ProtocolPlan
from fne_cli.experiments.factors import Factors, Setting, classifier_name
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.plan import LAYERS, Cell, FeaturePlan, Plan, Tried, ranked

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
    """The settings of one dataset, network and pooling. standard: whether it is the first network and pooling."""

    def __init__(
        self, features: FeaturePlan, network: str, pooling: str, settings: list[Setting], manifest: Path, standard: bool
    ) -> None:
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
        job = self.features.evaluation(LAYERS, layers, {"classifier": "svm", "cost": (1.0,)})
        return [*found, self.features.cell(self.network, self.pooling, LAYERS, layers, job)]

    def tested(self, factors: Factors, setting: Setting) -> Cell:
        """A setting on the test images."""
        return self._cell(factors, setting, _protocol(TESTING, setting, None), True)

    def _cell(self, factors: Factors, setting: Setting, protocol: ProtocolPlan, predicted: bool) -> Cell:
        own: dict[str, Any] = {"embedding": setting.embedding}
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
        for pooling, members in settings.items():
            options = experiment.given("extract", dataset.table, own)
            options |= {"pool": members[0].pool, "crops": members[0].crops}
            features = FeaturePlan(experiment, dataset.folder / f"{network}.{pooling}", dataset, options)
            yield _Grid(features, network, pooling, members, manifest, place == 0)


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
