"""One bit of any byte of what fne wrote is turned: whoever reads it says so, or does what he does with the good file.

tests/store/format/test_seal.py has the HDF5 files. Here are the others: results, classifiers, predictions, manifests,
records and journals.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from evaluation_files import evaluate
from pictures import write_image
from real_files import INPUTS, images, layers, settings, write_all

from fne_cli.errors import DifferentOutput, FneError
from fne_cli.images.lists.source import list_images
from fne_cli.steps.discretize import discretize
from fne_cli.steps.predict import predict
from fne_cli.steps.report import report
from fne_cli.steps.split import split
from fne_cli.store.other.results import read_results
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.notes import read_record, record_path
from fne_cli.store.output.partial import Output
from fne_cli.store.output.resume import Growing


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of each kind."""
    folder = tmp_path_factory.mktemp("made")
    _, _, codes = write_all(folder, 24)
    beside = {"predictions": folder / "predictions.csv", "model": folder / "classifier.npz"}
    evaluate(codes, folder / "results.json", **beside)
    return folder


def flips(path: Path, every: bool, count: int) -> Iterator[int]:
    """The file with a bit of some or all of its bytes turned, one after the other, its times as they were; which."""
    content, status = path.read_bytes(), path.stat()
    rng = np.random.default_rng(0)
    places = range(len(content)) if every else sorted(rng.integers(0, len(content), count).tolist())
    for place in places:
        bit = 8 * place + int(rng.integers(8))
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << bit % 8
        path.write_bytes(spoilt)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        yield bit
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def silent(path: Path, read: Callable[[], object], every: bool, count: int = 80) -> list[int]:
    """The bits that make `read` give something else than of the good file, without an error."""
    good = read()
    found, refused = [], 0
    for bit in flips(path, every, count):
        try:
            with warnings.catch_warnings(action="ignore"):
                if read() != good:
                    found.append(bit)
        except FneError:
            refused += 1
    assert refused  # else nothing was looked at
    return found


EVERY = [pytest.param(False, id="some"), pytest.param(True, id="every byte", marks=pytest.mark.slow)]


@pytest.mark.parametrize("every", EVERY)
def test_results(made, every):
    def read() -> str:
        return repr(read_results(made / "results.json"))

    assert silent(made / "results.json", read, every) == []


@pytest.mark.parametrize("every", EVERY)
def test_results_that_are_compared_before_they_count_as_up_to_date(made, every):
    def read() -> str:
        return repr(evaluate(made / "codes.h5", made / "results.json").results)

    assert silent(made / "results.json", read, every, 20) == []


@pytest.mark.slow
def test_a_page(made, tmp_path):
    def read() -> bytes:
        page = tmp_path / "page.html"
        report([made / "results.json"], page, overwrite=True)
        own = hashlib.sha256((made / "results.json").read_bytes()).hexdigest()  # of the text, 1e-5 or 1E-5
        # the page's own digests in its head are of that, and of all its bytes
        return re.sub(b'<meta name="fne-made"[^>]*>', b"", page.read_bytes().replace(own.encode(), b""))

    assert silent(made / "results.json", read, True) == []


@pytest.mark.parametrize("every", EVERY)
def test_a_classifier(made, tmp_path, every):
    def read() -> bytes:
        output = tmp_path / "predicted.csv"
        record_path(output).unlink(missing_ok=True)
        output.unlink(missing_ok=True)
        predict(made / "classifier.npz", made / "codes.h5", output)
        return output.read_bytes()

    assert silent(made / "classifier.npz", read, every) == []


@pytest.mark.parametrize("every", EVERY)
def test_predictions(made, every):
    """What reads them asks the record first: no changed byte is taken for what was written."""
    path = made / "predictions.csv"

    def read() -> bytes:
        check_noted(path)
        return path.read_bytes()

    assert silent(path, read, every) == []


@pytest.mark.parametrize("every", EVERY)
def test_a_manifest(tmp_path, every):
    manifest = tmp_path / "list.csv"
    for number in range(6):
        write_image(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", number)
    split(str(tmp_path / "photos"), manifest, per_class=1)

    def read() -> str:
        check_noted(manifest)  # as every command that takes a manifest does
        found = list_images(str(manifest), str(tmp_path / "photos"))
        return repr((found.ids, found.labels, found.splits, found.classes))

    assert silent(manifest, read, every) == []


@pytest.mark.parametrize("every", EVERY)
def test_a_record(made, tmp_path, every):
    """It holds, or it is none: then the file itself is asked. The codes that come of it are the same."""
    for name in ("activations.h5", "moments.h5", "codes.h5"):
        shutil.copy(made / name, tmp_path)
        shutil.copy(record_path(made / name), tmp_path)
    codes = tmp_path / "codes.h5"
    record, good = read_record(codes), codes.read_bytes()
    for _ in flips(record_path(codes), every, 60):
        found = read_record(codes)
        assert not found or record.items() <= found.items()  # the name of its digest may be gone
    for _ in flips(record_path(codes), False, 10):
        assert discretize(tmp_path / "activations.h5", tmp_path / "moments.h5", codes).up_to_date
        assert codes.read_bytes() == good


@pytest.mark.parametrize("every", EVERY)
def test_a_journal(tmp_path, every):
    """It holds, or the command says that it does not."""
    output = Output(tmp_path / "a.h5", keep=True)
    with output:
        table = images(12)
        with Growing.start(output, layers((3,), (5,)), table, settings(), INPUTS, {"fne": "0"}):
            pass
        output.note({"images": 12, "committed": 4, "inputs": INPUTS, "runs": [], "retry": [1, 2]})
        journal = output.read_journal()
        refused = 0
        for bit in flips(output.journal, every, 100):
            try:
                assert journal.items() <= output.read_journal().items(), bit  # the name of its digest may be gone
            except DifferentOutput:
                raise
            except FneError:
                refused += 1
        assert refused
