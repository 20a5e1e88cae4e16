"""docs/format.md against real files: what the page says is in the file, and what is in the file is on the page."""

from __future__ import annotations

import json
import math
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from edited_files import edited
from pictures import write_image
from places import DOCS
from real_files import SOFTWARE, add, images, layers, rows_of, settings, write_activations, write_all

from fne_cli import __version__
from fne_cli.errors import BadInput
from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.bad import Status
from fne_cli.networks.recipe import Recipe
from fne_cli.steps.analyze import analyze
from fne_cli.steps.discretize import discretize
from fne_cli.steps.extract import RunOptions, batches
from fne_cli.steps.extract.request import ExtractionRequest
from fne_cli.steps.normalize import normalize
from fne_cli.steps.reduce import ReductionOptions, reduce
from fne_cli.steps.vocabulary import VocabularyOptions, vocabulary
from fne_cli.store.format import schema
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import new_run
from fne_cli.store.output.resume import Growing
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.parts import Parts

PAGE = (DOCS / "format.md").read_text(encoding="utf-8")
KINDS = (
    *("activations", "moments", "standardized", "plain codes", "packed codes", "behavior", "projection"),
    *("fisher vocabulary", "bow vocabulary"),
)
GROUPS = {"moments": {"layers"}, "behavior": {"layers", "null", "thresholds"}, "projection": {"layers"}}
GROUPS |= {kind: {"layers", "vocabulary"} for kind in KINDS if kind.endswith("vocabulary")}


def table(header: str) -> list[dict[str, str]]:
    """The rows of the page's only table whose first column has this header."""
    blocks = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.M)]
    cells = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block] for block in blocks]
    [found] = [rows for rows in cells if rows[0][0] == header]
    return [dict(zip(found[0], row, strict=True)) for row in found[2:]]


def of_kind(rows: list[dict[str, str]], kind: str) -> list[dict[str, str]]:
    names = {"all", kind, kind.rpartition(" ")[2]}
    return [row for row in rows if names & set(row["kinds"].split(", "))]


CASES = {
    "plain": {"count": 12},
    "five crops, some bad": {"count": 12, "crops": 5, "bad": (2, 11)},
    "one image": {"count": 1, "table": images(1, split=False)},
    "several labels": {"count": 9, "table": images(9, several=True)},
    "no classes": {"count": 9, "table": images(9, classes=0)},
    "no classes, several labels": {"count": 9, "table": images(9, classes=0, several=True)},
    "float16, maps": {"count": 300, "dtype": "f2", "shapes": [(7, 7, 64), (4, 3), (5,)]},
    "a shard": {"count": 6, "shard": {"number": 1, "of": 2, "images": 12, "listing": "ab"}},
}


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, options = tmp_path_factory.mktemp("made"), dict(CASES[request.param])
    return write_kinds(folder, options.pop("count"), **options)


def write_kinds(folder: Path, count: int, **options: Any) -> dict[str, Path]:
    activations, moments, codes = write_all(folder, count, **options)
    scores, packed = folder / "standardized.h5", folder / "packed.h5"
    normalize(activations, moments, standardized=scores)
    discretize(activations, moments, packed, packed=True)
    behavior = folder / "behavior.h5"
    try:
        analyze(activations, behavior, random_classes=3)
    except BadInput:  # one image, or no classes: nothing to compare, so the file is that of other images
        other = folder / "other"
        other.mkdir()
        write_all(other, 12)
        analyze(other / activations.name, behavior, random_classes=3)
    projection, how = folder / "projection.h5", ReductionOptions(2, "z,equal", whiten=True)
    try:
        reduce(activations, projection, how)
    except BadInput:  # one image has no components
        reduce(folder / "other" / activations.name, projection, how)
    known = [write_vocabulary(folder / f"{model}.h5", model) for model in ("fisher", "bow")]
    return dict(zip(KINDS, (activations, moments, scores, codes, packed, behavior, projection, *known), strict=True))


def write_vocabulary(path: Path, model: Any) -> Path:
    pictures = path.parent / "pictures"
    write_image(pictures / "a.png", 0)
    chosen = VocabularyOptions(model, words=3, components=4 if model == "fisher" else None, samples=40)
    vocabulary(str(pictures), path, replace(chosen, image_size=(48, 48)))
    return path


