"""Read everything in a file and say what is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.verify.others import verify_other
from fne_cli.steps.verify.recomputed import TABLES, image_problems
from fne_cli.steps.verify.verified import Verified
from fne_cli.store.format.layer import LayerReader, impossible
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import WITHOUT_ROWS, fingerprint

_UNITS = {"moments": "features", "behavior": "features", "projection": "features", "vocabulary": "words"}


def verify(file: Path, *, batch_size: int = 1024, progress: Progress = SILENT) -> Verified:
    """Check checksums, fingerprint, row counts, ranges, and what can be computed again.

    Damaged chunks are named, the rest is still read. Of a file that is not HDF5: what `verify_other` says.
    """
    if (other := verify_other(file)) is not None:
        return other
    problems: list[str] = []
    with open_file(file) as reader:
        if reader.kind in WITHOUT_ROWS:
            rows, problems = TABLES[reader.kind](reader)
            expected = fingerprint(reader.kind, reader.settings, reader.sources)
        else:
            images = reader.images
            expected = fingerprint(
                reader.kind, reader.settings, reader.sources, images if reader.kind == "activations" else None
            )
            good = np.repeat(images.good, int(reader.settings["crops"]))
            rows = len(good)
            problems += image_problems(reader)
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
        unit = _UNITS.get(reader.kind, "rows")
        return Verified(file, reader.kind, rows, file.stat().st_size, problems, unit)


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
