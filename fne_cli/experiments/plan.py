"""An experiment -> the jobs that make its files, in an order in which they can be done, and the cells of its table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.experiments.config import DATA, Experiment, Table, Value
from fne_cli.experiments.jobs import Job
from fne_cli.numerics.classifiers import OWNERS, foreign
from fne_cli.steps.embeddings import takes_thresholds

LAYERS = "layers"
OWN_SPLIT = "split"
"""What the manifest of a dataset's own split is called."""


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
class Plan:
    """Jobs, each after those whose files it reads, and cells."""

    jobs: list[Job]
    cells: list[Cell]


def plan(experiment: Experiment) -> Plan:
    """What is to be done, whether it has been done or not. Raises BadInput."""
    jobs = _Jobs()
    cells: list[Cell] = []
    for name in experiment.named["datasets"]:
        dataset = _Dataset(experiment, name, jobs)
        for network, own in experiment.named["networks"].items():
            for pooling, way in experiment.named["poolings"].items():
                folder = dataset.folder / f"{network}.{pooling}"
                features = _Features(experiment, folder, dataset, experiment.given("extract", dataset.table, own, way))
                for cell in features.cells(name, network, pooling):
                    for job in (*cell.needs, cell.job):
                        jobs.add(job)
                    cells.append(cell)
    return Plan(jobs.in_order, cells)


class _Jobs:
    """Jobs by what they make; a job that several need is there once."""

    def __init__(self) -> None:
        self._making: dict[Path, Job] = {}
        self.in_order: list[Job] = []

    def __contains__(self, path: Path) -> bool:
        return path in self._making

    def add(self, job: Job) -> None:
        """Raises BadInput if another job makes one of its files."""
        others = [self._making[path] for path in job.outputs if path in self._making]
        if not others:
            self._making |= dict.fromkeys(job.outputs, job)
            self.in_order.append(job)
        elif any(other != job for other in others):
            both = " and ".join(
                " ".join(["fne", one.command, *one.arguments, str(one.options)]) for one in (others[0], job)
            )
            raise BadInput(f"{job.output} should be made by one step. Found: {both}. Rename one of them.")


@dataclass(frozen=True)
class _Protocol:
    """A protocol of the file, or one of its several splits. manifest: of the split that it has for itself."""

    name: str
    group: str
    table: Table
    manifest: Path | None

    @property
    def trains_once(self) -> bool:
        return "cv" not in self.table and "per_class" not in self.table


class _Dataset:
    """Where the images are, and the protocols on them; the jobs that make its files go to `jobs`."""

    def __init__(self, experiment: Experiment, name: str, jobs: _Jobs) -> None:
        self.name = name
        self.table = experiment.named["datasets"][name]
        self.folder = experiment.output / name
        self.root = None if "root" not in self.table else str(self.table["root"].value)
        if "sample" in self.table:
            self.images = str(self.folder / "images")
            made = Path(self.images)
            jobs.add(Job("sample", (self.table["sample"].value, self.images), {}, (), (made,)))
        else:
            self.images = str(self.table["images"].value)
        source = self.images
        if "split" in self.table:
            (ways,) = self.table["split"].value
            manifest = self.folder / f"{OWN_SPLIT}.csv"
            self._divide(jobs, source, manifest, ways)
            self.root = self.root or self._above(source, jobs)
            self.images = str(manifest)
        self._check_names(experiment.named["protocols"])
        self.protocols = list(self._protocols(experiment, source, jobs))

    def _check_names(self, protocols: dict[str, Table]) -> None:
        """Raises BadInput if two splits would be one file: of two protocols, or of a protocol and of the dataset."""
        groups: dict[str, str] = {}
        for name, table in protocols.items():
            split = _split(table)
            for own in _names(name, split):
                other = groups.setdefault(own, name)
                if other != name:
                    raise BadInput(
                        f"Every protocol should have a name of its own. Found: {own}, which is one of the splits of "
                        f"{other if own == name else name}, too. Rename one of them."
                    )
                if own == OWN_SPLIT and "split" in self.table and split and not isinstance(split, str):
                    raise BadInput(
                        f"[protocols.{name}] should have another name, as it has a split of its own. Found: "
                        f"[datasets.{self.name}] has one, too, and both would be written to "
                        f"{self.folder / OWN_SPLIT}.csv. Rename the protocol."
                    )

    def _divide(self, jobs: _Jobs, source: str, manifest: Path, ways: dict[str, Any]) -> None:
        lists = tuple(Path(file) for _, file in ways.get("lists", ()))
        made = tuple(path for path in (Path(source),) if path in jobs)
        root = None if "root" not in self.table else str(self.table["root"].value)
        options = ways | {key: str(self.table[key].value) for key in ("root", "label_column") if key in self.table}
        jobs.add(Job("split", (source, str(manifest)), options, made + lists, (manifest,), source, root))

    @staticmethod
    def _above(source: str, jobs: _Jobs) -> str:
        """The folder that the paths of a manifest made by fne split start from."""
        if source.lower().endswith(".tar"):
            raise BadInput(
                f"{source} should be a folder or a manifest, for its images to be divided beforehand. Found: an "
                "archive.\nGive the protocols a split instead, [protocols.NAME] split = ..., or unpack it."
            )
        return source if Path(source) in jobs or not os.path.isfile(source) else os.path.dirname(source) or "."

    def _protocols(self, experiment: Experiment, source: str, jobs: _Jobs) -> Iterator[_Protocol]:
        for name, table in experiment.named["protocols"].items():
            split = _split(table)
            if isinstance(split, str):
                yield _Protocol(name, name, table, Path(split))
            elif split:
                for own, ways in zip(_names(name, split), split, strict=True):
                    manifest = self.folder / f"{own}.csv"
                    self._divide(jobs, source, manifest, ways)
                    yield _Protocol(own, name, table, manifest)
            else:
                yield _Protocol(name, name, table, None)


