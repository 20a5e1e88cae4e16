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

LAYERS = "layers"


@dataclass(frozen=True)
class Cell:
    """One cell of the table, which `job` fills: an embedding, or every single layer (embedding = "layers").

    group: the protocol as it is called in the file, of which this may be one of several splits.
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

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.dataset}/{self.network}.{self.pooling}/{self.embedding}.{self.protocol}"


@dataclass(frozen=True)
class Plan:
    """Jobs, each after those whose files it reads, and cells."""

    jobs: list[Job]
    cells: list[Cell]


def plan(experiment: Experiment) -> Plan:
    """What is to be done, whether it has been done or not. Raises BadInput."""
    jobs: dict[Path, Job] = {}
    cells: list[Cell] = []
    for name in experiment.named["datasets"]:
        dataset = _Dataset(experiment, name, jobs)
        for network, own in experiment.named["networks"].items():
            for pooling, way in experiment.named["poolings"].items():
                folder = dataset.folder / f"{network}.{pooling}"
                features = _Features(experiment, folder, dataset, experiment.given("extract", dataset.table, own, way))
                for cell in features.cells(name, network, pooling):
                    for job in (*features.made_for(cell), cell.job):
                        jobs.setdefault(job.output, job)
                    cells.append(cell)
    return Plan(list(jobs.values()), cells)


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

    def __init__(self, experiment: Experiment, name: str, jobs: dict[Path, Job]) -> None:
        self.table = experiment.named["datasets"][name]
        self.folder = experiment.output / name
        self.root = None if "root" not in self.table else str(self.table["root"].value)
        if "sample" in self.table:
            self.images = str(self.folder / "images")
            made = Path(self.images)
            jobs[made] = Job("sample", (self.table["sample"].value, self.images), {}, (), (made,))
        else:
            self.images = str(self.table["images"].value)
        source = self.images
        if "split" in self.table:
            (ways,) = self.table["split"].value
            manifest = self.folder / "split.csv"
            self._divide(jobs, source, manifest, ways)
            self.root = self.root or self._above(source, jobs)
            self.images = str(manifest)
        self.protocols = list(self._protocols(experiment, source, jobs))

    def _divide(self, jobs: dict[Path, Job], source: str, manifest: Path, ways: dict[str, Any]) -> None:
        lists = tuple(Path(file) for _, file in ways.get("lists", ()))
        made = tuple(path for path in (Path(source),) if path in jobs)
        root = None if "root" not in self.table else str(self.table["root"].value)
        options = ways if root is None else {**ways, "root": root}
        jobs[manifest] = Job("split", (source, str(manifest)), options, made + lists, (manifest,), source, root)

    @staticmethod
    def _above(source: str, jobs: dict[Path, Job]) -> str:
        """The folder that the paths of a manifest made by fne split start from."""
        if source.lower().endswith(".tar"):
            raise BadInput(
                f"{source} should be a folder or a manifest, for its images to be divided beforehand. Found: an "
                "archive.\nGive the protocols a split instead, [protocols.NAME] split = ..., or unpack it."
            )
        return source if Path(source) in jobs or not os.path.isfile(source) else os.path.dirname(source) or "."

    def _protocols(self, experiment: Experiment, source: str, jobs: dict[Path, Job]) -> Iterator[_Protocol]:
        for name, table in experiment.named["protocols"].items():
            split = table.get("split", Value(None, "")).value
            if isinstance(split, str):
                yield _Protocol(name, name, table, Path(split))
            elif split:
                for number, ways in enumerate(split, start=1):
                    own = name if len(split) == 1 else f"{name}-{number}"
                    manifest = self.folder / f"{own}.csv"
                    self._divide(jobs, source, manifest, ways)
                    yield _Protocol(own, name, table, manifest)
            else:
                yield _Protocol(name, name, table, None)


class _Features:
    """What is made of a dataset by one network with one pooling."""

    def __init__(self, experiment: Experiment, folder: Path, dataset: _Dataset, options: dict[str, Any]) -> None:
        self.experiment, self.folder, self.dataset = experiment, folder, dataset
        self.activations = folder / "activations.h5"
        self.moments = folder / "moments.h5"
        self.behavior = folder / "behavior.h5"
        if dataset.root is not None:
            options["root"] = dataset.root
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
            for name, table in self.experiment.named["embeddings"].items():
                yield Cell(
                    dataset, network, pooling, name, protocol.name, protocol.group,
                    self.dataset.images, self.dataset.root, self.activations, self._measure(name, table, protocol),
                )  # fmt: skip
            if protocol.table.get("single_layers", Value(True, "")).value:
                yield Cell(
                    dataset, network, pooling, LAYERS, protocol.name, protocol.group,
                    self.dataset.images, self.dataset.root, self.activations, self._layers(protocol),
                )  # fmt: skip

    def made_for(self, cell: Cell) -> Iterator[Job]:
        """The jobs whose files a cell needs, in order."""
        yield self.extraction
        activations = (self.activations,)
        needs = cell.job.inputs
        codes = next((path for path in needs if path.name.startswith("codes-")), None)
        data = self.behavior in needs
        if codes is not None:
            table = self.experiment.named["embeddings"][cell.embedding]
            cuts = table.get("thresholds", Value(None, "")).value
            data = data or cuts == DATA
            options = self._given("normalize")
            yield Job("normalize", (str(self.activations), str(self.moments)), options, activations, (self.moments,))
        if data:
            options = self._given("analyze")
            yield Job("analyze", (str(self.activations), str(self.behavior)), options, activations, (self.behavior,))
        if codes is not None:
            options = self._given("discretize") | self._thresholds(table)
            inputs = (self.activations, self.moments, *((self.behavior,) if data else ()))
            words = (str(self.activations), str(self.moments), str(codes))
            yield Job("discretize", words, options, inputs, (codes,))

    def _measure(self, name: str, table: Table, protocol: _Protocol) -> Job:
        kind = table.get("embedding", Value(None, "")).value or "fne"
        options = self._given("evaluate", protocol.table)
        chosen = {"layers": table["layers"].value} if "layers" in table else {}
        results = self.folder / f"{name}.{protocol.name}.json"
        outputs = [results]
        if protocol.trains_once:
            outputs.append(results.with_suffix(".csv"))
            options["predictions"] = outputs[1]
        if kind == "fne" and protocol.trains_once and protocol.manifest is None:
            # the moments of the training images are those of the only training there is
            features = self.folder / f"codes-{name}.h5"
            return self._job(features, results, options | chosen, (features,), outputs, None)
        options |= {"embedding": kind, **chosen}
        inputs = [self.activations]
        if kind == "fne":
            options |= self._thresholds(table)
            inputs += [self.behavior] if options.get("thresholds") == self.behavior else []
        return self._job(self.activations, results, options, tuple(inputs), outputs, protocol.manifest)

    def _layers(self, protocol: _Protocol) -> Job:
        results = self.folder / f"{LAYERS}.{protocol.name}.json"
        options = self._given("evaluate", protocol.table)
        return self._job(self.activations, results, options, (self.activations,), [results], protocol.manifest)

    @staticmethod
    def _job(
        features: Path, results: Path, options: dict[str, Any], inputs: tuple[Path, ...], outputs: list[Path],
        manifest: Path | None,
    ) -> Job:  # fmt: skip
        if manifest is not None:
            options["split"] = manifest
            inputs += (manifest,)
        return Job("evaluate", (str(features), str(results)), options, inputs, tuple(outputs))

    def _given(self, command: str, *tables: Table) -> dict[str, Any]:
        own = [{key: entry for key, entry in table.items() if key != "split"} for table in tables]
        return self.experiment.given(command, *own)

    def _thresholds(self, table: Table) -> dict[str, Any]:
        cuts = table.get("thresholds", Value(None, "")).value
        return {} if cuts is None else {"thresholds": self.behavior if cuts == DATA else cuts}
