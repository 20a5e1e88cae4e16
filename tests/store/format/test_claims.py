"""What a hostile file says of itself is refused by name, never followed, read or run into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fne_cli.errors import DamagedFile
from fne_cli.store.format import claims


@pytest.fixture
def file(tmp_path: Path):
    with h5py.File(tmp_path / "file.h5", "w") as opened:
        opened.attrs["padding"] = "x" * 60_000  # so that small claims are not larger than the file
        yield opened


PATH = Path("file.h5")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_attributes_that_are_believed(file):
    file.attrs["text"] = np.array("größe".encode(), h5py.string_dtype("utf-8", 7))
    file.attrs["padded"] = np.array(b"abc", "S64")
    file.attrs["number"] = np.int64(7)
    file.attrs["real"] = 0.5
    file.attrs["pair"] = [-0.25, 0.15]
    names = ("text", "padded", "number", "real", "pair")
    found = {name: claims.attribute(PATH, file, name) for name in names}
    assert found == {"text": "größe", "padded": "abc", "number": 7, "real": 0.5, "pair": [-0.25, 0.15]}
    assert type(found["number"]) is int


def _reference(file: h5py.File) -> None:
    file.attrs["bad"] = file.ref


ATTRIBUTES: dict[str, Callable[[h5py.File], object]] = {
    "missing": lambda file: None,
    "empty": lambda file: file.attrs.__setitem__("bad", h5py.Empty("f4")),
    "empty text": lambda file: file.attrs.__setitem__("bad", h5py.Empty("S3")),
    "table of numbers": lambda file: file.attrs.__setitem__("bad", np.zeros((2, 2))),
    "list of texts": lambda file: file.attrs.__setitem__("bad", ["a", "b"]),
    "reference": _reference,
    "enumeration": lambda file: file.attrs.__setitem__("bad", True),
    "complex": lambda file: file.attrs.__setitem__("bad", 1j),
    "opaque": lambda file: file.attrs.__setitem__("bad", np.void(b"abc")),
    "compound": lambda file: file.attrs.__setitem__("bad", np.zeros(1, [("a", "i4")])),
    "not utf-8": lambda file: file.attrs.__setitem__("bad", np.array(b"caf\xe9", "S4")),
    "variable length": lambda file: file.attrs.__setitem__("bad", "text"),
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_attributes_that_are_not(file, kind):
    ATTRIBUTES[kind](file)
    with pytest.raises(DamagedFile, match=r"file\.h5"), claims.doubted(PATH):
        claims.attribute(PATH, file, "bad")


@pytest.mark.parametrize("content", ["{", "[]", "3", "null", '"text"', "NaN", "[" * 5000, 7, [1.0, 2.0]])
def test_an_attribute_that_should_be_a_json_object(file, content):
    file.attrs["settings"] = content if not isinstance(content, str) else np.bytes_(content)
    with pytest.raises(DamagedFile, match=r"file\.h5: attribute settings should be"), claims.doubted(PATH):
        claims.json_attribute(PATH, file, "settings", dict)


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "data", shape=(4,))
    file.create_virtual_dataset("bad", layout)


def _huge_chunks(file: h5py.File) -> None:
    file.create_dataset("bad", (4,), "f4", chunks=(1 << 20,), maxshape=(None,))


def _short_chunk(file: h5py.File) -> None:
    """HDF5 1.14 would read it with a segmentation fault."""
    dataset = file.create_dataset("bad", (4,), "f4", chunks=(2,), fletcher32=True)
    dataset[:] = 1
    dataset.id.write_direct_chunk((2,), b"x")


def _unfiltered_chunk(file: h5py.File) -> None:
    dataset = file.create_dataset("bad", (2,), "f4", chunks=(2,), fletcher32=True)
    dataset.id.write_direct_chunk((0,), bytes(12), filter_mask=1)


def _overflowing(file: h5py.File) -> None:
    file.create_dataset("bad", (1 << 31, 1 << 31, 4), "f4", chunks=(1, 1, 4))


DATASETS: dict[str, tuple[str, Callable[[h5py.File], object]]] = {
    "missing": ("should have bad. Found: none", lambda file: None),
    "group": ("should have a dataset bad. Found: a group", lambda file: file.create_group("bad")),
    "type": ("should have a dataset bad. Found: a datatype", lambda file: file.__setitem__("bad", np.dtype("f4"))),
    "scalar": ("should have 1 dimensions. Found: shape ()", lambda file: file.__setitem__("bad", 3.0)),
    "null": ("1 dimensions. Found: shape None", lambda file: file.create_dataset("bad", data=h5py.Empty("f4"))),
    "table": ("should have 1 dimensions. Found: shape (2, 2)", lambda file: file.create_dataset("bad", (2, 2), "f4")),
    "doubles": ("should be of type f4. Found: float64", lambda file: file.create_dataset("bad", (2,), "f8")),
    "text": ("should be of type f4. Found: |S4", lambda file: file.create_dataset("bad", (2,), "S4")),
    "objects": (
        "should be of type f4. Found: object",
        lambda file: file.create_dataset("bad", (2,), h5py.string_dtype()),
    ),
    "references": ("Found: object", lambda file: file.create_dataset("bad", (2,), h5py.ref_dtype)),
    "lists": ("Found: object", lambda file: file.create_dataset("bad", (2,), h5py.vlen_dtype(np.int8))),
    "compound": ("Found: [('a'", lambda file: file.create_dataset("bad", (2,), [("a", "f4")])),
    "trillion": (
        "claims 4,000,000,000,000 bytes in",
        lambda file: file.create_dataset("bad", (10**12,), "f4", chunks=(9,)),
    ),
    "contiguous": ("claims 4,000,000,000,000 bytes in", lambda file: file.create_dataset("bad", (10**12,), "f4")),
    "overflow": ("should have 1 dimensions", _overflowing),
    "virtual": ("Found: a reference to other files", _virtual),
    "external": (
        "Found: a reference to other",
        lambda file: file.create_dataset("bad", (2,), "f4", external="/etc/passwd"),
    ),
    "gzip": ("Found: compression", lambda file: file.create_dataset("bad", (2,), "f4", compression="gzip")),
    "lzf": ("Found: compression", lambda file: file.create_dataset("bad", (2,), "f4", compression="lzf")),
    "scale": ("Found: compression", lambda file: file.create_dataset("bad", (2,), "f4", scaleoffset=2)),
    "chunks": ("should have every chunk once and whole", _huge_chunks),
    "no chunk": ("should have every chunk once", lambda file: file.create_dataset("bad", (2,), "f4", chunks=(2,))),
    "no place": ("should have every chunk once", lambda file: file.create_dataset("bad", (2,), "f4")),
    "short chunk": ("should have every chunk once", _short_chunk),
    "unfiltered": ("should have every chunk once", _unfiltered_chunk),
    "soft link": ("should have bad. Found: none", lambda file: file.__setitem__("bad", h5py.SoftLink("/good"))),
    "dangling": ("should have bad. Found: none", lambda file: file.__setitem__("bad", h5py.SoftLink("/nothing"))),
    "outside": ("Found: none", lambda file: file.__setitem__("bad", h5py.ExternalLink("other.h5", "/good"))),
}


@pytest.mark.parametrize("kind", DATASETS)
def test_datasets_that_are_refused(file, kind):
    message, make = DATASETS[kind]
    file["good"] = np.zeros(4, "f4")
    with h5py.File("other.h5", "w") as other:
        other["good"] = np.zeros(4, "f4")
    make(file)
    file.flush()
    with pytest.raises(DamagedFile) as raised, claims.doubted(PATH):
        claims.dataset(PATH, file, "bad", "f4", 1)
    assert message in str(raised.value)


def test_a_product_of_sizes_that_overflows_64_bits(file):
    _overflowing(file)
    file.flush()
    with pytest.raises(DamagedFile, match=r"claims 73,786,976,294,838,206,464 bytes in a file of"):
        claims.dataset(PATH, file, "bad", "f4")


@pytest.mark.parametrize("link", [h5py.SoftLink("/real"), h5py.ExternalLink("other.h5", "/real")])
def test_a_link_on_the_way_is_not_followed(file, link):
    for target in (file, h5py.File("other.h5", "w")):
        target.create_group("real")["path"] = np.zeros(3, "f4")
    file["images"] = link
    with pytest.raises(DamagedFile, match=r"should have images/path\. Found: none\."):
        claims.dataset(PATH, file, "images/path", "f4", 1)
    with pytest.raises(DamagedFile, match=r"should have images\. Found: none\."):
        claims.group(PATH, file, "images")


def test_what_is_believed(file):
    file.create_dataset("good", data=np.arange(6, dtype=">f4").reshape(3, 2), chunks=(2, 2), fletcher32=True)
    file.flush()
    found = claims.dataset(PATH, file, "good", "f4 f2")
    np.testing.assert_array_equal(claims.values(PATH, found, slice(1, 3)), [[2, 3], [4, 5]])


def test_a_wrong_checksum_is_named(file):
    dataset = file.create_dataset("a/good", data=np.zeros(4, "f4"), chunks=(4,), fletcher32=True)
    dataset.id.write_direct_chunk((0,), bytes(16) + b"nono")
    with pytest.raises(DamagedFile, match=r"file.h5: a/good cannot be read \(a wrong checksum\)."):
        claims.values(PATH, file["a/good"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(""), "OSError"),
        (OSError("Unable to open file (truncated file: eof = 96)"), "a truncated file"),
        (OSError("Can't read data (filter returned failure during read)"), "a wrong checksum"),
        (
            OSError("Can't (file read failed: errno = 5, error message = 'Input/output error', buf = 0x1)"),
            "Input/output error",
        ),
        (ValueError("one\ntwo"), "one"),
    ],
)
def test_reasons_in_a_few_words(error, expected):
    assert claims.reason(error) == expected
