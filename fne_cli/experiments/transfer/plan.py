"""An experiment of transfer -> the networks to train, each a job, in an order in which they can be trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.experiments.datasets import Jobs
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.stamps import Sources
from fne_cli.experiments.transfer.config import BASE, RANDOM, Division, TransferExperiment
from fne_cli.experiments.written.config import Table
from fne_cli.images.lists.manifest import LABEL
from fne_cli.networks.trained.family import Family
from fne_cli.unprintable import plain

VALIDATION = 0.1
"""The share of the training images that validates where there is no split val."""
_SEEDS = {"A": 0, "B": 1, "copies": 2, "sources": 3}
_APART = len(_SEEDS)


@dataclass(frozen=True)
class Run:
    """One network that is trained and judged on the classes `target`, A or B, of a division.

    treatment: base, or one of TREATMENTS. copied: weight layers, 0 for base. source: the name of another source, "" for
    the base network of the other half. per_class: of [transfer] few, None with all training images.
    """

    dataset: str
    network: str
    division: str
    target: str
    seed: int
    treatment: str
    copied: int
    source: str
    per_class: int | None
    job: Job

    @property
    def pair(self) -> tuple[Any, ...]:
        """What runs that are compared have in common."""
        return self.dataset, self.network, self.division, self.target, self.seed, self.per_class


@dataclass(frozen=True)
class Plan:
    """Jobs, each after those whose files it reads; the runs of the table; the divisions by dataset."""

    jobs: list[Job]
    runs: list[Run]
    divisions: Mapping[str, Sequence[Division]]


def is_random(division: str) -> bool:
    """Whether a division is one of the random halves, by its name."""
    return re.fullmatch(r"half\d+", division) is not None


def plan(experiment: TransferExperiment, sources: Sources) -> Plan:
    """What is to be done, whether it has been done or not. Raises BadInput."""
    jobs = Jobs()
    runs: list[Run] = []
    divisions: dict[str, Sequence[Division]] = {}
    for dataset, table in experiment.datasets.items():
        divisions[dataset] = _divisions(experiment, dataset, table, sources)
        for network, own in experiment.networks.items():
            _check_copied(experiment, network, str(own["model"].value), experiment.transfer.copied)
            for division in divisions[dataset]:
                for seed in experiment.transfer.seeds:
                    made = _Made(experiment, sources, dataset, network, division, seed)
                    for run in made.runs():
                        jobs.add(run.job)
                        runs.append(run)
    return Plan(jobs.in_order, runs, divisions)


def _divisions(experiment: TransferExperiment, dataset: str, table: Table, sources: Sources) -> list[Division]:
    """Those of the file with both parts, then random ones. Raises BadInput."""
    where = f"{experiment.path}, [datasets.{dataset}]"
    classes = _classes(where, table, sources)
    found = []
    for division in experiment.divisions:
        if is_random(division.name):
            raise BadInput(
                f"{experiment.path}, [divisions.{division.name}] should have another name: so random halves are called."
            )
        b = division.b or tuple(name for name in classes if name not in division.a)
        for part, names in (("a", division.a), ("b", b)):
            unknown = [name for name in names if name not in classes]
            if unknown or len(set(names)) < 2 or set(division.a) & set(b):
                what = f"{plain(unknown[0])!r}, which is none" if unknown else f"{len(set(names))} in {part}"
                what = "a class in both" if set(division.a) & set(b) else what
                raise BadInput(
                    f"{experiment.path}, [divisions.{division.name}] should have two classes of {dataset} or more in "
                    f"each of a and b. Found: {what}.\nClasses: {', '.join(map(plain, classes))}."
                )
        found.append(Division(division.name, tuple(sorted(division.a)), tuple(sorted(b))))
    if experiment.transfer.halves and len(classes) < 4:
        raise BadInput(f"{where} should have four classes or more, to divide them. Found: {len(classes)}.")
    for number in range(1, experiment.transfer.halves + 1):
        order = np.random.default_rng([number]).permutation(len(classes)).tolist()
        drawn, half = [classes[place] for place in order], (len(classes) + 1) // 2
        name = f"half{number}"
        found.append(Division(name, tuple(sorted(drawn[:half])), tuple(sorted(drawn[half:]))))
    return found


def _classes(where: str, table: Table, sources: Sources) -> list[str]:
    """The classes of the training images."""
    images, root = str(table["images"].value), table["root"].value if "root" in table else None
    label_column = str(table["label_column"].value) if "label_column" in table else LABEL
    listing = sources.listing(images, root, label_column)
    if listing is None:
        job = Job("train", (), {}, (), (), images, root)
        raise BadInput(f"{where}: {sources.problem(job) or f'{images} should hold images. Found: none.'}")
    wanted = "train" if any(listing.splits) else ""
    return sorted(
        {labels[0] for split, labels in zip(listing.splits, listing.labels, strict=True) if split == wanted and labels}
    )


def _check_copied(experiment: TransferExperiment, name: str, model: str, copied: Sequence[int]) -> None:
    """Raises BadInput for more layers than a network of the family has; others are looked at when they are built."""
    family = Family.parse(model)
    layers = None if family is None else family.depth * family.convs + family.dense
    if layers is not None and max(copied) > layers:
        raise BadInput(
            f"{experiment.path}, [transfer] copied should be at most {layers}, the weight layers of {name} before its "
            f"classifier. Found: {max(copied)}."
        )


class _Made:
    """The networks of one division of one dataset by one network with one seed."""

    def __init__(
        self,
        experiment: TransferExperiment,
        sources: Sources,
        dataset: str,
        network: str,
        division: Division,
        seed: int,
    ) -> None:
        self.experiment, self.transfer, self.seed = experiment, experiment.transfer, seed
        self.dataset, self.network, self.division = dataset, network, division
        self._table = experiment.datasets[dataset]
        self._images = str(self._table["images"].value)
        self._parts = {"A": division.a, "B": division.b}
        several = f".seed{seed}" if len(self.transfer.seeds) > 1 else ""
        self._folder = experiment.output / f"{dataset}.{network}" / f"{division.name}{several}"
        self._common = self._options(sources)

    def runs(self) -> Iterator[Run]:
        """All, each after those that it needs."""
        yield from self._bases(None)
        for origin, target in (("A", "B"), ("B", "A")) if self.transfer.both_ways else (("A", "B"),):
            for treatment in self.transfer.treatments:
                for copied in self.transfer.copied:
                    yield self._copy(treatment, copied, origin, target)
        for per_class in self.transfer.few:
            for origin, target in (("A", "B"), ("B", "A")) if self.transfer.both_ways else (("A", "B"),):
                yield self._base(target, per_class)
                for treatment in (one for one in self.transfer.treatments if one in ("AnB", "AnB+")):
                    for copied in self.transfer.few_copied or self.transfer.copied:
                        yield self._copy(treatment, copied, origin, target, per_class)
        for source in self.experiment.sources:
            yield from self._of_source(source)

    def _options(self, sources: Sources) -> dict[str, Any]:
        """What all networks have in common."""
        known = self.experiment.options["train"]
        options = {key: entry.value for key, entry in self.experiment.train.items()}
        options |= {key: entry.value for key, entry in self._table.items() if key in known and key != "judge"}
        options.setdefault("patience", options.get("epochs", known["epochs"].default))
        listing = sources.listing(self._images, options.get("root"), options.get("label_column", LABEL))
        if listing is None or "val" not in listing.splits:
            options.setdefault("val", VALIDATION)
        options["judge"] = str(self._table["judge"].value) if "judge" in self._table else self._images
        return options

    def _network(self, **changed: Any) -> dict[str, Any]:
        own = {key: entry.value for key, entry in self.experiment.networks[self.network].items()}
        return {**own, **self._common, **changed}

    def _base(self, target: str, per_class: int | None = None, source: str = "") -> Run:
        """The network that copies nothing. source: whose layers and lessons it has."""
        options = self._network(seed=_APART * self.seed + _SEEDS[target]) | self._few(per_class)
        if source:
            model = self.experiment.sources[source].get("model")
            options |= {} if model is None else {"model": model.value}
        options["classes"] = self._parts[target]
        name = f"base{target}{_marked(per_class, source)}"
        return self._run(name, options, (), target, BASE, 0, source, per_class)

    def _bases(self, per_class: int | None) -> Iterator[Run]:
        for target in ("A", "B"):
            yield self._base(target, per_class)

    def _few(self, per_class: int | None) -> dict[str, Any]:
        if per_class is None:
            return {}
        epochs = self.transfer.few_epochs
        return {"per_class": per_class, **({} if epochs is None else {"epochs": epochs, "patience": epochs})}

    def _copy(
        self,
        treatment: str,
        copied: int,
        origin: str,
        target: str,
        per_class: int | None = None,
        source: str = "",
    ) -> Run:
        """A network whose first layers are not its own."""
        own = treatment.startswith("B")
        kept = not treatment.endswith("+")
        options = self._network(seed=_APART * self.seed + _SEEDS["copies"]) | self._few(per_class)
        options |= {"classes": self._parts[target], "copy": copied}
        options |= {"freeze": True} if kept else {}
        mark = _marked(per_class, source)
        if treatment == RANDOM:
            return self._run(f"random{copied}{target}{mark}", options, (), target, treatment, copied, source, per_class)
        begun = self._source_path(source, origin) if source else self._folder / f"base{target if own else origin}.keras"
        options |= {"source": str(begun)}
        for key in ("model", "preprocess", "image_size"):  # the source has them
            options.pop(key, None)
        name = f"{target if own else origin}{copied}{target}{'' if kept else '+'}{mark}"
        return self._run(name, options, (begun,), target, treatment, copied, source, per_class)

    def _of_source(self, source: str) -> Iterator[Run]:
        """The networks of another source: itself, where it has other layers the base, and what begins with it."""
        table = self.experiment.sources[source]
        for origin, target in (("A", "B"), ("B", "A")) if self.transfer.both_ways else (("A", "B"),):
            options = self._network(seed=_APART * self.seed + _SEEDS["sources"])
            options |= {key: entry.value for key, entry in table.items() if key != "classes"}
            if "epochs" in table and "patience" not in self.experiment.train:
                options["patience"] = table["epochs"].value
            options["classes"] = self._some(origin, source, table)
            name = self._source_path(source, origin).stem
            yield self._run(name, options, (), origin, "source", 0, source, None)
            if "model" in table:
                _check_copied(self.experiment, f"[sources.{source}]", str(table["model"].value), self.transfer.copied)
                yield self._base(target, None, source)
            for treatment in (one for one in self.transfer.treatments if one in ("AnB", "AnB+")):
                for copied in self.transfer.copied:
                    yield self._copy(treatment, copied, origin, target, None, source)

    def _some(self, origin: str, source: str, table: Table) -> tuple[str, ...]:
        """The classes that a source learns: all of its half, or so many of them."""
        names = self._parts[origin]
        if "classes" not in table:
            return names
        count = table["classes"].value
        if count > len(names):
            raise BadInput(
                f"{self.experiment.path}, [sources.{source}] classes should be at most {len(names)}, as many as part "
                f"{origin} of {self.division.name} has. Found: {count}."
            )
        order = np.random.default_rng([self.seed]).permutation(len(names)).tolist()
        return tuple(sorted(names[place] for place in order[:count]))

    def _source_path(self, source: str, origin: str) -> Path:
        return self._folder / f"source{origin}{_marked(None, source)}.keras"

    def _run(
        self,
        name: str,
        options: dict[str, Any],
        needs: tuple[Path, ...],
        target: str,
        treatment: str,
        copied: int,
        source: str,
        per_class: int | None,
    ) -> Run:
        output = self._folder / f"{name}.keras"
        judge = Path(options["judge"])
        job = Job(
            "train", (self._images, str(output)), options, (*needs, judge), (output,),
            images=self._images, root=options.get("root"),
        )  # fmt: skip
        return Run(
            self.dataset, self.network, self.division.name, target, self.seed, treatment, copied, source, per_class, job
        )


def _marked(per_class: int | None, source: str) -> str:
    """The end of a name: of few images, or of another source."""
    return (f".{per_class}" if per_class is not None else "") + (f".{source}" if source else "")
