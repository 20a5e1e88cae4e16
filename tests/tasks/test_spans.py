"""Spans of rows as tasks: every row once, whatever the files; what a worker leaves is read again as it was."""

from __future__ import annotations

import numpy as np
import pytest
from activations import relu, shards, table, write
from hypothesis import given, settings
from hypothesis import strategies as st

from fne_cli.errors import DamagedFile
from fne_cli.numerics.statistics.moments import Sums
from fne_cli.progress import SILENT
from fne_cli.store.format.schema import Layer
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.stream import RowStream
from fne_cli.tasks import spans
from fne_cli.tasks.files import TaskFiles


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """One file, three shards, and two files that stand one after the other."""
    folder, values = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    images = table(100, bad=(7,))
    layers = {"conv": relu(values, 100, 3), "fc": relu(values, 100, 30000, dtype=np.float16)}
    second = table(20, paths=[f"other/{number}.png" for number in range(20)])
    one = write(folder / "a.h5", layers, images)
    more = write(folder / "b.h5", {name: rows[:20] for name, rows in layers.items()}, second)
    return [one], shards(folder, layers, images, 3), [one, more]


@settings(max_examples=15)
@given(which=st.integers(0, 2), size=st.sampled_from([1, 5000, 10**6, 10**9]))
def test_spans_have_every_row_once_and_add_up_to_the_whole(sources, which, size):
    with JoinedFiles(sources[which]) as files:
        whole = RowStream(files, 1000)
        for jobs in (whole.file_rows, whole.row_blocks):
            cut = whole.spans(jobs(), size)
            assert [first for first, *_ in cut] == [0, *(last for _, last, _ in cut[:-1])]
            assert sum(rows for *_, rows in cut) == files.rows * len(files.layers)
            assert (size < 10**9) == (len(cut) > 1)
        found = dict.fromkeys(files.layers, 0)
        for first, last, rows in whole.spans(whole.file_rows(), size):
            folded = list(RowStream(files, 1000).fold(files.good, Sums, Sums.add, (first, last)))
            assert sum(part.stop - part.start for _, part, _ in folded) == rows
            for layer, _, sums in folded:
                found[layer] += sums.count
        assert found == dict.fromkeys(files.layers, int(files.good.sum()))


class Given:
    """Parts whose one task has been done."""

    def __init__(self, result, place):
        self.result, self.place = result, place

    def results(self, *_):
        yield self.result, self.place


def left(tmp_path, batches, specs):
    place = TaskFiles(tmp_path, "x")
    result = spans.write_rows(place, iter(batches), SILENT)
    return [batch for _, rows in spans.read_rows(Given(result, place), "codes", [{}], [1], specs) for batch in rows]


@pytest.mark.parametrize("block", [10, 1 << 25])
def test_rows_are_read_as_they_were_left(tmp_path, monkeypatch, block):
    monkeypatch.setattr(spans, "_BLOCK_BYTES", block)
    values = np.random.default_rng(0).integers(-1, 2, (50, 7)).astype(np.int8)
    planes = values.view(np.uint8)[:, :6].reshape(50, 2, 3)[::-1]
    batches = [("a", values[:20]), ("a", values[20:]), ("b", planes)]
    specs = [Layer("a", (7,), np.dtype(np.int8)), Layer("b", (2, 3), np.dtype(np.uint8))]
    found = left(tmp_path, batches, specs)
    np.testing.assert_array_equal(np.concatenate([rows for name, rows in found if name == "a"]), values)
    np.testing.assert_array_equal(np.concatenate([rows for name, rows in found if name == "b"]), planes)
    assert max(rows.nbytes for _, rows in found) <= max(block, 7)


def test_rows_that_are_missing_are_missed(tmp_path, monkeypatch):
    spec = Layer("a", (7,), np.dtype(np.int8))
    place = TaskFiles(tmp_path, "x")
    result = spans.write_rows(place, [("a", np.zeros((50, 7), np.int8))], SILENT)
    content = place.path("rows-0").read_bytes()
    place.path("rows-0").write_bytes(content[:-1])
    with pytest.raises(DamagedFile, match=r"x\.rows-0 should have 50 rows\. Found: fewer\.\nRemove"):
        list(next(spans.read_rows(Given(result, place), "codes", [{}], [1], [spec]))[1])
