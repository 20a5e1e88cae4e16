"""activations + moments -> codes: standardise every feature and encode it as -1, 0 or 1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fne_cli.errors import DamagedFile, WrongFile
from fne_cli.numerics import ternary
from fne_cli.progress import SILENT, Progress
from fne_cli.store.existing import up_to_date
from fne_cli.store.output import Output
from fne_cli.store.reader import Reader, open_file
from fne_cli.store.schema import Layer, differences, fingerprint
from fne_cli.store.software import software
from fne_cli.store.writer import Writer


@dataclass(frozen=True)
class Discretized:
    """The file, its rows and features, and how many codes of good images are -1, 0 and 1."""

    path: Path
    rows: int
    features: int
    counts: tuple[int, int, int] = (0, 0, 0)
    up_to_date: bool = False


def discretize(
    activations: Path,
    moments: Path,
    codes: Path,
    *,
    thresholds: tuple[float, float] = (ternary.LOW, ternary.HIGH),
    batch_size: int = 1024,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Discretized:
    """Write the ternary codes of all images: z < low is -1, z > high is 1, else 0; rows of bad images are 0.

    Memory is bounded by `batch_size` rows or one chunk. Raises WrongFile if the moments are of another network.
    """
    low, high = thresholds
    with open_file(activations, "activations") as source, open_file(moments, "moments") as statistics:
        _check_same_network(source, statistics)
        table = statistics.moments()
        _check_features(source, statistics, table)
        settings = {
            "thresholds": [low, high],
            "moments_rows": statistics.settings["rows"],
            "crops": source.settings["crops"],
            "activations": source.settings,
        }
        sources = [{"kind": file.kind, "fingerprint": file.fingerprint} for file in (source, statistics)]
        rows = len(source.images) * int(source.settings["crops"])
        features = sum(layer.features for layer in source.layers.values())
        if up_to_date(codes, "codes", settings, sources, overwrite, (activations, moments)):
            return Discretized(codes, rows, features, up_to_date=True)
        specs = [
            Layer(name, (layer.features,), np.dtype(np.int8), {**layer.attrs, "thresholds": [low, high]})
            for name, layer in source.layers.items()
        ]
        good = np.repeat(source.images.good, int(source.settings["crops"]))
        counts = np.zeros(3, np.int64)
        with (
            Output(codes) as output,
            Writer.create(
                output.partial,
                "codes",
                specs,
                rows,
                settings=settings,
                sources=sources,
                software=software(),
                fingerprint=fingerprint("codes", settings, sources),
                images=source.images,
            ) as writer,
            progress.track(rows * len(specs), "rows") as advance,
        ):
            for name, layer in source.layers.items():
                mean, std = table[name]["mean"], table[name]["std"]
                for span, batch in layer.batches(batch_size):
                    encoded = ternary.encode(ternary.standardize(batch, mean, std), low, high)
                    encoded[~good[span]] = 0
                    counts += np.bincount(encoded[good[span]].ravel() + 1, minlength=3)
                    writer.append(name, encoded)
                    advance(len(batch))
            writer.close()
            output.accept()
    return Discretized(codes, rows, features, (int(counts[0]), int(counts[1]), int(counts[2])))


def _check_same_network(source: Reader, statistics: Reader) -> None:
    """The moments may be of other images, never of another network, preprocessing or pooling."""
    apart = differences(_without_shard(source.settings), _without_shard(statistics.settings.get("activations", {})))
    if apart:
        raise WrongFile(
            f"{statistics.path} should have the moments of activations made like {source.path}. Found:\n  "
            + "\n  ".join(
                line.replace("in the existing output", "there").replace("asked for", "here") for line in apart
            )
            + f"\nRun fne normalize {source.path} first."
        )


def _check_features(source: Reader, statistics: Reader, table: dict[str, dict[str, np.ndarray]]) -> None:
    for name, layer in source.layers.items():
        count = len(table[name]["mean"]) if name in table else 0
        if count != layer.features:
            raise DamagedFile(
                f"{statistics.path} should have {layer.features} features of layer {name}. Found: {count}."
            )


def _without_shard(settings: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if name != "shard"}
