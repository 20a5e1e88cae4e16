"""Files of all three kinds, written as the steps write them, without a network: the activations are seeded noise."""

from __future__ import annotations

import ctypes
import hashlib
import os
import resource
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.steps.discretize import discretize
from fne_cli.steps.normalize import normalize
from fne_cli.store.format.schema import Images, Layer
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import new_run, plain
from fne_cli.store.output.resume import Growing

INPUTS = {"request": {"model": "toy"}, "listing": "ab", "state": "cd"}
SOFTWARE = {"fne": "0", "numpy": "0"}


def settings(crops: int = 1, **changed: Any) -> dict[str, Any]:
    """The settings of an extraction, by the code that makes them, of a network that does not exist."""
    network = SimpleNamespace(
        name="toy", weights="random", weights_sha256=lambda: "0" * 64, preprocess="tf", height=8, width=8
    )
    taps = [SimpleNamespace(layer="conv"), SimpleNamespace(layer="fc")]
    prepared: Any = Prepared(Recipe(model="toy", crops=crops), network, taps, [Pooling(), Pooling()])  # type: ignore[arg-type]  # a toy
    return plain(prepared.settings()) | changed


def layers(*shapes: tuple[int, ...], dtype: str = "f4") -> list[Layer]:
    """conv, fc ... with rows of the given shapes."""
    names = ("conv", "fc", *(f"more{number}" for number in range(len(shapes))))
    attrs = {"tap": "Conv2D after relu", "output_shape": "4 x 4 x 3", "pooling": "avg"}
    return [Layer(name, shape, np.dtype(dtype), attrs) for name, shape in zip(names, shapes, strict=False)]


SHAPES = ((3,), (5,))


def images(count: int, classes: int = 3, several: bool = False, split: bool = True) -> Images:
    """A table before anything was read: names that are not ASCII, every third image test."""
    label = np.arange(count, dtype=np.int32) % max(1, classes) - (not classes)
    if several:
        label = (np.arange(count * classes).reshape(count, classes) % 3 - 1).astype(np.int8)
    return Images(
        path=[f"Größe/{number:04d} 画.png" for number in range(count)],
        split=[("train" if number % 3 else "test") if split else "" for number in range(count)],
        label=label,
        classes=[f"class {letter}" for letter in "abcdefghij"[:classes]],
        status=np.zeros(count, np.uint8),
        message=[""] * count,
        sha256=[""] * count,
    )


def found(table: Images, bad: Sequence[int] = ()) -> tuple[np.ndarray, list[str], list[str]]:
    """Status, message and sha256 of every image once it has been read."""
    status = np.zeros(len(table), np.uint8)
    status[list(bad)] = 5
    message = ["damaged: Größe" if number in bad else "" for number in range(len(table))]
    sha256 = [hashlib.sha256(path.encode()).hexdigest() for path in table.path]
    return status, message, sha256


def rows_of(specs: Sequence[Layer], rows: int, bad_rows: Sequence[int] = (), seed: int = 0) -> dict[str, np.ndarray]:
    """Values like those after a ReLU; NaN in the bad rows."""
    generator = np.random.default_rng(seed)
    result = {}
    for spec in specs:
        values = np.maximum(generator.standard_normal((rows, *spec.row_shape)), 0).astype(spec.dtype)
        values[list(bad_rows)] = np.nan
        result[spec.name] = values
    return result


def add(
    growing: Growing,
    table: Images,
    values: dict[str, np.ndarray],
    start: int,
    stop: int,
    crops: int = 1,
    bad: Sequence[int] = (),
) -> None:
    """Images start ... stop - 1, as one batch."""
    status, message, sha256 = found(table, bad)
    part = {name: rows[start * crops : stop * crops] for name, rows in values.items()}
    growing.add(part, status[start:stop], message[start:stop], sha256[start:stop])


def write_activations(
    path: Path,
    count: int = 12,
    *,
    crops: int = 1,
    bad: Sequence[int] = (),
    shapes: Sequence[tuple[int, ...]] = SHAPES,
    dtype: str = "f4",
    table: Images | None = None,
    batch: int = 5,
    seed: int = 0,
    **changed: Any,
) -> Path:
    """An accepted activations file with its run record."""
    table = images(count) if table is None else table
    specs = layers(*shapes, dtype=dtype)
    changed = {"layers": {spec.name: "avg" for spec in specs}} | changed
    bad_rows = [number * crops + crop for number in bad for crop in range(crops)]
    values = rows_of(specs, len(table) * crops, bad_rows, seed)
    with Output(path, keep=True) as output:
        with Growing.start(output, specs, table, settings(crops, **changed), INPUTS, SOFTWARE) as growing:
            run = new_run(SOFTWARE)
            growing.begin_run(run)
            for start in range(0, len(table), batch):
                add(growing, table, values, start, min(start + batch, len(table)), crops, bad)
            growing.finish(INPUTS)
        output.accept({"inputs": INPUTS, "runs": output.read_journal()["runs"]})
    return path


def write_all(folder: Path, count: int = 12, **options: Any) -> tuple[Path, Path, Path]:
    """Activations, moments and codes, made by the steps."""
    activations = write_activations(folder / "activations.h5", count, **options)
    moments, codes = folder / "moments.h5", folder / "codes.h5"
    normalize(activations, moments)
    discretize(activations, moments, codes)
    return activations, moments, codes


def needs_reserved_blocks(folder: Path) -> None:
    """Fails, and says why, where the file system sets no blocks aside. (posix_fallocate would write them there.)"""
    with tempfile.TemporaryFile(dir=folder) as file:
        ctypes.CDLL(None).fallocate(file.fileno(), 0, ctypes.c_int64(0), ctypes.c_int64(1 << 20))
        reserved = os.fstat(file.fileno()).st_blocks * 512
        assert reserved >= 1 << 20, f"{folder} should be where fallocate sets blocks aside (not ZFS, NFS 3): set TMPDIR"


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: for what is written, as good as a full disk (EFBIG in place of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
