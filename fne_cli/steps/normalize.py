"""activations -> moments: mean and standard deviation of every feature over the training images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from fne_cli.numerics.moments import Moments
from fne_cli.progress import SILENT, Progress
from fne_cli.store.existing import up_to_date
from fne_cli.store.output import Output
from fne_cli.store.reader import open_file
from fne_cli.store.schema import fingerprint
from fne_cli.store.software import software
from fne_cli.store.writer import Writer


@dataclass(frozen=True)
class Normalized:
    """The file, the rows it was computed from and their name, features, and how many of these are constant."""

    path: Path
    rows: str
    count: int
    features: int = 0
    constant: int = 0
    up_to_date: bool = False


def normalize(
    activations: Path,
    moments: Path,
    *,
    rows: str | None = None,
    batch_size: int = 1024,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Normalized:
    """Write count, mean, std, minimum, maximum and zeros of each feature over the chosen rows, in float64.

    rows: "train" (default if there are splits), "all", or any split. Memory holds `batch_size` rows, or one chunk.
    """
    with open_file(activations, "activations") as source:
        name, chosen = source.images.chosen(rows)
        crops = int(source.settings["crops"])
        mask = np.repeat(chosen, crops)
        settings = {"rows": name, "activations": source.settings}
        sources = [{"kind": source.kind, "fingerprint": source.fingerprint}]
        if up_to_date(moments, "moments", settings, sources, overwrite, (activations,)):
            return Normalized(moments, name, int(mask.sum()), up_to_date=True)
        if rows is None and name == "all":
            progress.note(f"{activations} has no splits: the moments are those of all {int(mask.sum()):,} rows")
        total = sum(layer.shape[0] for layer in source.layers.values())
        features = constant = 0
        with (
            Output(moments) as output,
            Writer.create(
                output.partial,
                "moments",
                [],
                0,
                settings=settings,
                sources=sources,
                software=software(),
                fingerprint=fingerprint("moments", settings, sources),
            ) as writer,
            progress.track(total, "rows") as advance,
        ):
            for layer in source.layers.values():

                def of_batch(span: slice, batch: np.ndarray) -> Moments:
                    advance(len(batch))
                    return Moments.of(batch[mask[span]])

                parts = (of_batch(span, batch) for span, batch in layer.batches(batch_size))
                result = reduce(add, parts, Moments.empty(layer.features))
                for part, values in result.datasets().items():
                    writer.put(layer.name, part, values)
                writer.describe(layer.name, rows=result.count)
                features += layer.features
                constant += int(result.constant.sum())
            writer.close()
            output.accept()
    return Normalized(moments, name, int(mask.sum()), features, constant)
