"""Files that are not HDF5: results, saved classifiers, trained networks, and tables whose record has their digest."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fne_cli.errors import WrongFile
from fne_cli.networks.kinds import is_hdf5
from fne_cli.networks.saved.lineage import lineage_of
from fne_cli.steps.verify.verified import Verified
from fne_cli.store.other.results import Experiment, Results, read_results
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import sha256_of
from fne_cli.store.output.sealed import is_intact
from fne_cli.vectors.classified import SavedClassifier

_BEGINNING = 512


def verify_other(file: Path) -> Verified | None:
    """What can be said of a file that is not HDF5; None of one that is, or that is none or empty.

    Raises WrongFile for what fne has not made, with what it is; DamagedFile, BadInput.
    """
    try:
        if not file.is_file() or is_hdf5(str(file)):
            return None
        with open(file, "rb") as opened:
            first = opened.read(_BEGINNING)
    except OSError:
        return None  # who opens it as HDF5 says why it cannot be read
    if not first:
        return None
    archive = _archived(file)
    if archive is not None:
        return archive
    size, record = file.stat().st_size, read_record(file)
    if "sha256" in record:
        changed = [] if record["sha256"] == sha256_of(file) else ["its bytes have changed since fne wrote it"]
        return Verified(file, str(record.get("kind") or "file with a run record"), 1, size, changed, "file")
    if first.lstrip()[:1] == b"{":
        kind, count, unit = _told(read_results(file))
        return Verified(file, kind, count, size, [], unit)
    raise WrongFile(f"{file} should be a file made by fne. Found: {_looks(file, first)}.")


def _archived(file: Path) -> Verified | None:
    """A saved classifier or a network that was trained here; None of anything else."""
    if "head.npy" in _members(file):  # whatever else may be wrong with it
        features = sum(SavedClassifier.of(file).head["layer_features"])
        return Verified(file, "classifier", features, file.stat().st_size, [], "features")
    lineage = lineage_of(str(file))
    return None if lineage is None else _network(file, lineage)


def _told(found: Results | Experiment | Any) -> tuple[str, int, str]:
    """Kind, number and unit of what was read of results; all of it has been looked at, and the digest fits."""
    if isinstance(found, Results):
        return "results", len(found.entries), "results"
    if isinstance(found, Experiment):
        return "experiment", len(found.cells), "cells"
    return "transfer", len(found.runs), "runs"


def _network(file: Path, lineage: Mapping[str, Any]) -> Verified:
    """A network that was trained here: what it says of itself, and the weights against their SHA-256 there."""
    from fne_cli.networks.weights import open_network

    problems = []
    if not is_intact(lineage):
        problems.append("it should say how it was trained as it was written. Found: text that has changed since")
    network = open_network(str(file), preprocess="none")
    if (found := network.weights_sha256()) != lineage.get("weights_sha256"):
        problems.append(f"the weights should have the SHA-256 that it says of them. Found: {found}")
    return Verified(file, "network", network.model.count_params(), file.stat().st_size, problems, "weights")


def _looks(file: Path, first: bytes) -> str:
    """What a file that fne has not made looks like."""
    if zipfile.is_zipfile(file):
        if "config.json" in _members(file):
            return f"a network of Keras that fne train has not made; fne layers {file} says what it has"
        return "arrays of NumPy without a run record" if file.suffix == ".npz" else "a zip archive"
    kind = "text" if b"\0" not in first else "another kind of file"
    return f"{kind}, without a run record ({file.name}.run.json) that has its digest"


def _members(file: Path) -> list[str]:
    """The names in an archive; none of what is no archive, or is damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return []