def _split(protocol: Table) -> str | tuple[dict[str, Any], ...]:
    """What a protocol says of its split: a manifest, one or several ways to divide the images, or nothing: ()."""
    split: str | tuple[dict[str, Any], ...] = protocol.get("split", Value((), "")).value
    return split


def _names(protocol: str, split: str | tuple[dict[str, Any], ...]) -> list[str]:
    """What a protocol, or each of its several splits, is called in the names of files."""
    if isinstance(split, str) or len(split) < 2:
        return [protocol]
    return [f"{protocol}-{number}" for number in range(1, len(split) + 1)]


class _Features:
    """What is made of a dataset by one network with one pooling."""

    def __init__(self, experiment: Experiment, folder: Path, dataset: _Dataset, options: dict[str, Any]) -> None:
        self.experiment, self.folder, self.dataset = experiment, folder, dataset
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

    def cells(self, dataset: str, network: str, pooling: str) -> Iterator[Cell]:
        """A cell for each embedding and each protocol, and the single layers behind them."""
        for protocol in self.dataset.protocols:
            cells = [(name, self._measured(name, table, protocol)) for name, table in self.embeddings.items()]
            if protocol.table.get("single_layers", Value(True, "")).value:
                cells.append((LAYERS, [self._evaluation(LAYERS, protocol, {})]))
            for name, jobs in cells:
                yield Cell(
                    dataset, network, pooling, name, protocol.name, protocol.group,
                    self.dataset.images, self.dataset.root, self.activations, jobs[-1], (self.extraction, *jobs[:-1]),
                )  # fmt: skip

    def _measured(self, name: str, table: Table, protocol: _Protocol) -> list[Job]:
        """The evaluation of an embedding, last, and what it needs but the activations."""
        kind = table.get("embedding", Value("fne", "")).value
        cuts = table.get("thresholds", Value(None, "")).value
        chosen = {"layers": table["layers"].value} if "layers" in table else {}
        if "recipe" in table:
            own: dict[str, Any] = {key: table[key].value for key in ("recipe", "budget") if key in table}
            return [self._evaluation(name, protocol, {**own, **chosen})]
        if not takes_thresholds(kind):
            return [self._evaluation(name, protocol, {"embedding": kind, **chosen})]
        thresholds = {} if cuts is None else {"thresholds": self.behavior if cuts == DATA else cuts}
        needs = [self._step("analyze", (self.activations,), self.behavior)] if cuts == DATA else []
        if kind != "fne" or not protocol.trains_once or protocol.manifest is not None:  # else there is a file of codes
            options = {"embedding": kind, **thresholds, **chosen}
            return [*needs, self._evaluation(name, protocol, options)]
        # the moments of the training images are those of the only training there is
        codes = self.folder / f"codes-{name}.h5"
        inputs = (self.activations, self.moments)
        needs.append(self._step("normalize", (self.activations,), self.moments))
        needs.append(self._step("discretize", inputs, codes, **thresholds))
        return [*needs, self._evaluation(name, protocol, chosen, codes)]

    def _step(self, command: str, inputs: tuple[Path, ...], output: Path, **options: Any) -> Job:
        words = tuple(str(path) for path in (*inputs, output))
        return Job(command, words, self.experiment.given(command) | options, inputs + _files(options), (output,))

    def _evaluation(self, name: str, protocol: _Protocol, own: dict[str, Any], features: Path | None = None) -> Job:
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
        if protocol.trains_once and name != LAYERS:
            outputs.append(results.with_suffix(".csv"))
            options["predictions"] = outputs[1]
        return Job("evaluate", (str(features), str(results)), options, inputs, tuple(outputs))


def _files(options: dict[str, Any]) -> tuple[Path, ...]:
    """Those of the options that are files."""
    return tuple(value for value in options.values() if isinstance(value, Path))
