"""What fuzz_files.py spoils, and which reader of fne gets it: a small good file of each kind, and what is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fuzz_onnx
import fuzz_ours
import fuzz_theirs
from fuzz_sample import Sample

KINDS = ("h5", "keras", "network", "onnx", "npz", "tar", "image", "table", "toml", "results")


def samples(kind: str, folder: Path) -> list[Sample]:
    """Make the good files of a kind below a folder."""
    folder.mkdir(exist_ok=True)
    return {
        "h5": fuzz_ours.hdf5,
        "keras": fuzz_theirs.networks,
        "network": fuzz_theirs.networks,
        "onnx": fuzz_onnx.networks,
        "npz": fuzz_ours.classifiers,
        "results": fuzz_ours.classifiers,
        "tar": fuzz_theirs.tar,
        "image": fuzz_theirs.images,
        "table": fuzz_theirs.tables,
        "toml": fuzz_theirs.experiments,
    }[kind](kind, folder)


def reader_of(kind: str, name: str, folder: Path) -> Callable[[Path], str]:
    """What reads a file of the corpus by its name: `activations-....h5`."""
    found = [sample for sample in samples(kind, folder) if sample.path.stem == name.split("-", maxsplit=1)[0]]
    if not found:
        raise ValueError(f"corpus/{kind}/{name} should begin with the name of a sample")
    return found[0].read
