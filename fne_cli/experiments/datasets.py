"""Where the images of an experiment are, and the protocols on them; jobs by what they make."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.written.config import Experiment, Table, Value

OWN_SPLIT = "split"
"""What the manifest of a dataset's own split is called."""


class Jobs:
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
class ProtocolPlan:
    """A protocol of the file, or one of its several splits. manifest: of the split that it has for itself."""

    name: str
    group: str
    table: Table
    manifest: Path | None

    @property
    def trains_once(self) -> bool:
        """Whether it has one training."""
        return "cv" not in self.table and "per_class" not in self.table


class DatasetPlan:
    """Where the images are, and the protocols on them; the jobs that make its files go to `jobs`."""

    def __init__(self, experiment: Experiment, name: str, jobs: Jobs) -> None:
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

    def _divide(self, jobs: Jobs, source: str, manifest: Path, ways: dict[str, Any]) -> None:
        lists = tuple(Path(file) for _, file in ways.get("lists", ()))
        made = tuple(path for path in (Path(source),) if path in jobs)
        root = None if "root" not in self.table else str(self.table["root"].value)
        options = ways | {key: str(self.table[key].value) for key in ("root", "label_column") if key in self.table}
        jobs.add(Job("split", (source, str(manifest)), options, made + lists, (manifest,), source, root))

    @staticmethod
    def _above(source: str, jobs: Jobs) -> str:
        """The folder that the paths of a manifest made by fne split start from."""
        if source.lower().endswith(".tar"):
            raise BadInput(
                f"{source} should be a folder or a manifest, for its images to be divided beforehand. Found: an "
                "archive.\nGive the protocols a split instead, [protocols.NAME] split = ..., or unpack it."
            )
        return source if Path(source) in jobs or not os.path.isfile(source) else os.path.dirname(source) or "."

    def _protocols(self, experiment: Experiment, source: str, jobs: Jobs) -> Iterator[ProtocolPlan]:
        for name, table in experiment.named["protocols"].items():
            split = _split(table)
            if isinstance(split, str):
                yield ProtocolPlan(name, name, table, Path(split))
            elif split:
                for own, ways in zip(_names(name, split), split, strict=True):
                    manifest = self.folder / f"{own}.csv"
                    self._divide(jobs, source, manifest, ways)
                    yield ProtocolPlan(own, name, table, manifest)
            else:
                yield ProtocolPlan(name, name, table, None)


def _split(protocol: Table) -> str | tuple[dict[str, Any], ...]:
    """What a protocol says of its split: a manifest, one or several ways to divide the images, or nothing: ()."""
    split: str | tuple[dict[str, Any], ...] = protocol.get("split", Value((), "")).value
    return split


def _names(protocol: str, split: str | tuple[dict[str, Any], ...]) -> list[str]:
    """What a protocol, or each of its several splits, is called in the names of files."""
    if isinstance(split, str) or len(split) < 2:
        return [protocol]
    return [f"{protocol}-{number}" for number in range(1, len(split) + 1)]
