"""A trained network as a .keras file whose bytes are the same whenever it is made again."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fne_cli.networks.saved.lineage import MEMBER

if TYPE_CHECKING:
    import keras

_SAVED = "1980-01-01@00:00:00"  # the earliest time of a zip archive, in the way Keras writes times


def write(model: keras.Model, lineage: Mapping[str, Any], into: Path, output: Path) -> None:
    """Write the model and its lineage; beside the output there is room for its weights once more meanwhile."""
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=_scratch(output)) as scratch:
        saved = os.path.join(scratch, "network.keras")
        model.save(saved)
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(into, "w") as target:
            for name in ("metadata.json", "config.json", "model.weights.h5"):
                with source.open(name) as content, _member(target, name) as place:
                    if name == "metadata.json":
                        place.write(json.dumps({**json.load(content), "date_saved": _SAVED}).encode())
                    else:
                        shutil.copyfileobj(content, place, 1 << 24)
            with _member(target, MEMBER) as place:
                place.write(json.dumps(lineage, indent=2, ensure_ascii=True).encode() + b"\n")


def sweep(output: Path) -> None:
    """Remove what a killed process has left of `write`. Nobody else is writing the output."""
    for left in output.parent.glob(glob.escape(_scratch(output)) + "*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _scratch(output: Path) -> str:
    return f".{output.name}.saving-"


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True)
