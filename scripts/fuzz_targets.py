"""What fuzz_files.py spoils, and which reader of fne gets it: a small good file of each kind, and what is read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
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
from PIL import Image

from fne_cli.store.format.chunks import fletcher32
from fne_cli.store.format.seal import check_seal, seal, unseal

KINDS = ("h5", "keras", "network", "npz", "tar", "image", "table", "toml", "results")


@dataclass(frozen=True)
class Sample:
    """A good file. read: what a command makes of the file, as a digest. guarded: whether each of its bits is."""

    kind: str
    path: Path
    read: Callable[[Path], str]
    spoil: Callable[[random.Random, Path, Path], bool]  # (chance, good file, scratch); True: changed behind the guard
    guarded: bool = False


def samples(kind: str, folder: Path) -> list[Sample]:
    """Make the good files of a kind below a folder."""
    folder.mkdir(exist_ok=True)
    return {
        "h5": _hdf5,
        "keras": _networks,
        "network": _networks,
        "npz": _classifiers,
        "results": _classifiers,
        "tar": _tar,
        "image": _images,
        "table": _tables,
        "toml": _experiments,
    }[kind](kind, folder)


def reader_of(kind: str, name: str, folder: Path) -> Callable[[Path], str]:
    """What reads a file of the corpus by its name: `activations-....h5`."""
    found = [sample for sample in samples(kind, folder) if sample.path.stem == name.split("-", maxsplit=1)[0]]
    if not found:
        raise ValueError(f"corpus/{kind}/{name} should begin with the name of a sample")
    return found[0].read


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pipeline(folder: Path) -> dict[str, Path]:
    """All files of ours: activations of noise, as tests make them, and what comes of them."""
    from real_files import write_all  # type: ignore[import-not-found]  # of tests/builders

    from fne_cli.steps.analyze import analyze
    from fne_cli.steps.discretize import discretize
    from fne_cli.steps.evaluate import ClassifierOptions, FeatureOptions, Protocol, evaluate
    from fne_cli.steps.normalize import normalize

    names = ("activations", "moments", "codes", "standardized", "packed", "behavior")
    files = {name: folder / f"{name}.h5" for name in names}
    files |= {"results": folder / "results.json", "classifier": folder / "classifier.npz"}
    files["predictions"] = folder / "predictions.csv"
    if files["classifier"].exists():
        return files
    write_all(folder, 24, bad=[5])
    normalize(files["activations"], files["moments"], standardized=files["standardized"])
    discretize(files["activations"], files["moments"], files["packed"], packed=True)
    analyze(files["activations"], files["behavior"], random_classes=5)
    options: dict[str, Any] = {"predictions": files["predictions"], "model": files["classifier"]}
    evaluate(files["codes"], files["results"], FeatureOptions(), Protocol(), ClassifierOptions(), **options)
    return files


def _read_hdf5(name: str, folder: Path, path: Path) -> str:
    """Verify, say what it is, and make of it what is usually made."""
    from fne_cli.errors import DamagedFile
    from fne_cli.steps.discretize import discretize
    from fne_cli.steps.export import export
    from fne_cli.steps.features import features
    from fne_cli.steps.info import info
    from fne_cli.steps.verify import verify
    from fne_cli.store.format.reader import open_file

    problems = verify(path).problems
    info(path)
    out = path.with_name("out.h5")
    if name == "activations":
        discretize(path, folder / "moments.h5", out)
    elif name == "moments":
        discretize(folder / "activations.h5", path, out)
    elif name == "behavior":
        with open_file(path) as file:
            found = file.behavior()
            out.write_text(repr((features(path, top=30), found.low, found.high)))
    else:
        out = path.with_name("out.csv")
        export(path, out)
    if problems:
        raise DamagedFile(f"{path}: " + "; ".join(problems))
    return _digest(out)


def _spoil_ours(chance: random.Random, good: Path, scratch: Path) -> bool:
    """Bytes as they are, or bytes or objects with the seal and checksums made right again."""
    shutil.copy(good, scratch)
    way = chance.randrange(4)
    if way == 0:
        scratch.write_bytes(spoil_bytes(chance, good.read_bytes()))
        return False
    if way == 1:
        unseal(scratch)
        spoil_hdf5(chance, scratch)
        seal(scratch)
        return True
    _spoil_sealed(chance, scratch, way == 2)
    return True


def _spoil_sealed(chance: random.Random, path: Path, chunk: bool) -> None:
    """Bytes of a chunk with a checksum that fits, or of all else under a seal that fits."""
    from fne_cli.store.format import seal as sealing

    assert check_seal(path)
    content = bytearray(path.read_bytes())
    with h5py.File(path, "r", locking=False) as file:
        spans = sealing._chunk_spans(file)
        places = [
            (info.byte_offset, info.size)
            for name in ("layers", "images")
            if name in file
            for item in file[name].values()
            if isinstance(item, h5py.Dataset)
            for info in map(item.id.get_chunk_info, range(item.id.get_num_chunks()))
        ]
    unseal(path)
    size = path.stat().st_size
    if chunk and places:
        start, length = chance.choice(places)
        rows = bytearray(spoil_bytes(chance, bytes(content[start : start + length - 4]))[: length - 4])
        rows += bytes(length - 4 - len(rows))
        content[start : start + length] = rows + int(fletcher32(np.frombuffer(rows, np.uint8))).to_bytes(4, "little")
    else:
        gaps = [span for span in sealing._between(size, spans) if span[1] > span[0]]
        start, stop = chance.choice(gaps)
        for _ in range(chance.choice((1, 1, 2, 3))):
            at = chance.randrange(start, stop)
            content[at] = chance.choice((content[at] ^ 1 << chance.randrange(8), 0, 255, 1))
    path.write_bytes(content[:size])
    with open(path, "r+b") as raw:  # as `seal`, but of where the chunks were: HDF5 may not open the file any more
        digest = sealing._digest(raw, size, spans)
        raw.seek(size)
        raw.write(spans.tobytes() + sealing._TAIL.pack(digest, size, len(spans), sealing.MAGIC))


def _hdf5(kind: str, folder: Path) -> list[Sample]:
    files = _pipeline(folder)
    names = ("activations", "moments", "codes", "standardized", "packed", "behavior")
    return [Sample(kind, files[name], partial(_read_hdf5, name, folder), _spoil_ours, True) for name in names]


def _read_classifier(folder: Path, path: Path) -> str:
    from fne_cli.steps.predict import predict

    out = path.with_name("out.csv")
    predict(path, folder / "codes.h5", out)
    return _digest(out)


def _read_page(path: Path) -> str:
    from fne_cli.steps.report import report

    out = path.with_name("page.html")
    report([path], out, title="x")
    return _digest(out)


def _read_predictions(path: Path) -> str:
    from fne_cli.store.other.predictions import read_predictions

    lines = [
        (one.path, one.truth, one.prediction, one.decisions.tolist())
        for one in read_predictions(path, ("class a", "class b", "class c"))
    ]
    return repr(lines)


def _spoil_results(chance: random.Random, good: Path, scratch: Path) -> bool:
    from fne_cli.store.output.sealed import with_digest

    content = good.read_bytes()
    if chance.random() < 0.3:
        scratch.write_bytes(spoil_bytes(chance, content))
        return False
    document = spoil_json(chance, json.loads(content))
    if isinstance(document, dict):
        with contextlib.suppress(ValueError):
            document = with_digest(document)
    scratch.write_bytes(json.dumps(document).encode())
    return True


def _spoil_npz(chance: random.Random, good: Path, scratch: Path) -> bool:
    content = good.read_bytes()
    if chance.random() < 0.4:
        scratch.write_bytes(spoil_bytes(chance, content))
        return False

    def member(name: str, data: bytes) -> bytes:
        if not name.startswith("head") or chance.random() < 0.3:
            return spoil_bytes(chance, data, chance.choice((128, None)))
        text = json.dumps(spoil_json(chance, json.loads(data[data.index(b"\n") + 1 :]))).encode()
        file = io.BytesIO()
        np.lib.format.write_array(file, np.frombuffer(text, np.uint8))
        return file.getvalue()

    scratch.write_bytes(spoil_zip(chance, content, member))
    return True


def _simple(function: Callable[[random.Random, bytes], bytes]) -> Callable[[random.Random, Path, Path], bool]:
    def spoil(chance: random.Random, good: Path, scratch: Path) -> bool:
        scratch.write_bytes(function(chance, good.read_bytes()))
        return True

    return spoil


def _classifiers(kind: str, folder: Path) -> list[Sample]:
    files = _pipeline(folder)
    if kind == "npz":
        return [Sample(kind, files["classifier"], partial(_read_classifier, folder), _spoil_npz, True)]
    return [
        Sample(kind, files["results"], _read_page, _spoil_results, True),
        Sample(kind, files["predictions"], _read_predictions, _simple(spoil_text)),
    ]


def _networks(kind: str, folder: Path) -> list[Sample]:
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


def _images(kind: str, folder: Path) -> list[Sample]:
    forms = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM"}
    forms |= {"ico": "ICO", "tga": "TGA", "jp2": "JPEG2000", "pcx": "PCX"}
    made = []
    for ending, form in forms.items():
        path = folder / f"{ending}.{ending}"
        _pixels().save(path, form)
        made.append(Sample(kind, path, _read_image, _simple(spoil_image)))
    return made


def _read_image(path: Path) -> str:
    from fne_cli.images.bad import Status
    from fne_cli.images.decode import decode, read_file
    from fne_cli.images.geometry import Geometry

    found = decode(partial(read_file, str(path)), Geometry(16, 16, max_pixels=1 << 22))
    if found.pixels.shape != (1, 16, 16, 3) or (found.status != Status.GOOD) != bool(found.message):
        raise AssertionError(f"shape {found.pixels.shape}, status {found.status}, message {found.message!r}")
    return hashlib.sha256(found.pixels.tobytes()).hexdigest()


def _tar(kind: str, folder: Path) -> list[Sample]:
    picture = folder / "picture.png"
    _pixels(6).save(picture)
    made = []
    for name, form in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        with tarfile.open(folder / f"{name}.tar", "w", format=form) as archive:
            for member in ("train/a/1.png", "test/b/2.png", f"train/é{'x' * 110}/3.png"):
                archive.add(picture, member)
        made.append(Sample(kind, folder / f"{name}.tar", _read_listing, _simple(spoil_tar)))
    return made


def _read_listing(path: Path) -> str:
    from fne_cli.images.source import list_images

    found = list_images(str(path))
    return repr((found.ids, found.files))


def _tables(kind: str, folder: Path) -> list[Sample]:
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
    return [Sample(kind, folder / name, partial(_read_table, folder), _simple(spoil_text)) for name in texts]


def _read_table(folder: Path, path: Path) -> str:
    for name in ("b.png", "d.png"):
        if not path.with_name(name).exists():
            _pixels(6).save(path.with_name(name))
    return _read_listing(path)


def _experiments(kind: str, folder: Path) -> list[Sample]:
    experiment = (
        '[experiment]\nname = "x"\noutput = "out"\n\n[datasets.d]\nimages = "images"\n\n[networks.n]\n'
        'model = "mini"\nbatch_size = 8\n\n[poolings.p]\npool = ["max", "a=avg:2"]\n\n[embeddings.fne]\n'
        'thresholds = [-0.25, 0.15]\n\n[embeddings.data]\nthresholds = "data"\n\n[protocols.cv]\ncv = 3\nC = [1]\n\n'
        "[protocols.curve]\nper_class = [1, 5]\ndraws = 2\n"
    )
    (folder / "experiment.toml").write_text(experiment)
    (folder / "cluster.toml").write_text('kind = "local"\nworkers = 2\nthreads = 1\n')
    return [
        Sample(kind, folder / "experiment.toml", _read_experiment, _simple(spoil_text)),
        Sample(kind, folder / "cluster.toml", _read_cluster, _simple(spoil_text)),
    ]


def _read_experiment(path: Path) -> str:
    from fne_cli.cli.run import known_options
    from fne_cli.experiments.reading import read_experiment

    found = read_experiment(path, (), known_options())
    return repr((found.own, found.named))


def _read_cluster(path: Path) -> str:
    from fne_cli.clusters.parsing import read_spec

    return repr(read_spec(path))
