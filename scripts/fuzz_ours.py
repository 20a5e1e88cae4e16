"""Files that fne writes, for fuzz_files.py: good ones, how they are spoilt, and what is read of them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from fuzz_mutations import (
    spoil_bytes,
    spoil_hdf5,
    spoil_json,
    spoil_text,
    spoil_zip,
)
from fuzz_sample import Sample, digest, simple

from fne_cli.store.format.chunks import fletcher32
from fne_cli.store.format.seal import check_seal, seal, unseal


def _pipeline(folder: Path) -> dict[str, Path]:
    """All files of ours: activations of noise, as tests make them, and what comes of them."""
    from pictures import write_image  # type: ignore[import-not-found]  # of tests/builders
    from real_files import write_all  # type: ignore[import-not-found]

    from fne_cli.steps.analyze import analyze
    from fne_cli.steps.discretize import discretize
    from fne_cli.steps.evaluate import ClassifierOptions, FeatureOptions, Protocol, evaluate
    from fne_cli.steps.normalize import normalize
    from fne_cli.steps.reduce import ReductionOptions, reduce
    from fne_cli.steps.vocabulary import VocabularyOptions, vocabulary

    names = ("activations", "moments", "codes", "standardized", "packed", "behavior", "projection", "vocabulary")
    files = {name: folder / f"{name}.h5" for name in names}
    files |= {"results": folder / "results.json", "classifier": folder / "classifier.npz"}
    files["predictions"] = folder / "predictions.csv"
    files["neighbours"] = folder / "neighbours.npz"
    if files["neighbours"].exists():
        return files
    write_all(folder, 24, bad=[5])
    normalize(files["activations"], files["moments"], standardized=files["standardized"])
    discretize(files["activations"], files["moments"], files["packed"], packed=True)
    analyze(files["activations"], files["behavior"], random_classes=5)
    reduce(files["activations"], files["projection"], ReductionOptions(3, "z,equal", whiten=True))
    write_image(folder / "pictures" / "a.png", 0)
    few = VocabularyOptions(words=3, components=4, samples=60, image_size=(48, 48))
    vocabulary(str(folder / "pictures"), files["vocabulary"], few)
    options: dict[str, Any] = {"predictions": files["predictions"], "model": files["classifier"]}
    evaluate(files["codes"], files["results"], FeatureOptions(), Protocol(), ClassifierOptions(), **options)
    nearest = ClassifierOptions(classifier="knn:3")
    evaluate(files["codes"], None, FeatureOptions(), Protocol(), nearest, model=files["neighbours"])
    return files


def _read_hdf5(name: str, folder: Path, path: Path) -> str:
    """Verify, say what it is, and make of it what is usually made."""
    from fne_cli.descriptors.vocabulary import Vocabulary
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
    elif name == "vocabulary":
        known = Vocabulary.read(str(path), "fisher")
        encoder, sift = known.encoder(), known.sift(48, 48)
        row = encoder.row(encoder.blank(), "cells1x1")
        out.write_text(repr((known.sha256(), known.choices(), len(row), sift.count)))
    elif name == "projection":
        out = path.with_name("out.csv")
        export(folder / "activations.h5", out, projection=path)
    else:
        out = path.with_name("out.csv")
        export(path, out)
    if problems:
        raise DamagedFile(f"{path}: " + "; ".join(problems))
    return digest(out)


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
        borders = sealing._chunk_borders(file)
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
        gaps = [span for span in sealing._between(size, borders) if span[1] > span[0]]
        start, stop = chance.choice(gaps)
        for _ in range(chance.choice((1, 1, 2, 3))):
            at = chance.randrange(start, stop)
            content[at] = chance.choice((content[at] ^ 1 << chance.randrange(8), 0, 255, 1))
    path.write_bytes(content[:size])
    with open(path, "r+b") as raw:  # as `seal`, but of where the chunks were: HDF5 may not open the file any more
        digest = sealing._digest(raw, size, borders)
        raw.seek(size)
        raw.write(sealing._packed(borders) + sealing._TAIL.pack(digest, size, len(borders) // 2, sealing.MAGIC))


def hdf5(kind: str, folder: Path) -> list[Sample]:
    """HDF5 files of ours."""
    files = _pipeline(folder)
    names = ("activations", "moments", "codes", "standardized", "packed", "behavior", "projection", "vocabulary")
    return [Sample(kind, files[name], partial(_read_hdf5, name, folder), _spoil_ours, True) for name in names]


def _read_classifier(folder: Path, path: Path) -> str:
    from fne_cli.steps.predict import predict

    out = path.with_name("out.csv")
    predict(path, folder / "codes.h5", out)
    return digest(out)


def _read_page(path: Path) -> str:
    from fne_cli.steps.report import report

    out = path.with_name("page.html")
    report([path], out, title="x")
    own = hashlib.sha256(path.read_bytes()).hexdigest()  # another one for another space between two words
    # and with it other digests that the page has of itself in its head
    shown = re.sub('<meta name="fne-made"[^>]*>', "", out.read_text(encoding="utf-8").replace(own, ""))
    out.write_text(shown, encoding="utf-8")
    return digest(out)


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


def classifiers(kind: str, folder: Path) -> list[Sample]:
    """A classifier, or results and predictions."""
    files = _pipeline(folder)
    if kind == "npz":
        read = partial(_read_classifier, folder)
        return [Sample(kind, files[name], read, _spoil_npz, True) for name in ("classifier", "neighbours")]
    return [
        Sample(kind, files["results"], _read_page, _spoil_results, True),
        Sample(kind, files["predictions"], _read_predictions, simple(spoil_text)),
    ]
