"""Reading what fne evaluate and fne run say, and saying plainly where a file does not say it.

A results file may come from anywhere: every number that is used is looked at first; no path leads out of its folder.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DamagedFile, OldVersion, WrongFile
from fne_cli.store.format.text import NoNumber, parse_json
from fne_cli.store.other.objects import Claim, brief
from fne_cli.store.other.results.costs import Cost, read_costs
from fne_cli.store.other.results.entries import Entry, read_entry
from fne_cli.store.other.results.factors import Agreement, Varied, read_agreement, read_factors
from fne_cli.store.other.results.tested import read_tested
from fne_cli.store.other.results.transfer import Transferred, read_transferred
from fne_cli.store.output.sealed import is_intact

VERSION = 3
"""1 had no digest. 2 did not say which test images are right, and no intervals of classes."""
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Results:
    """A results file of fne evaluate."""

    path: Path
    fingerprint: str
    settings: Mapping[str, Any]
    sources: Sequence[Any]
    software: Mapping[str, str]
    images: Mapping[str, Any]
    made_from: Mapping[str, Any]
    entries: Sequence[Entry]

    @property
    def of_codes(self) -> bool:
        """Whether a codes file is among what they were made from."""
        return any(isinstance(source, dict) and source.get("kind") == "codes" for source in self.sources)


@dataclass(frozen=True)
class Cell:
    """One evaluation of an experiment. Paths are those of files below the experiment's folder, None if there is none.

    images, root: where the images were, as fne extract was given them. error: why there are no results.
    """

    dataset: str
    network: str
    pooling: str
    embedding: str
    protocol: str
    results: Path | None
    predictions: Path | None = None
    activations: Path | None = None
    images: str | None = None
    root: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Experiment:
    """The results.json of fne run. splits: of a protocol with several, by the name of each, the protocol's name.

    factors: None for an experiment without; agreement: of a ranking with what was measured. costs: of an
    experiment with tunings.
    """

    path: Path
    name: str
    software: Mapping[str, str]
    cells: Sequence[Cell]
    commands: Sequence[str]
    splits: Mapping[str, str] = field(default_factory=dict)
    factors: Varied | None = None
    agreement: Sequence[Agreement] = ()
    costs: Sequence[Cost] = ()


def read_results(path: Path) -> Results | Experiment | Transferred:
    """A results file of fne evaluate, or what fne run or fne transfer wrote: its results.json, or its folder.

    Raises BadInput, WrongFile or DamagedFile.
    """
    if path.is_dir():
        path = path / "results.json"
    document = _document(path)
    claim = Claim(path, "", document)
    kind = claim.text("kind", "results")
    if kind == "experiment":
        return _experiment(path, claim)
    if kind == "transfer":
        return read_transferred(path, claim)
    parts = list(claim.parts("results"))
    if not parts:
        raise DamagedFile(f"{path} should have at least one result. Found: none.")
    tested = read_tested(claim, len(parts[0].listed("classes")))
    entries = [read_entry(part, tested) for part in parts]
    return Results(
        path,
        claim.text("fingerprint"),
        claim.table("settings"),
        claim.listed("sources"),
        claim.texts("software"),
        claim.table("images"),
        claim.table("made_from"),
        entries,
    )


def _document(path: Path) -> dict[str, Any]:
    expected = f"{path} should be what fne evaluate or fne run wrote (JSON)."
    try:
        size = os.stat(path).st_size
        if size > _MOST_BYTES:
            raise WrongFile(f"{expected} Found: {size:,} bytes.")
        if not path.is_file():
            raise WrongFile(f"{expected} Found: not a regular file.")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or error
        raise BadInput(f"{expected} Found: {found}.") from error
    try:
        document = parse_json(content)
    except ValueError as error:
        hdf5 = content[:8] == b"\x89HDF\r\n\x1a\n"
        why = f", which has finite numbers only ({error})" if isinstance(error, NoNumber) else ""
        said = "HDF5" if hdf5 else f"no JSON{why}"
        hint = " fne evaluate makes results of features." if hdf5 else ""
        raise WrongFile(f"{expected} Found: {said}.{hint}") from error
    if not isinstance(document, dict) or document.get("format") != "fne":
        raise WrongFile(f"{expected} Found: JSON of another origin.")
    version = document.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        newer = type(version) is int and version > VERSION
        todo = "Update fne: pip install --upgrade fne-cli" if newer else "Make the file again."
        raise WrongFile(f"{path} should have version {VERSION}. Found: {brief(version)}.\n{todo}")
    if version == 1:
        warnings.warn(
            f"{path} has version 1 of the format, which has no digest: changed text is not noticed. Made again, it has "
            "one.",
            OldVersion,
            stacklevel=3,
        )
    if version > 1 and not is_intact(document):
        raise DamagedFile(
            f"{path} should be as fne wrote it. Found: text that has changed since.",
            remedy="Fetch a good copy, or run the command that made it with --overwrite.",
        )
    if document.get("kind") not in ("results", "experiment", "transfer"):
        raise WrongFile(f"{expected} Found: kind {brief(document.get('kind'))}.")
    return document


def _experiment(path: Path, claim: Claim) -> Experiment:
    cells = []
    for part in claim.parts("cells"):
        cells.append(
            Cell(
                dataset=part.text("dataset"),
                network=part.text("network"),
                pooling=part.text("pooling"),
                embedding=part.text("embedding"),
                protocol=part.text("protocol"),
                results=part.below("results"),
                predictions=part.below("predictions"),
                activations=part.below("activations"),
                images=part.text("images", "") or None,
                root=part.text("root", "") or None,
                error=part.text("error", "") or None,
            )
        )
    commands = claim.listed("commands")
    if not all(isinstance(command, str) for command in commands):
        raise DamagedFile(f"{path}: commands should be texts. Found: {brief(commands)}.")
    several: dict[str, int] = {}
    for part in claim.parts("results"):
        if "splits" in part.value:
            name = part.text("protocol")
            count = part.count("splits") + (part.count("splits_missing") if "splits_missing" in part.value else 0)
            several[name] = max(count, several.get(name, 0))
    called = {cell.protocol for cell in cells}
    splits = {
        name: group
        for group, count in several.items()
        for name in (f"{group}-{number}" for number in range(1, min(count, len(cells)) + 1))
        if name in called
    }
    return Experiment(
        path,
        claim.text("name", path.parent.name),
        claim.texts("software"),
        cells,
        commands,
        splits,
        read_factors(claim),
        read_agreement(claim),
        read_costs(claim),
    )
