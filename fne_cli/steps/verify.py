"""Read everything in a file and say what is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.behavior import Behavior
from fne_cli.store.format.layer import LayerReader, impossible
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import SETS, fingerprint


@dataclass(frozen=True)
class Verified:
    """What was read, and one line for each thing that is wrong."""

    path: Path
    kind: str
    rows: int
    bytes: int
    problems: list[str]


def verify(file: Path, *, batch_size: int = 1024, progress: Progress = SILENT) -> Verified:
    """Check checksums, fingerprint, row counts and ranges; damaged chunks are named, the rest is still read."""
    problems: list[str] = []
    with open_file(file) as reader:
        if reader.kind == "moments":
            rows = 0
            for name, part in reader.moments().items():
                rows += len(part["mean"])
                if not all(np.isfinite(values).all() for values in part.values()) or (part["std"] < 0).any():
                    problems.append(f"layer {name} has moments that are not finite, or negative deviations")
            expected = fingerprint(reader.kind, reader.settings, reader.sources)
        elif reader.kind == "behavior":
            rows, problems = _check_behavior(reader.behavior())
            expected = fingerprint(reader.kind, reader.settings, reader.sources)
        else:
            images = reader.images
            expected = fingerprint(
                reader.kind, reader.settings, reader.sources, images if reader.kind == "activations" else None
            )
            good = np.repeat(images.good, int(reader.settings["crops"]))
            rows = len(good)
            with progress.track(rows * len(reader.layers), "rows") as advance:
                for layer in reader.layers.values():
                    for start in range(0, rows, layer.chunk_rows):
                        stop = min(start + layer.chunk_rows, rows)
                        problems += _check_chunk(reader, layer, slice(start, stop), good[start:stop])
                        advance(stop - start)
            if not reader.layers:
                problems.append("there should be layers")
        if expected != reader.fingerprint:
            problems.append(f"the fingerprint should be {expected}, found {reader.fingerprint}")
        return Verified(file, reader.kind, rows, file.stat().st_size, problems)


def _check_behavior(found: Behavior) -> tuple[int, list[str]]:
    """The number of features, and what of them cannot be."""
    compared, threshold = found.compared, np.nan_to_num(found.random.threshold, nan=1.0)
    seen, problems = dict.fromkeys((-1, 0, 1), 0), []
    for name, layer in found.layers.items():
        try:
            s, z, label = layer.s(), layer.z(), layer.label()
        except DamagedFile as error:
            problems.append(error.problem)
            continue
        if not (np.abs(s[:, compared]) <= 1).all() or not np.isnan(s[:, ~compared]).all():
            problems.append(f"layer {name} has s outside -1 ... 1, or of a class that was not compared")
        if not np.isfinite(z[:, found.counts > 0]).all() or not np.isnan(z[:, found.counts == 0]).all():
            problems.append(f"layer {name} has z that is not finite, or of a class without images")
        if not (label == (s > threshold).astype(np.int8) - (s < -threshold)).all():
            problems.append(f"layer {name} has labels that do not follow from s and the threshold")
        for code in seen:
            seen[code] += int((label[:, compared] == code).sum())
    if not problems and [int(found.sets[part].sum()) for part in SETS] != list(seen.values()):
        problems.append("the histograms of z should count every pair once")
    return sum(layer.features for layer in found.layers.values()), problems


def _check_chunk(reader: Reader, layer: LayerReader, span: slice, good: np.ndarray) -> list[str]:
    where = f"layer {layer.name}, rows {span.start}-{span.stop - 1}"
    try:
        values = layer.read_stored(span.start, span.stop)
    except DamagedFile as error:
        return [error.problem]
    if layer.packed:
        wrong = impossible(values, layer.features) or values[~good].any()
        return [f"{where} have bits that no code has, or codes of bad images"] if wrong else []
    values = values.reshape(len(values), -1)
    if reader.kind == "codes":
        return [] if ((values >= -1) & (values <= 1)).all() else [f"{where} have codes other than -1, 0 and 1"]
    finite = np.isfinite(values).all(axis=1)
    problems = []
    if not finite[good].all():
        problems.append(f"{where} have values of good images that are not finite")
    if not np.isnan(values[~good]).all():
        problems.append(f"{where} have values of bad images that are not NaN")
    return problems
