"""shards -> activations: the file that one unsharded run would have written, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import DifferentOutput, FneError, WrongFile
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import Images, Layer, differences, fingerprint
from fne_cli.store.format.writer import Writer
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import check_place, check_replaceable, file_head

_MEMORY = 256 * 2**20  # bytes of rows in memory at once (twice, while they are put in order)


@dataclass(frozen=True)
class Merged:
    """The file and how many images it has; how many of them are bad."""

    path: Path
    images: int
    bad: int
    up_to_date: bool = False


def merge(
    shards: Sequence[Path],
    activations: Path,
    *,
    batch_size: int = 1024,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Merged:
    """Join the files of `fne extract --shard 1/N ... N/N`, given in any order.

    Raises WrongFile if one is missing, repeated, or made with other settings or from another listing.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(open_file(path, "activations")) for path in shards]
        readers = _in_order(readers, activations)
        settings = {name: value for name, value in readers[0].settings.items() if name != "shard"}
        images = _interleaved(readers)
        digest = fingerprint("activations", settings, [], images)
        merged = Merged(activations, len(images), int((~images.good).sum()))
        if _is_there(activations, settings, digest, overwrite, tuple(shards)):
            return Merged(merged.path, merged.images, merged.bad, up_to_date=True)
        specs = [Layer(name, layer.shape[1:], layer.dtype, layer.attrs) for name, layer in readers[0].layers.items()]
        crops = int(settings["crops"])
        blank = Images(
            path=images.path,
            split=images.split,
            label=images.label,
            classes=images.classes,
            status=np.zeros(len(images), np.uint8),
            message=[""] * len(images),
            sha256=[""] * len(images),
        )
        with (
            Output(activations) as output,
            Writer.create(
                output.partial,
                "activations",
                specs,
                len(images) * crops,
                settings=settings,
                sources=[],
                software=readers[0].software,
                images=blank,
            ) as writer,
            progress.track(len(images) * crops * len(specs), "rows") as advance,
        ):
            writer.seek(0, 0)
            writer.append_images(images.status, images.message, images.sha256)
            for spec in specs:
                for rows in _rows(readers, spec.name, len(images), crops, batch_size // crops):
                    writer.append(spec.name, rows.reshape(-1, *spec.row_shape))
                    advance(len(rows))
            writer.commit()
            writer.set_fingerprint(digest)
            writer.close()
            output.accept()
        return merged


def _in_order(readers: Sequence[Reader], output: Path) -> list[Reader]:
    """The shards 1 ... N. Raises WrongFile if they are not all of one extraction, also if the output is one of them."""
    by_number: dict[int, Reader] = {}
    for reader in readers:
        shard = reader.settings.get("shard")
        if shard is None:
            raise WrongFile(f"{reader.path} should be a shard (fne extract --shard I/N). Found: a whole extraction.")
        if shard["number"] in by_number:
            raise WrongFile(
                f"{reader.path} should be another shard than {by_number[shard['number']].path}. "
                f"Found: both are {shard['number']}/{shard['of']}."
            )
        by_number[shard["number"]] = reader
    first = readers[0]
    for reader in readers[1:]:
        apart = differences(_comparable(first), _comparable(reader))
        if apart:
            lines = [line.replace("in the existing output", "there").replace("asked for", "here") for line in apart]
            raise WrongFile(
                f"{reader.path} should be made like {first.path} (here). Found:\n  "
                + "\n  ".join(lines)
                + "\nExtract that shard again with the settings of the others."
            )
    count = first.settings["shard"]["of"]
    absent = list(islice((number for number in range(1, count + 1) if number not in by_number), 6))
    if absent:
        names = ", ".join(f"{number}/{count}" for number in absent[:5])
        raise WrongFile(
            f"There should be {count} shards. Missing: {names}{' ...' if len(absent) > 5 else ''}."
            + _as_output(output, first)
        )
    return [by_number[number] for number in range(1, count + 1)]


def _as_output(output: Path, other: Reader) -> str:
    """What to say if a shard of the same extraction stands in the place of the output, else ""."""
    try:
        with open_file(output, "activations") as reader:
            if "shard" not in reader.settings or differences(_comparable(other), _comparable(reader)):
                return ""
            number, count = (reader.settings["shard"][name] for name in ("number", "of"))
    except FneError:
        return ""
    return f"\n{output}, the last file named, is shard {number}/{count} and was taken for OUTPUT. Is OUTPUT missing?"


def _comparable(reader: Reader) -> dict[str, Any]:
    shard = {name: value for name, value in reader.settings["shard"].items() if name != "number"}
    rows = {name: [list(layer.shape[1:]), str(layer.dtype)] for name, layer in reader.layers.items()}
    return {
        **reader.settings,
        "shard": shard,
        "classes": list(reader.images.classes),
        "label": list(reader.images.label.shape[1:]),
        "rows": rows,
        "software": reader.software,
    }


def _interleaved(readers: Sequence[Reader]) -> Images:
    """The image table of the whole: image i is image i // N of shard i % N."""
    tables = [reader.images for reader in readers]
    count, total = len(tables), sum(len(table) for table in tables)
    expected = readers[0].settings["shard"]["images"]
    if total != expected or any(len(table) != len(range(n, total, count)) for n, table in enumerate(tables)):
        lengths = ", ".join(str(len(table)) for table in tables[:9])
        raise WrongFile(f"The shards should have {expected:,} images, spread evenly. Found: {total:,} ({lengths}).")

    def column(name: str) -> list[Any]:
        columns = [getattr(table, name) for table in tables]
        return [columns[number % count][number // count] for number in range(total)]

    return Images(
        path=column("path"),
        split=column("split"),
        label=np.array(column("label"), tables[0].label.dtype),
        classes=tables[0].classes,
        status=np.array(column("status"), np.uint8),
        message=column("message"),
        sha256=column("sha256"),
    )


def _rows(readers: Sequence[Reader], layer: str, images: int, crops: int, block: int) -> Any:
    """The rows of a layer in the order of the whole, up to `block` images of every shard at a time."""
    count = len(readers)
    row_bytes = readers[0].layers[layer].features * readers[0].layers[layer].dtype.itemsize
    block = max(1, min(block, _MEMORY // (count * crops * row_bytes)))
    for start in range(0, images, block * count):
        stop = min(start + block * count, images)
        parts = []
        for number, reader in enumerate(readers):
            first, last = start // count, -(-(stop - number) // count)
            parts.append(reader.layers[layer].read(first * crops, max(first, last) * crops))
        rows = np.empty((stop - start, crops, parts[0].shape[1]), parts[0].dtype)
        for number, part in enumerate(parts):
            rows[number::count] = part.reshape(-1, crops, part.shape[1])
        yield rows.reshape(-1, rows.shape[2])


def _is_there(path: Path, settings: dict[str, Any], digest: str, overwrite: bool, shards: tuple[Path, ...]) -> bool:
    check_place(path, shards, overwrite)
    if not path.exists():
        return False
    if overwrite:
        check_replaceable(path, "activations")
        return False
    found = file_head(path, "activations")
    if found["fingerprint"] == digest:
        return True
    apart = differences(settings, found["settings"]) or ["the images are other ones, or have changed"]
    raise DifferentOutput(
        f"{path} exists and is another extraction:\n  " + "\n  ".join(apart) + "\n--overwrite replaces it."
    )
