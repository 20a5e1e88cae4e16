"""docs/retrieval.md: what it says of well-known sets works on made-up ones with their names."""

from __future__ import annotations

import csv
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from activations import table, write
from pictures import write_image

PAGE = Path(__file__).parents[2] / "docs" / "retrieval.md"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The programs of the page, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def figures(fne, *arguments):
    done = fne("retrieve", *arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)["results"]


def test_a_pickle_of_revisited_oxford_becomes_a_ground_truth_and_a_manifest(fne, programs):
    (program,) = [one for one in programs if "gnd_roxford5k" in one]
    images = [f"all_souls_00000{number}" for number in range(6)]
    for number, name in enumerate([*images, "query"]):
        write_image(Path("jpg", f"{name}.jpg"), number, (32, 24))
    gnd = [{"bbx": np.array([1.5, 2, 30, 20]), "easy": np.array([0, 3]), "hard": [], "junk": [1]}]
    Path("gnd_roxford5k.pkl").write_bytes(pickle.dumps({"gnd": gnd, "imlist": images, "qimlist": ["query"]}))
    exec(program, {})  # our own page
    assert fne("extract", "oxford.csv", "oxford.h5", "--root", "jpg", "--model", "mini").code == 0
    options = ("--queries", "test", "--among", "train", "--truth", "gnd_roxford5k.json")
    told = fne("retrieve", "oxford.h5", *options)
    assert "no query has relevant images in set-up hard, which is left out" in told.err
    gnd[0]["hard"] = np.array([5])
    Path("gnd_roxford5k.pkl").write_bytes(pickle.dumps({"gnd": gnd, "imlist": images, "qimlist": ["query"]}))
    exec(program, {})
    found = figures(fne, "oxford.h5", *options)
    assert [(entry["setup"], entry["database"], entry["queries"]) for entry in found] == [
        ("easy", 6, 1), ("medium", 6, 1), ("hard", 6, 1),
    ]  # fmt: skip


def test_holidays_and_ukbench_by_their_names(fne, programs):
    (program,) = [one for one in programs if "ukbench" in one]
    for seed, number in enumerate((100000, 100001, 100100, 100101, 100102)):
        write_image(Path("holidays", f"{number}.jpg"), seed)
    for number in range(8):
        write_image(Path("ukbench", f"ukbench{number:05}.jpg"), number // 4)  # four times the same
    exec(program, {})
    for name in ("holidays", "ukbench"):
        assert fne("extract", f"{name}.csv", f"{name}.h5", "--root", name, "--model", "mini").code == 0
    (holidays,) = figures(fne, "holidays.h5", "--queries", "test")
    assert (holidays["queries"], holidays["database"], holidays["queries_without_relevant"]) == (2, 5, 0)
    (ukbench,) = figures(fne, "ukbench.h5")
    assert ukbench["ns_score"] == 4


@pytest.mark.parametrize("engine", ["faiss", "usearch"])
def test_other_engines_find_what_fne_search_finds(fne, programs, engine, capfd):
    (program,) = [one for one in programs if f'"codes.{engine}' in one]
    random = np.random.default_rng(0)
    codes = random.integers(-1, 2, (30, 21)).astype(np.int8)
    write(Path("codes.h5"), {"one": codes[:, :8], "two": codes[:, 8:]}, table(30), kind="codes")
    assert fne("export", "codes.h5", f"codes.{engine}").code == 0
    assert fne("search", "codes.h5", "found.csv").code == 0
    capfd.readouterr()
    exec(program, {})
    theirs = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    with open("found.csv", newline="", encoding="utf-8") as file:
        ours = [(row["query"], row["distance"]) for row in csv.DictReader(file)]
    assert len(ours) == 300
    assert [(query, float(distance)) for query, _, distance in theirs] == [(one, float(two)) for one, two in ours]
