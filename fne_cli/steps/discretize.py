"""activations + moments -> codes: standardise every feature and encode it as -1, 0 or 1."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile, WrongFile
from fne_cli.numerics.codes import HIGH, LOW, ternary
from fne_cli.numerics.codes.packed import pack, plane_bytes
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.layer import PACKING
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import BOTH, Layer, differences, without_shard
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.stream import EVERYTHING, RowStream
from fne_cli.store.many.thresholds import Thresholds, read_thresholds
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.up_to_date import up_to_date
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.files import Result, TaskFiles, check_same_file, open_inputs, task
from fne_cli.tasks.output import streamed_output
from fne_cli.tasks.spans import read_rows, span_tasks, write_rows


@dataclass(frozen=True)
class Discretized:
    """The file, its rows and features, and how many codes of good images are -1, 0 and 1."""

    path: Path
    rows: int
    features: int
    counts: tuple[int, int, int] = (0, 0, 0)
    up_to_date: bool = False


def discretize(
    activations: Path | Sequence[Path],
    moments: Path,
    codes: Path,
    *,
    thresholds: tuple[float, float] | Path = (LOW, HIGH),
    packed: bool = False,
    batch_size: int = 32768,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress = SILENT,
) -> Discretized:
    """Write the ternary codes of all images: z < low is -1, z > high is 1, else 0; rows of bad images are 0.

    thresholds: low and high, or the behavior file that has them.
    packed: two bit planes of a bit per code instead of a byte. Several files give one file, its rows in the order that
    JoinedFiles says. Memory holds `batch_size` rows, or one chunk. With a `cluster`, its workers encode and this
    process writes. Raises WrongFile if the moments are of another network.
    """
    with JoinedFiles(activations) as files, open_file(moments, "moments") as statistics:
        _check_same_network(files, statistics)
        table = _checked(files, statistics)
        if isinstance(thresholds, Path):
            cuts = read_thresholds(thresholds, files.settings, files.paths[0])
        else:
            cuts = Thresholds(*thresholds)
        low, high = cuts.low, cuts.high
        settings = {
            "thresholds": [low, high],
            "moments_rows": statistics.settings["rows"],
            "crops": files.crops,
            "activations": files.settings,
        }
        if packed:
            settings["packing"] = PACKING
        sources = [*files.sources(), {"kind": statistics.kind, "fingerprint": statistics.fingerprint}]
        sources += cuts.sources
        beside = (thresholds,) if isinstance(thresholds, Path) else ()
        origin = Origin(
            "codes",
            settings,
            sources,
            {"activations": files.paths, "moments": (moments,), "thresholds": beside},
            inherited=("activations", "crops", "moments_rows", *(("thresholds",) if beside else ())),
            network=files.settings,
            images=lambda: files.images,
        )
        features = sum(readers[0].features for readers in files.layers.values())
        if up_to_date(codes, origin, overwrite, progress):
            return Discretized(codes, files.rows, features, up_to_date=True)
        if others := _other_activations(files, statistics):
            progress.note(others)
        if len(files.files) > 1 and (absent := files.absent):  # the codes of one are a shard themselves
            progress.note(absent)
        specs = {
            name: _spec(name, readers[0].features, {**readers[0].attrs, "thresholds": [low, high]}, packed)
            for name, readers in files.layers.items()
        }
        below = above = 0
        stream = RowStream(files, batch_size)
        more: dict[str, Any] = {"layers": list(specs.values())}
        more["beside"] = {moments: statistics.fingerprint}
        with streamed_output(codes, origin, files, cluster, **more) as (writer, parts):
            if parts is None:
                with progress.track(files.rows * len(specs), "rows") as advance:
                    for name, batch in _encoded(stream, table, (low, high), packed):
                        below += batch.below
                        above += batch.above
                        writer.append(name, batch.rows)
                        advance(len(batch.rows))
            else:
                own = {"moments": os.path.abspath(moments), "cuts": [low, high], "packed": packed}
                tasks, sizes = span_tasks(parts, stream, stream.row_blocks(), own)
                for found, batches in read_rows(parts, "codes", tasks, sizes, list(specs.values())):
                    below += found["below"]
                    above += found["above"]
                    for name, rows in batches:
                        writer.append(name, rows)
        total = int(files.good.sum()) * files.crops * features
    return Discretized(codes, files.rows, features, (below, total - below - above, above))


def _encoded(
    stream: RowStream,
    table: Mapping[str, Mapping[str, np.ndarray]],
    cuts: Sequence[float],
    packed: bool,
    span: Sequence[int | None] = EVERYTHING,
) -> Iterator[tuple[str, _Batch]]:
    """The codes of all rows of the stream, or of a span of its tasks, by layer; cuts: low and high."""
    low, high = cuts
    return stream.transform(_encoders(table, low, high), np.int8, 0, partial(_finish, packed=packed), span)


@task
def encode_span(settings: Mapping[str, Any], files: TaskFiles, progress: Progress) -> Result:
    """A worker's task: the codes of a span of the stream's rows, and how many of them are -1 and 1."""
    moments, below, above = Path(settings["moments"]), 0, 0

    def rows() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal below, above
        for name, batch in _encoded(stream, table, settings["cuts"], settings["packed"], settings["span"]):
            below, above = below + batch.below, above + batch.above
            yield name, batch.rows

    with open_inputs(settings) as source, open_file(moments, "moments") as statistics:
        check_same_file(moments, statistics.fingerprint, settings["inputs"])
        table = _checked(source, statistics)
        stream = RowStream(source, settings["batch_size"])
        written = write_rows(files, rows(), progress)
    return {**written, "below": below, "above": above}


@dataclass(frozen=True)
class _Batch:
    """Rows as they are stored, and how many of their codes are -1 and 1."""

    rows: np.ndarray
    below: int
    above: int


def _finish(codes: np.ndarray, packed: bool) -> _Batch:
    below, above = ternary.count(codes)
    if not packed:
        return _Batch(codes, below, above)
    planes = np.empty((len(codes), 2, plane_bytes(codes.shape[1])), np.uint8)
    pack(codes, planes)
    return _Batch(planes, below, above)


def _encoders(
    table: Mapping[str, Mapping[str, np.ndarray]], low: float, high: float
) -> dict[str, Callable[[np.ndarray, np.ndarray], None]]:
    """What turns the rows of each layer into codes."""
    mean, std = (np.concatenate([part[name] for part in table.values()]) for name in ("mean", "std"))
    cuts = ternary.Cuts.of(mean, std, low, high).split([len(part["mean"]) for part in table.values()])
    return {name: own.encode for name, own in zip(table, cuts, strict=True)}


def _spec(name: str, features: int, attrs: dict[str, Any], packed: bool) -> Layer:
    if packed:
        described = {**attrs, "packing": PACKING, "features": np.int64(features)}
        return Layer(name, (2, plane_bytes(features)), np.dtype(np.uint8), described)
    return Layer(name, (features,), np.dtype(np.int8), attrs)


def _checked(files: JoinedFiles, statistics: Reader) -> dict[str, dict[str, np.ndarray]]:
    """The moments of every layer, as many as it has features, finite, with no negative deviation."""
    table = statistics.moments()
    for name, readers in files.layers.items():
        part = table.get(name, {})
        right = (
            bool(part)
            and part["mean"].shape == (readers[0].features,)
            and part["mean"].dtype == part["std"].dtype == np.float64
            and np.isfinite(part["mean"]).all()
            and np.isfinite(part["std"]).all()
            and (part["std"] >= 0).all()
        )
        if not right:
            raise DamagedFile(
                f"{statistics.path}: layer {name} should have {readers[0].features:,} finite float64 means and "
                f"deviations. Found: {'other values' if part else 'none'}.\nRun fne normalize {files.name} again."
            )
    return table


def _other_activations(files: JoinedFiles, statistics: Reader) -> str:
    """What to say of moments that are not of these activations, as for new images; "" if they are."""
    own = [source["fingerprint"] for source in files.sources()]
    if any(isinstance(source, dict) and source.get("fingerprint") in own for source in statistics.sources):
        return ""
    known = read_record(statistics.path).get("made_from", {})
    names = known.get("activations", []) if isinstance(known, dict) else []
    of = ", ".join(map(str, names[:3])) if isinstance(names, list) and names else "other activations"
    return f"{statistics.path} has the moments of {of} as it was then, not of {files.name}"


def _check_same_network(files: JoinedFiles, statistics: Reader) -> None:
    """The moments may be of other images, never of another network, preprocessing or pooling."""
    made_like = statistics.settings.get("activations")
    theirs = without_shard(made_like) if isinstance(made_like, dict) else {}
    apart = differences(without_shard(files.settings), theirs, BOTH)
    if apart:
        raise WrongFile(
            f"{statistics.path} should have the moments of activations made like {files.paths[0]}. Found:\n  "
            + "\n  ".join(apart)
            + f"\nRun fne normalize {files.paths[0]} first."
        )