def contents(file: h5py.File) -> tuple[set[str], dict[str, h5py.Dataset]]:
    """Groups and datasets of a file by path, layers as <name>."""
    names: dict[str, h5py.HLObject] = {}
    file.visititems(names.__setitem__)
    groups = {name for name, item in names.items() if isinstance(item, h5py.Group)}
    return groups, {name: item for name, item in names.items() if isinstance(item, h5py.Dataset)}


def general(name: str) -> str:
    return "/" + re.sub(r"^layers/[^/]+", "layers/<name>", name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_dataset_is_on_the_page_and_the_reverse(made, kind):
    page = {row["path"]: row for row in of_kind(table("path"), kind)}
    with h5py.File(made[kind]) as file:
        groups, datasets = contents(file)
        assert {general(name) for name in datasets} == set(page)
        assert {name for name in groups if name.count("/") == 0} == GROUPS.get(kind, {"layers", "images"})
        for name, dataset in datasets.items():
            check_dataset(file, dataset, page[general(name)])


def check_dataset(file: h5py.File, dataset: h5py.Dataset, row: dict[str, str]) -> None:
    head = json.loads(file.attrs["settings"])
    known = {"c": head.get("crops"), "n": len(file["images/status"]) if "images" in file else None}
    known["k"] = len(file["classes"]) if "classes" in file else None
    shapes = row["shape"].split(" or ")
    matching = [number for number, shape in enumerate(shapes) if fits(dataset.shape, shape, known)]
    assert matching, (dataset.name, dataset.shape)
    if row["dtype"].startswith("text"):
        size = re.search(r"\d+", row["dtype"])
        kind = dataset.id.get_type()
        assert (dataset.dtype.kind, kind.get_cset()) == ("S", h5py.h5t.CSET_UTF8)
        assert kind.get_strpad() == h5py.h5t.STR_NULLPAD
        assert size is None or dataset.dtype.itemsize == int(size[0])
        if size is None:  # no longer than the longest
            assert dataset.dtype.itemsize == max([1, *map(len, dataset[:].tolist())])
    else:
        types = row["dtype"].split(" or ")  # one for each shape, or any of them
        assert str(dataset.dtype) in (types if len(types) != len(shapes) else [types[matching[0]]])


def fits(shape: tuple[int, ...], text: str, known: dict[str, int | None]) -> bool:
    """Whether (60, 3) is (n * c, features...), for what the letters are known to be."""
    parts = [part.strip() for part in text.strip("()").split(",") if part.strip()]
    more = parts[-1].endswith("...")
    if len(shape) < len(parts) or (len(shape) > len(parts) and not more):
        return False
    values = {"n": known["n"], "k": known["k"], "n * c": (known["n"] or 0) * (known["c"] or 0), "2": 2}
    return all(values.get(part, length) == length for part, length in zip(parts, shape, strict=False))


def check_attributes(item: h5py.HLObject, rows: list[dict[str, str]]) -> None:
    assert set(item.attrs) == {row["attribute"] for row in rows}
    for row in rows:
        claimed, kind = item.attrs.get_id(row["attribute"]), row["type"]
        if kind.startswith("text") or kind.endswith("bytes"):
            assert (claimed.shape, claimed.dtype.kind) == ((), "S")
            assert not kind.endswith("bytes") or claimed.dtype.itemsize == int(kind.split()[0])
        else:
            number, dtype = kind.split() if " " in kind else ("", kind)
            assert claimed.shape == ((int(number),) if number else ())
            assert str(claimed.dtype) == dtype
        if kind == "text, JSON":
            text = item.attrs[row["attribute"]].decode()
            assert schema.canonical_json(json.loads(text)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_attribute_is_on_the_page_and_the_reverse(made, kind):
    with h5py.File(made[kind]) as file:
        check_attributes(file, of_kind(attributes("The root's attributes"), kind))
        _, datasets = contents(file)
        for item in file["layers"].values():
            check_attributes(item, of_kind(attributes("Attributes of a layer"), kind))
        for name, dataset in datasets.items():
            if not name.startswith("layers/") or kind in schema.WITHOUT_ROWS:
                assert not dataset.attrs
        if kind == "behavior":
            check_attributes(file["thresholds"], attributes("Attributes of /thresholds"))
        orders = [int(item.attrs["order"]) for item in file["layers"].values()]
        assert sorted(orders) == list(range(len(orders)))


def attributes(section: str) -> list[dict[str, str]]:
    """Two tables have the same header: the one of a section."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_on_the_page_and_the_reverse(made, kind):
    """The settings of activations are those that networks/recipe.py and steps/extract make."""
    page = {row["key"] for row in of_kind(table("key"), kind)}
    with h5py.File(made[kind]) as file:
        found = json.loads(file.attrs["settings"])
        with h5py.File(made["activations"]) as source:
            assert (
                kind == "activations"
                or kind.endswith("vocabulary")
                or found["activations"] == json.loads(source.attrs["settings"])
            )
    assert page - {"shard", "pool", "descriptors", "decode"} <= set(found) <= page
    if "shard" in found:
        row = next(row for row in table("key") if row["key"] == "shard")
        assert set(found["shard"]) == set(re.findall(r'"(\w+)"', row["content"]))


@pytest.mark.parametrize("kind", KINDS)
def test_storage_is_as_the_page_says(made, kind):
    with h5py.File(made[kind]) as file:
        _, datasets = contents(file)
        for name, dataset in datasets.items():
            assert h5py.h5g.get_objinfo(dataset.id).mtime == 0
            if name == "classes" or dataset.size == 0:
                assert dataset.chunks is None
                continue
            row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
            chunks = math.ceil(len(dataset) / max(1, 1_048_576 // row_bytes))
            rows = math.ceil(len(dataset) / chunks)
            assert dataset.chunks == (rows, *dataset.shape[1:])
            filters = dataset.id.get_create_plist()
            assert [filters.get_filter(n)[0] for n in range(filters.get_nfilters())] == [h5py.h5z.FILTER_FLETCHER32]
            last = (len(dataset) - 1) // rows * rows
            raw = dataset.id.read_direct_chunk((last, *(0 for _ in dataset.shape[1:])))[1]
            assert not any(raw[(len(dataset) - last) * row_bytes : -4])


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_s_own_code_recomputes_the_fingerprint(made, kind, tmp_path, monkeypatch):
    [code] = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "hashlib" in code]
    shutil.copy(made[kind], tmp_path / "photos.h5")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    with edited("photos.h5") as file:
        changed = json.loads(file.attrs["settings"]) | {"crops": 3, "rows": "other"}
        file.attrs["settings"] = np.bytes_(json.dumps(changed))
    with pytest.raises(AssertionError):
        exec(code, {})


def test_the_page_s_own_code_reads_a_file(tmp_path, monkeypatch):
    [code] = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "asstr" in code]
    write_activations(tmp_path / "photos.h5", 12, crops=5, bad=[3])
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    assert names["names"] == ["conv", "fc"]
    assert names["rows"].shape == (60, 5)
    assert names["paths"].tolist() == images(12).path
    assert np.flatnonzero(~names["good"]).tolist() == [3]


def test_the_status_codes():
    assert [(int(row["status"]), row["name"]) for row in table("status")] == [
        (code.value, code.name) for code in Status
    ]


def test_the_page_s_three_lines_read_packed_codes(tmp_path, monkeypatch):
    [code] = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "unpackbits" in code]
    made = write_kinds(tmp_path, 12, crops=5, bad=[3], shapes=[(8,), (21,)])
    for name in ("conv", "fc"):
        names: dict = {"h5py": h5py, "np": np}
        exec(code.replace("codes.h5", str(made["packed codes"])).replace("fc2", name), names)
        with h5py.File(made["plain codes"]) as plain:
            np.testing.assert_array_equal(names["codes"], plain["layers"][name][:])
        names["layer"].file.close()


def test_bad_rows(tmp_path):
    activations, _, scores, codes, packed, *_ = write_kinds(tmp_path, 9, crops=5, bad=[0, 4]).values()
    bad = np.repeat(np.isin(np.arange(9), [0, 4]), 5)
    with h5py.File(activations) as file, h5py.File(codes) as coded:
        for name in ("conv", "fc"):
            np.testing.assert_array_equal(np.isnan(file["layers"][name][:]).all(axis=1), bad)
            np.testing.assert_array_equal(np.isnan(file["layers"][name][:]).any(axis=1), bad)
            with h5py.File(scores) as standardized, h5py.File(packed) as planes:
                np.testing.assert_array_equal(np.isnan(standardized["layers"][name][:]).all(axis=1), bad)
                np.testing.assert_array_equal(np.isnan(standardized["layers"][name][:]).any(axis=1), bad)
                assert not planes["layers"][name][:][bad].any()
            assert not coded["layers"][name][:][bad].any()
            assert coded["layers"][name][:][~bad].any()


def test_the_version():
    row = table("version")[-1]
    assert int(row["version"]) == schema.VERSION
    assert row["read by"].split()[-1] == ".".join(__version__.split(".")[:2])


LISTING = Listing(ids=["a/1.png"], files=["a/1.png"], splits=[""], labels=[("a",)], classes=["a"])


def test_the_journal_and_the_record(tmp_path):
    """Of an extraction that is retried, and accepted by the step itself."""
    journal, record = ({row[header]: row for row in table(header)} for header in HEADERS)
    request = ExtractionRequest(LISTING, tmp_path / "a.h5", Recipe(model="mini"), RunOptions(max_bad="100%"))
    inputs = request.inputs
    everything, seen = images(4), set()
    with request.output as output:
        specs, values = layers((3,)), rows_of(layers((3,)), 4, [2])
        with Growing.start(output, specs, everything, settings(), inputs, SOFTWARE) as growing:
            seen |= set(output.read_journal())
            growing.begin_run(new_run(SOFTWARE, "CPU"))
            add(growing, everything, values, 0, 4, bad=[2])
            growing.mark_retry([2])
            seen |= set(output.read_journal())
            growing.finish(inputs)
        seen |= set(output.read_journal())
        assert names_in(tmp_path) == {"a.h5.partial", "a.h5.partial.json"}
        request.accept()
    assert seen == set(journal)
    assert names_in(tmp_path) == {"a.h5", "a.h5.run.json"}
    written = read_record(tmp_path / "a.h5")
    assert set(written) == {key for key, row in record.items() if "extract" in row["by"]}
    assert set(written["inputs"]) == set(re.findall(r"`(\w+)`", record["inputs"]["content"]))
    run = {row["key of a run"]: row["content"] for row in table("key of a run")}
    everyones = {key for key, content in run.items() if not content.endswith(("(extract)", "(evaluate)"))}
    assert set(written["runs"][0]) == everyones


HEADERS = ("key of the journal", "key of OUTPUT.run.json")


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_extract_adds_to_a_run():
    """These three need a network; the words are looked for in the step."""
    source = Path(batches.__file__).read_text(encoding="utf-8")
    more = {row["key of a run"] for row in table("key of a run") if "(extract)" in row["content"]}
    assert more == set(re.findall(r'"(batch_rows\w*|stopped_by_signal)"', source))


def test_the_files_beside_an_output():
    files = [
        "OUTPUT.partial",
        "OUTPUT.partial.json",
        "OUTPUT.known",
        "OUTPUT.shards",
        "OUTPUT.parts",
        "OUTPUT.run.json.next",
        "OUTPUT.run.json",
    ]
    assert [row["file"] for row in table("file")] == files
    assert Parts(Path("OUTPUT"), [], {}, Cluster(nullcontext)).folder.name == "OUTPUT.parts"


def test_moments_of_a_shard_fit_the_whole(tmp_path):
    """`shard` is the one setting that activations and the moments for them may differ in."""
    shard = {"number": 1, "of": 2, "images": 12, "listing": "ab"}
    part = write_activations(tmp_path / "part.h5", 6, shard=shard)
    whole = write_activations(tmp_path / "whole.h5", 12)
    normalize(part, tmp_path / "moments.h5")
    assert discretize(whole, tmp_path / "moments.h5", tmp_path / "codes.h5").rows == 12
