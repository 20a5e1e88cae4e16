"""Files from elsewhere, for fuzz_files.py: networks, images, archives, lists, configurations."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_mutations import (
    spoil_bytes,
    spoil_hdf5,
    spoil_image,
    spoil_json,
    spoil_tar,
    spoil_text,
    spoil_zip,
)
from fuzz_sample import Sample, simple
from PIL import Image


def networks(kind: str, folder: Path) -> list[Sample]:
    """Networks as Keras writes them."""
    paths = [folder / name for name in (["net.keras"] if kind == "keras" else ["keras3.h5", "keras2.h5"])]
    child = os.fork()  # whoever goes on forking must not have used TensorFlow
    if not child:
        try:
            _write_networks(kind, folder)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError("the networks could not be written")
    spoil = _spoil_keras if kind == "keras" else _spoil_network
    return [Sample(kind, path, _read_network, spoil) for path in paths]


def _write_networks(kind: str, folder: Path) -> None:
    import keras
    from keras2_files import conv, functional, image, write_h5  # type: ignore[import-not-found]  # likewise

    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, activation="relu", name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dense(3, activation="softmax", name="fc")(keras.layers.Flatten(name="flat")(x))
    model = keras.Model(inputs, x)
    if kind == "keras":
        model.save(folder / "net.keras")
        return
    model.save(folder / "keras3.h5")
    weights = {"conv": {"conv/kernel:0": np.ones((1, 1, 3, 3), "f4"), "conv/bias:0": np.zeros(3, "f4")}}
    write_h5(folder / "keras2.h5", functional("model", [image((8, 8, 3)), conv("conv", "image")], "conv"), weights)


def _read_network(path: Path) -> str:
    from fne_cli.steps.layers import layers

    return repr(layers(str(path)))


def _spoil_network(chance: random.Random, good: Path, scratch: Path) -> bool:
    shutil.copy(good, scratch)
    if chance.random() < 0.4:
        scratch.write_bytes(spoil_bytes(chance, good.read_bytes()))
    else:
        spoil_hdf5(chance, scratch)
    return True


def _spoil_keras(chance: random.Random, good: Path, scratch: Path) -> bool:
    def member(name: str, data: bytes) -> bytes:
        if name.endswith(".json"):
            return json.dumps(spoil_json(chance, json.loads(data))).encode()
        inner = scratch.with_name("weights.h5")
        inner.write_bytes(data)
        if chance.random() < 0.5:
            spoil_hdf5(chance, inner)
            return inner.read_bytes()
        return spoil_bytes(chance, data)

    scratch.write_bytes(spoil_zip(chance, good.read_bytes(), member))
    return True


def _pixels(side: int = 20) -> Any:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


def images(kind: str, folder: Path) -> list[Sample]:
    """Pictures of many formats."""
    forms = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM"}
    forms |= {"ico": "ICO", "tga": "TGA", "jp2": "JPEG2000", "pcx": "PCX"}
    made = []
    for ending, form in forms.items():
        path = folder / f"{ending}.{ending}"
        _pixels().save(path, form)
        made.append(Sample(kind, path, _read_image, simple(spoil_image)))
    return made


def _read_image(path: Path) -> str:
    from fne_cli.images.pixels.bad import Status
    from fne_cli.images.pixels.decode import decode
    from fne_cli.images.pixels.geometry import Geometry
    from fne_cli.images.pixels.reading import read_file

    found = decode(partial(read_file, str(path)), Geometry(16, 16, max_pixels=1 << 22))
    if found.pixels.shape != (1, 16, 16, 3) or (found.status != Status.GOOD) != bool(found.message):
        raise AssertionError(f"shape {found.pixels.shape}, status {found.status}, message {found.message!r}")
    return hashlib.sha256(found.pixels.tobytes()).hexdigest()


def tar(kind: str, folder: Path) -> list[Sample]:
    """Archives of pictures."""
    picture = folder / "picture.png"
    _pixels(6).save(picture)
    made = []
    for name, form in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        with tarfile.open(folder / f"{name}.tar", "w", format=form) as archive:
            for member in ("train/a/1.png", "test/b/2.png", f"train/é{'x' * 110}/3.png"):
                archive.add(picture, member)
        made.append(Sample(kind, folder / f"{name}.tar", _read_listing, simple(spoil_tar)))
    return made


def _read_listing(path: Path) -> str:
    from fne_cli.images.lists.source import list_images

    found = list_images(str(path))
    return repr((list(found.ids), list(found.files)))


def tables(kind: str, folder: Path) -> list[Sample]:
    """Lists of images."""
    rows = [("train/a.png", "cat", "train"), ("b.png", "dog", "test"), ("c é.png", "", ""), ("d.png", "cat;dog", "val")]
    keys = ("path", "label", "split")
    texts = {
        "comma.csv": "".join(f"{','.join(row)}\n" for row in (keys, *rows)),
        "boxes.csv": "path,label,x0,y0,x1,y1\nb.png,cat,0,0,4,4\nb.png,dog,1,1,5,5\n",
        "tabs.tsv": "".join("\t".join(row) + "\n" for row in (keys, *rows)),
        "lines.jsonl": "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows),
        "whole.json": json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [Sample(kind, folder / name, partial(_read_table, folder), simple(spoil_text)) for name in texts]


def _read_table(folder: Path, path: Path) -> str:
    for name in ("b.png", "d.png"):
        if not path.with_name(name).exists():
            _pixels(6).save(path.with_name(name))
    return _read_listing(path)


def experiments(kind: str, folder: Path) -> list[Sample]:
    """What fne run and --cluster read."""
    experiment = (
        '[experiment]\nname = "x"\noutput = "out"\n\n[datasets.d]\nimages = "images"\n\n[networks.n]\n'
        'model = "mini"\nbatch_size = 8\n\n[poolings.p]\npool = ["max", "a=avg:2"]\n\n[embeddings.fne]\n'
        'thresholds = [-0.25, 0.15]\n\n[embeddings.data]\nthresholds = "data"\n\n[protocols.cv]\ncv = 3\nC = [1]\n\n'
        "[protocols.curve]\nper_class = [1, 5]\ndraws = 2\n"
    )
    (folder / "experiment.toml").write_text(experiment)
    (folder / "cluster.toml").write_text('kind = "local"\nworkers = 2\nthreads = 1\n')
    return [
        Sample(kind, folder / "experiment.toml", _read_experiment, simple(spoil_text)),
        Sample(kind, folder / "cluster.toml", _read_cluster, simple(spoil_text)),
    ]


def _read_experiment(path: Path) -> str:
    from fne_cli.cli.run import known_options
    from fne_cli.experiments.written.reading import read_experiment

    found = read_experiment(path, (), known_options())
    return repr((found.own, found.named))


def _read_cluster(path: Path) -> str:
    from fne_cli.clusters.parsing import read_spec

    return repr(read_spec(path))
