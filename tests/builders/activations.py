"""Activations files for tests, written by the format's own writer: no network, no TensorFlow."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from fne_cli.store.format.schema import Images, Layer, fingerprint
from fne_cli.store.format.writer import Writer


def table(count, *, paths=None, split=None, label=None, classes=("a", "b"), bad=()):
    """An image table of `count` images; the bad ones have status 1 and a message."""
    status = np.zeros(count, np.uint8)
    status[list(bad)] = 1
    return Images(
        path=list(paths) if paths is not None else [f"class/é{number}.png" for number in range(count)],
        split=list(split) if split is not None else [""] * count,
        label=np.array([n % 2 for n in range(count)], np.int32) if label is None else np.asarray(label),
        classes=list(classes),
        status=status,
        message=["not an image" if flag else "" for flag in status],
        sha256=["" if flag else f"{number:064x}" for number, flag in enumerate(status)],
    )


def write(
    path: Path, layers, images: Images, *, kind="activations", crops=1, settings=None, software=None, texts=None
) -> Path:
    """A finished file of {name: (rows, ...) array}; rows of bad images become NaN, in codes 0. texts: of layers."""
    settings = {"crops": crops, "model": "by hand"} | (settings or {})
    specs = [
        Layer(name, rows.shape[1:], rows.dtype, {"tap": "conv"} | (texts or {}).get(name, {}))
        for name, rows in layers.items()
    ]
    bad = np.repeat(~images.good, crops)
    digest = fingerprint(kind, settings, [], images if kind == "activations" else None)
    with Writer.create(
        path,
        kind,
        specs,
        len(images) * crops,
        settings=settings,
        sources=[],
        software=software or {"fne": "test"},
        fingerprint=digest,
        images=images,
    ) as writer:
        for name, values in layers.items():
            rows = values.copy()
            rows[bad] = np.nan if rows.dtype.kind == "f" else 0
            writer.append(name, rows)
    return path


def relu(rng, *shape, dtype=np.float32):
    """Values as a network has them: half of them exactly 0, scales from feature to feature very different."""
    scale = 10.0 ** rng.uniform(-3, 3, shape[1:])
    return np.maximum(rng.normal(0.1, 1, shape) * scale, 0).astype(dtype)


def shards(folder: Path, layers, images: Images, count, *, crops=1):
    """The files of `fne extract --shard 1/N ... N/N` of that whole."""
    paths = []
    for number in range(count):
        own = slice(number, None, count)
        part = Images(
            path=images.path[own],
            split=images.split[own],
            label=images.label[own],
            classes=images.classes,
            status=images.status[own],
            message=images.message[own],
            sha256=images.sha256[own],
        )
        rows = {
            name: values.reshape(len(images), crops, *values.shape[1:])[own].reshape(-1, *values.shape[1:])
            for name, values in layers.items()
        }
        shard = {"number": number + 1, "of": count, "images": len(images), "listing": "x"}
        paths.append(write(folder / f"shard{number + 1}.h5", rows, part, crops=crops, settings={"shard": shard}))
    return paths


def command(capfd, *arguments):
    """Run `fne ARGUMENTS` in this process; returns exit code, standard output, standard error."""
    from fne_cli.cli.main import main

    capfd.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    captured = capfd.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def damage(path: Path, layer: str, row: int) -> None:
    """Flip a bit in the chunk that holds a row."""
    with h5py.File(path, "r") as file:
        dataset = file["layers"][layer]
        place = dataset.id.get_chunk_info_by_coord((row, *(0 for _ in dataset.shape[1:]))).byte_offset
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 4]))
