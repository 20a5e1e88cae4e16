"""A file that is ours is read as it was written; anything else ends in an error that says what it is."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from edited_files import edited
from evaluation_files import evaluate
from real_files import SHAPES, found, images, layers, rows_of, settings, write_activations, write_all

from fne_cli.errors import BadInput, DamagedFile, FneError, WrongFile
from fne_cli.steps.discretize import discretize
from fne_cli.steps.info import info
from fne_cli.steps.merge import merge
from fne_cli.steps.normalize import normalize
from fne_cli.steps.verify import verify
from fne_cli.store.format import columns as text
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.writer import Writer

KINDS = ("activations", "moments", "codes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each kind."""
    paths = write_all(tmp_path_factory.mktemp("made"), 12, crops=5, bad=[4])
    return dict(zip(KINDS, paths, strict=True))


@pytest.fixture
def copies(made: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same, to be spoilt."""
    return {kind: Path(shutil.copy(path, tmp_path)) for kind, path in made.items()}


def test_activations_are_read_as_they_were_written(made):
    table, (status, message, sha256) = images(12), found(images(12), [4])
    values = rows_of(layers(*SHAPES), 60, range(20, 25))
    with open_file(made["activations"], "activations") as file:
        assert (file.kind, file.settings, file.sources) == ("activations", settings(crops=5), [])
        assert file.images.path == table.path
        assert file.images.split == table.split
        assert file.images.message == message
        assert file.images.sha256 == sha256
        assert file.images.classes == table.classes
        assert file.images.label.dtype == np.int32
        np.testing.assert_array_equal(file.images.label, table.label)
        np.testing.assert_array_equal(file.images.status, status)
        assert list(file.layers) == ["conv", "fc"]
        for name, layer in file.layers.items():
            assert layer.attrs == {"tap": "Conv2D after relu", "output_shape": "4 x 4 x 3", "pooling": "avg"}
            np.testing.assert_array_equal(layer.read(0, 60), values[name])
            np.testing.assert_array_equal(layer.read(7, 7), values[name][7:7])


@pytest.mark.parametrize("batch_rows", [1, 7, 60, 1000])
def test_batches_are_whole_chunks_and_cover_every_row_once(tmp_path, batch_rows):
    path = write_activations(tmp_path / "a.h5", 100, shapes=[(30_000,), (5,), (4, 4, 2)])
    with open_file(path) as file:
        assert [layer.chunk_rows for layer in file.layers.values()] == [8, 100, 100]
        for layer in file.layers.values():
            spans, parts = zip(*layer.batches(batch_rows), strict=True)
            assert all(span.start % layer.chunk_rows == 0 for span in spans)
            assert all(span.stop - span.start <= max(batch_rows, layer.chunk_rows) for span in spans)
            np.testing.assert_array_equal(np.concatenate(parts), layer.read(0, 100))
            assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
            assert parts[0].shape[1] == layer.features


def test_layers_are_chosen_by_name_or_glob_in_network_order(made):
    with open_file(made["codes"]) as file:
        assert list(file.select(["fc", "c*"])) == ["conv", "fc"]
        assert list(file.select(["f?"])) == ["fc"]
        with pytest.raises(BadInput, match=r"codes\.h5 has no layer 'fc7'\. It has: conv, fc\."):
            file.select(["conv", "fc7"])


@pytest.mark.parametrize(
    ("kind", "expected", "message"),
    [
        (
            "codes",
            "activations",
            "codes.h5 should be an fne activations file. Found: kind=codes. Run fne extract first.",
        ),
        ("activations", "codes", "should be an fne codes file. Found: kind=activations. Run fne discretize first."),
        ("activations", "moments", "should be an fne moments file. Found: kind=activations. Run fne normalize first."),
    ],
)
def test_another_kind(made, kind, expected, message):
    with pytest.raises(WrongFile) as raised:
        open_file(made[kind], expected)
    assert message in str(raised.value)


def test_one_of_two_kinds(made):
    open_file(made["codes"], "codes", "activations").close()
    with pytest.raises(
        WrongFile, match=r"should be an fne codes or activations file\. Found: kind=moments\. Run fne disc"
    ):
        open_file(made["moments"], "codes", "activations")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (np.int64(3), "should have format version 2. Found: version 3. Update fne: pip install --upgrade fne-cli"),
        (np.int64(0), "should have format version 2. Found: version 0. Make the file again."),
        (1.5, "should have format version 2. Found: version 1.5."),
        (np.bytes_(b"one"), "should have format version 2. Found: version one."),
    ],
)
def test_another_version(copies, version, message):
    with edited(copies["codes"]) as file:
        file.attrs["version"] = version
    with pytest.raises(WrongFile) as raised:
        open_file(copies["codes"])
    assert message in str(raised.value)


def test_what_is_not_ours(tmp_path):
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "signature.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    os.mkfifo(tmp_path / "pipe.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["data"] = np.zeros(3)
    expected = {
        "missing.h5": (BadInput, "Found: no such file. Run fne discretize first."),
        "empty.h5": (WrongFile, "Found: an empty file. Run fne discretize first."),
        "text.h5": (WrongFile, "Found: not HDF5. Run fne discretize first."),
        "signature.h5": (DamagedFile, "Found: "),
        "pipe.h5": (WrongFile, "Found: not a regular file."),
        ".": (WrongFile, "Found: a folder."),
        "foreign.h5": (WrongFile, "Found: HDF5 of another origin. Run fne discretize first."),
        "text.h5/codes.h5": (BadInput, "Found: [Errno 20] Not a directory"),
        "x" * 300: (BadInput, "File name too long"),
        "nul\0": (BadInput, "embedded null byte"),
    }
    for name, (kind, message) in expected.items():
        with pytest.raises(kind) as raised:
            open_file(tmp_path / name, "codes")
        assert "should be an fne codes file. " in str(raised.value)
        assert message in str(raised.value)


def test_a_file_that_may_not_be_read(made, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(BadInput, match=r"Found: Permission denied\."):
        open_file(made["codes"])


def test_a_file_that_is_not_finished(tmp_path):
    (tmp_path / "a.h5").touch()
    head = {"settings": settings(), "sources": [], "software": {}}
    Writer.create(tmp_path / "a.h5", "activations", layers((3,)), 4, images=images(4), **head).close()
    with pytest.raises(WrongFile, match=r"Found: one that is not finished\. Run fne extract again to resume\."):
        open_file(tmp_path / "a.h5")
    open_file(tmp_path / "a.h5", unfinished=True).close()


@pytest.fixture(scope="module", autouse=True)
def _loaded(made: dict[str, Path]) -> None:
    """Load what evaluate loads, so that only what a file asks for is measured."""
    evaluate(made["codes"], layers=["conv"])


def use(paths: dict[str, Path], kind: str) -> list[FneError]:
    """Do with a file all that commands do; the errors that came of it. Nothing but an FneError may come."""
    activations, moments, codes = (paths[name] for name in KINDS)
    out = activations.parent / "out"
    jobs: list[Callable[[], object]] = [lambda: info(paths[kind]), lambda: verify(paths[kind])]
    jobs += {
        "activations": [
            lambda: normalize(activations, out / "m.h5", overwrite=True, batch_size=7),
            lambda: merge([activations], out / "a.h5"),
        ],
        "moments": [lambda: discretize(activations, moments, out / "c.h5", overwrite=True, batch_size=7)],
        "codes": [lambda: evaluate(codes, layers=["conv"])],
    }[kind]
    out.mkdir(exist_ok=True)
    errors = []
    tracemalloc.start(1)
    for job in jobs:
        try:
            job()
        except FneError as error:
            errors.append(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    return errors


def test_the_files_themselves_are_fine(copies):
    assert [type(error) for error in use(copies, "activations")] == [WrongFile]  # merge: it is no shard
    assert use(copies, "moments") == []
    assert use(copies, "codes") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file(copies, kind):
    content = copies[kind].read_bytes()
    for length in [0, 1, 7, 8, 50, 95, 96, *range(100, len(content), 1931), len(content) - 1]:
        copies[kind].write_bytes(content[:length])
        with pytest.raises(FneError, match=r" should be a file (made by fne|as fne writes it)\. Found: \w+"):
            open_file(copies[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_end_in_errors_or_are_harmless(copies, kind):
    """Seeded. Many thousands, when claims.py was written, had HDF5 itself hang and crash, which it avoids since."""
    content = copies[kind].read_bytes()
    for seed in range(60):
        chosen = random.Random(seed)
        spoilt = bytearray(content)
        for _ in range(chosen.choice([1, 2, 5])):
            spoilt[chosen.randrange(3000 if seed % 2 else len(content))] ^= 1 << chosen.randrange(8)
        copies[kind].write_bytes(spoilt)
        for job in (info, verify):
            with contextlib.suppress(FneError):
                job(copies[kind])


def spoil(name: str, value: object) -> Callable[[h5py.File], None]:
    """Put something else where a dataset or group was."""

    def change(file: h5py.File) -> None:
        del file[name]
        if isinstance(value, dict):
            file.create_dataset(name, **value)
        elif value is not None:
            file[name] = value

    return change


def setting(**changed: object) -> Callable[[h5py.File], None]:
    """Change entries of the settings; None removes one."""

    def change(file: h5py.File) -> None:
        settings = json.loads(file.attrs["settings"]) | changed
        kept = {name: value for name, value in settings.items() if value is not None}
        file.attrs["settings"] = np.bytes_(json.dumps(kept))

    return change


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    """Change or remove an attribute of the root, or of a layer."""

    def change(file: h5py.File) -> None:
        item = file["layers/conv"] if name in ("order", "rows", "tap") else file
        del item.attrs[name]
        if value is not None:
            item.attrs[name] = value

    return change


def _wide(file: h5py.File) -> None:
    for part in list(file["layers/conv"]):
        spoil(f"layers/conv/{part}", np.zeros(4))(file)


TRILLION = {"shape": (10**12,), "dtype": "u1", "chunks": (1000,)}
LABELS = np.arange(12, dtype=np.int32) % 3
HOSTILE: dict[str, tuple[str, Callable[[h5py.File], None]]] = {
    "trillion images": ("activations", spoil("images/status", TRILLION)),
    "trillion paths": ("activations", spoil("images/path", {"shape": (10**12,), "dtype": "S9", "chunks": (9,)})),
    "trillion rows": ("codes", spoil("layers/conv", {"shape": (10**12, 3), "dtype": "i1", "chunks": (9, 3)})),
    "trillion columns": ("codes", spoil("layers/conv", {"shape": (60, 10**12), "dtype": "i1", "chunks": (1, 9)})),
    "trillion moments": ("moments", spoil("layers/conv/mean", {"shape": (10**12,), "dtype": "f8", "chunks": (9,)})),
    "trillion classes": ("codes", spoil("classes", {"shape": (10**12,), "dtype": "S1", "chunks": (9,)})),
    "empty rows": ("codes", spoil("layers/conv", {"shape": (10**12, 0), "dtype": "i1"})),
    "external": ("activations", spoil("images/label", {"shape": (12,), "dtype": "i4", "external": "/etc/passwd"})),
    "compressed": ("codes", spoil("images/label", {"data": LABELS, "compression": "gzip"})),
    "soft link": ("activations", spoil("layers/conv", h5py.SoftLink("/layers/fc"))),
    "dangling link": ("activations", spoil("layers/conv", h5py.SoftLink("/nothing"))),
    "soft link to itself": ("activations", spoil("layers", h5py.SoftLink("/layers"))),
    "external link": ("activations", spoil("layers/conv", h5py.ExternalLink("codes.h5", "/layers/conv"))),
    "external table": ("activations", spoil("images", h5py.ExternalLink("codes.h5", "/images"))),
    "external classes": ("activations", spoil("classes", h5py.ExternalLink("/dev/zero", "/classes"))),
    "layer is a group": ("codes", lambda file: (file.__delitem__("layers/conv"), file.create_group("layers/conv"))[0]),
    "layers are a dataset": ("codes", spoil("layers", np.zeros(3))),
    "no layers": ("codes", spoil("layers", None)),
    "no images": ("codes", spoil("images", None)),
    "no status": ("codes", spoil("images/status", None)),
    "no message": ("codes", spoil("images/message", None)),
    "no classes": ("codes", spoil("classes", None)),
    "no mean": ("moments", spoil("layers/conv/mean", None)),
    "text for moments": ("moments", spoil("layers/conv/std", np.array([b"a", b"b", b"c"]))),
    "short moments": ("moments", spoil("layers/conv/std", np.zeros(2))),
    "moments of a matrix": ("moments", spoil("layers/conv/std", np.zeros((3, 1)))),
    "a layer without moments": ("moments", spoil("layers/conv", None)),
    "moments of other width": ("moments", _wide),
    "objects": ("codes", spoil("images/path", {"shape": (12,), "dtype": h5py.string_dtype()})),
    "numbers for names": ("codes", spoil("images/path", np.zeros(12, np.int32))),
    "names for labels": ("codes", spoil("images/label", np.array([b"a"] * 12))),
    "real labels": ("codes", spoil("images/label", LABELS.astype("f4"))),
    "scalar label": ("codes", spoil("images/label", np.int32(3))),
    "scalar layer": ("codes", spoil("layers/conv", np.int8(3))),
    "cube of labels": ("codes", spoil("images/label", np.zeros((12, 3, 1), np.int8))),
    "label table of int32": ("codes", spoil("images/label", np.zeros((12, 3), np.int32))),
    "label table too narrow": ("codes", spoil("images/label", np.zeros((12, 2), np.int8))),
    "label too large": ("codes", spoil("images/label", LABELS + 1)),
    "label too small": ("codes", spoil("images/label", LABELS - 2)),
    "label 7 in a table": ("codes", spoil("images/label", np.full((12, 3), 7, np.int8))),
    "short column": ("codes", spoil("images/split", np.array([b"train"] * 11))),
    "short status": ("codes", spoil("images/status", np.zeros(11, np.uint8))),
    "short layer": ("codes", spoil("layers/conv", np.zeros((59, 3), np.int8))),
    "codes as floats": ("codes", spoil("layers/conv", np.zeros((60, 3), np.float32))),
    "flat layer": ("codes", spoil("layers/conv", np.zeros(60, np.int8))),
    "not utf-8": ("codes", spoil("images/message", np.array([b"caf\xe9"] * 12))),
    "no format": ("codes", attribute("format", None)),
    "no version": ("codes", attribute("version", None)),
    "version of two": ("codes", attribute("version", [1, 1])),
    "no kind": ("codes", attribute("kind", None)),
    "another kind": ("codes", attribute("kind", np.bytes_(b"pictures"))),
    "kind is a number": ("codes", attribute("kind", 7)),
    "kind is a list": ("codes", attribute("kind", [1.0, 2.0])),
    "no fingerprint": ("codes", attribute("fingerprint", None)),
    "no settings": ("codes", attribute("settings", None)),
    "settings not json": ("codes", attribute("settings", np.bytes_(b"{crops: 1}"))),
    "settings a list": ("codes", attribute("settings", np.bytes_(b"[1]"))),
    "settings deep": ("codes", attribute("settings", np.bytes_(b"[" * 30_000))),
    "settings deep but whole": ("codes", attribute("settings", np.bytes_(b'{"a":' * 500 + b"1" + b"}" * 500))),
    "settings with nan": ("codes", attribute("settings", np.bytes_(b'{"crops":1,"thresholds":[NaN,1]}'))),
    "sources an object": ("codes", attribute("sources", np.bytes_(b"{}"))),
    "software null": ("codes", attribute("software", np.bytes_(b"null"))),
    "no order": ("codes", attribute("order", None)),
    "order is text": ("codes", attribute("order", np.bytes_(b"first"))),
    "order of two": ("codes", attribute("order", [1, 2])),
    "tap is a number of tables": ("codes", attribute("tap", np.zeros((2, 2)))),
    "no rows": ("moments", attribute("rows", None)),
    "no crops": ("codes", setting(crops=None)),
    "crops is text": ("activations", setting(crops="five")),
    "crops is true": ("activations", setting(crops=True)),
    "no crop": ("activations", setting(crops=0)),
    "trillion crops": ("activations", setting(crops=10**12)),
    "shard is a number": ("activations", setting(shard=3)),
    "shard of nothing": ("activations", setting(shard={"number": 1, "of": 0, "images": 12})),
    "trillion shards": ("activations", setting(shard={"number": 1, "of": 10**12, "images": 12})),
    "moments of nothing": ("moments", setting(activations=None)),
    "moments of no rows": ("moments", setting(rows=3)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(copies, case):
    kind, change = HOSTILE[case]
    with edited(copies[kind]) as file:
        change(file)
    found = [str(error) for error in use(copies, kind) if isinstance(error, DamagedFile | WrongFile)]
    assert any(copies[kind].name in text or "should be 1000000000000 shards" in text for text in found)


def test_a_layer_with_an_odd_name_is_a_layer(copies):
    """HDF5 names have no slash, but they may have escapes, dots and any length."""
    names = ["\x1b[31mred", "..", "a" * 5000, "名前"]
    with edited(copies["codes"]) as file:
        for number, name in enumerate(names[:1] + names[2:], start=2):
            file["layers"].copy("fc", file["layers"], name)
            file["layers"][name].attrs.modify("order", np.int64(number))
    with open_file(copies["codes"]) as file:
        assert set(file.layers) == {"conv", "fc", *names[:1], *names[2:]}
    (problem,) = verify(copies["codes"]).problems
    assert "the layers should be those of the settings, which are 2" in problem


def test_many_layers(tmp_path):
    path = write_activations(tmp_path / "a.h5", 3, shapes=[(1,)] * 60)
    with open_file(path) as file:
        assert list(file.layers) == ["conv", "fc", *(f"more{number}" for number in range(58))]


def test_a_million_images_do_not_come_into_memory(tmp_path, monkeypatch):
    """Scaled down: 3,000 images in blocks of 100. Names and hashes alone would take half a megabyte as strings."""
    path = write_activations(tmp_path / "a.h5", 3000, shapes=[(1,)], batch=500)
    monkeypatch.setattr(text, "BLOCK_ROWS", 100)
    letters = sum(len(name) for name in images(3000).path)
    sha256 = found(images(3000))[2][2999]
    tracemalloc.start()
    with open_file(path) as file:
        rows, good = file.images.chosen("train")
        assert (rows, int(good.sum())) == ("train", 2000)
        assert sum(len(name) for name in file.images.path) == letters
        assert file.images.sha256[2999] == sha256
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000


def test_bytes_damaged_in_the_middle_of_a_layer(copies):
    with h5py.File(copies["activations"]) as file:
        place = file["layers/fc"].id.get_chunk_info(0).byte_offset
    content = bytearray(copies["activations"].read_bytes())
    content[place + 40] ^= 1
    copies["activations"].write_bytes(content)
    with open_file(copies["activations"]) as file:
        file.layers["conv"].read(0, 60)
        with pytest.raises(DamagedFile) as raised:
            file.layers["fc"].read(0, 60)
    assert str(raised.value) == (
        f"{copies['activations']}: layer fc, rows 0-59 are damaged (a wrong checksum).\n"
        "Make the file again with fne extract --overwrite, or fetch a good copy."
    )
