"""The image tables behind results: which images are bad, and what their bytes and labels should be."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fne_cli.errors import FneError, WrongFile
from fne_cli.figures.contents import Bad
from fne_cli.images.pixels.bad import Status
from fne_cli.steps.report.sources import Evaluated, extraction
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import shard_of, without_shard

MOST_BAD = 500


@dataclass
class Tables:
    """What activations and codes files say of images, by file. bad: the first of them; bad_count: how many there are.

    digests: the SHA-256 of every image of a file. ignored: classes that an image leaves out, (classes,) bool.
    """

    bad: list[Bad] = field(default_factory=list)
    bad_count: int = 0
    digests: dict[Path, dict[str, str]] = field(default_factory=dict)
    ignored: dict[Path, dict[str, np.ndarray]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    of: dict[str, list[Path]] = field(default_factory=dict)

    def digests_of(self, results: Path) -> Mapping[str, str]:
        """Of the images of all files behind some results."""
        return ChainMap(*(self.digests[path] for path in self.of.get(str(results), ())))

    def ignored_of(self, results: Path) -> Mapping[str, np.ndarray]:
        """The same of the classes that images leave out."""
        return ChainMap(*(self.ignored.get(path, {}) for path in self.of.get(str(results), ())))


def image_tables(evaluated: Sequence[Evaluated], activations: Sequence[Path]) -> Tables:
    """Read the given files, and those of experiments, each once. `of` says which belong to which results file.

    Raises the errors of open_file, and WrongFile for a given file that belongs to no result; one of an experiment that
    cannot be read becomes a note.
    """
    tables = Tables()
    for path in activations:
        with open_file(path, "activations", "codes") as source:
            fitting = [each for each in evaluated if _fits(each, source)]
            if not fitting:
                raise WrongFile(
                    f"--activations {path} should be the file that some of the results were made from. Found: another."
                )
            _read(tables, path, source, fitting)
    by_experiment: dict[Path, list[Evaluated]] = {}
    for each in evaluated:
        if each.cell and each.cell.activations and str(each.results.path) not in tables.of:
            by_experiment.setdefault(each.cell.activations, []).append(each)
    for path, members in by_experiment.items():
        try:
            with open_file(path, "activations") as source:
                _read(tables, path, source, [each for each in members if _fits(each, source)])
        except FneError as error:
            tables.notes.append(f"{error} So images that are bad are not listed. --activations names a good copy.")
    return tables


def _fits(each: Evaluated, source: Reader) -> bool:
    """Whether results come from a file: itself, codes made with its settings, or all shards, of which it is one."""
    own = {"kind": source.kind, "fingerprint": source.fingerprint}
    if own in each.results.sources:
        return True
    made = extraction(each.results)
    behind = each.results.of_codes and made == source.settings
    shard = shard_of(source.settings) is not None and without_shard(source.settings) in (each.results.made_from, made)
    return (behind or shard) and list(source.images.classes) == list(each.results.entries[0].classes)


def _read(tables: Tables, path: Path, source: Reader, members: Sequence[Evaluated]) -> None:
    images = source.images
    names = list(images.path)
    for each in members:
        tables.of.setdefault(str(each.results.path), []).append(path)
    tables.digests[path] = dict(zip(names, images.sha256, strict=True))
    if images.label.ndim == 2:
        some = np.flatnonzero((images.label == -1).any(axis=1)).tolist()
        tables.ignored[path] = {names[number]: images.label[number] == -1 for number in some}
    bad = np.flatnonzero(~images.good).tolist()
    tables.bad_count += len(bad)
    for number in bad[: max(0, MOST_BAD - len(tables.bad))]:
        tables.bad.append(Bad(path.name, names[number], _status(int(images.status[number])), images.message[number]))


def _status(number: int) -> str:
    try:
        return Status(number).name.lower().replace("_", " ")
    except ValueError:
        return f"status {number}"
