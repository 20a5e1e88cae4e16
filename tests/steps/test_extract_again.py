"""fne extract, again: of a list that has changed only what is new is computed, and the file is a fresh run's."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from commands import Result
from edited_files import edited
from pictures import write_image

from fne_cli.store.format import chunks
from fne_cli.store.output.partial import Output


@dataclass(frozen=True)
class Row:
    """An image of a manifest."""

    path: str
    label: str = ""
    split: str = ""
    box: tuple[float, float, float, float] | tuple[()] = ()


def rows_of(folder: Path, count: int) -> list[Row]:
    """So many new images below `folder`, of three classes and two splits."""
    for number in range(count):
        write_image(folder / "pictures" / f"{number:04d}.png", number)
    return [
        Row(f"pictures/{number:04d}.png", "abc"[number % 4 % 3], "train" if number % 3 else "test")
        for number in range(count)
    ]


class Job:
    """`fne extract MANIFEST a.h5`, with the same options each time, of whatever the manifest says by then."""

    def __init__(self, extract: Callable[..., Result], folder: Path, *options: object) -> None:
        self.extract, self.folder, self.options = extract, folder, options
        self.output, self.manifest = folder / "a.h5", folder / "list.csv"

    def write(self, rows: Sequence[Row]) -> None:
        with open(self.manifest, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "split", "x0", "y0", "x1", "y1"])
            table.writerows([row.path, row.label, row.split, *(row.box or [""] * 4)] for row in rows)

    def __call__(self, rows: Sequence[Row] | None = None, *more: object) -> Result:
        if rows is not None:
            self.write(rows)
        return self.extract(self.manifest, self.output, *self.options, *more)

    @property
    def runs(self) -> list[dict[str, Any]]:
        return json.loads((self.folder / "a.h5.run.json").read_text())["runs"]

    @property
    def computed(self) -> int:
        """How many images the last run has computed."""
        return self.runs[-1]["images"]

    def fresh(self, *more: object) -> bytes:
        """The file of a run that knows nothing."""
        path = self.folder / "fresh.h5"
        path.unlink(missing_ok=True)
        done = self.extract(self.manifest, path, *self.options, *more, "--overwrite")
        assert done.code == 0, done.err
        return path.read_bytes()

    def left(self) -> list[str]:
        """What stands beside the output."""
        return sorted(path.name for path in self.folder.glob("a.h5*"))

    def check(self, done: Result, computed: int, *more: object) -> None:
        """The run has computed so many images, the file is a fresh run's, and nothing is left behind."""
        assert done.code == 0, done.err
        assert self.computed == computed
        assert self.output.read_bytes() == self.fresh(*more)
        assert self.left() == ["a.h5", "a.h5.run.json"]
        assert "up to date" in self().err


@pytest.fixture
def small(tmp_path: Path) -> list[Row]:
    return rows_of(tmp_path, 26)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of few rows, of another number in each layer."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 512)


@pytest.fixture
def job(extract: Callable[..., Result], tmp_path: Path) -> Job:
    return Job(extract, tmp_path)


def other_labels(rows: list[Row]) -> list[Row]:
    return [replace(row, label="c") if number < 3 else row for number, row in enumerate(rows)]


def other_splits(rows: list[Row]) -> list[Row]:
    return [replace(row, split="val") if number == 5 else row for number, row in enumerate(rows)]


def other_class(rows: list[Row]) -> list[Row]:
    return [replace(row, label="dog") if row.label == "a" else row for row in rows]


def no_labels(rows: list[Row]) -> list[Row]:
    return [replace(row, label="", split="") for row in rows]


def other_order(rows: list[Row]) -> list[Row]:
    return random.Random(3).sample(rows, len(rows))


def fewer(rows: list[Row]) -> list[Row]:
    return [row for number, row in enumerate(rows) if number % 5]


SAID = {
    other_labels: ["labels changed: pictures/0000.png: a -> c, pictures/0001.png: b -> c"],
    other_splits: ["1 split changed: pictures/0005.png: train -> val"],
    other_class: ["1 class renamed: a -> dog"],
    no_labels: ["3 classes removed: a, b, c", "26 labels changed", "26 splits changed"],
    other_order: ["images stand in another order"],
    fewer: ["6 images removed: pictures/0000.png, pictures/0005.png, pictures/0010.png ..."],
}


@pytest.mark.parametrize(
    "change",
    [pytest.param(change, marks=[] if change in (other_class, other_order) else [pytest.mark.slow]) for change in SAID],
)
def test_what_is_no_pixel_computes_no_image(job, small, change):
    assert job(small).code == 0
    done = job(change(small))
    assert "a.h5 is made again, as its images have changed:\n  " in done.err
    for line in SAID[change]:
        assert line in done.err
    job.check(done, 0)


def test_images_that_are_renamed(job, small, tmp_path):
    job(small)
    (tmp_path / "pictures" / "0004.png").rename(tmp_path / "pictures" / "zebra.png")
    done = job([replace(row, path=row.path.replace("0004", "zebra")) for row in small])
    assert "1 image renamed: pictures/0004.png -> pictures/zebra.png" in done.err
    job.check(done, 0)


@pytest.mark.parametrize(
    "batch", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(26, marks=pytest.mark.slow)]
)
def test_only_new_images_are_computed_wherever_they_stand(job, small, tmp_path, small_chunks, batch):
    """In front, in the middle, beside each other, at the end; layers of other row sizes have other chunks."""
    job.options = ("--batch-size", batch)
    job(small)
    for number in range(7):
        write_image(tmp_path / "new" / f"{number}.png", 1000 + number)
    new = [Row(f"new/{number}.png", "b") for number in range(7)]
    done = job([new[0], *small[3:9], new[1], new[2], *small[9:20], new[3], *small[20:], *small[:2], *new[4:]])
    assert "7 images added: new/0.png, new/1.png, new/2.png ..." in done.err
    assert "1 image removed: pictures/0002.png" in done.err
    job.check(done, 7)


def test_an_image_replaced_in_place(job, small, tmp_path):
    job(small)
    write_image(tmp_path / "pictures" / "0009.png", 999)
    done = job()
    assert "1 image with other content: pictures/0009.png" in done.err
    job.check(done, 1)


@pytest.mark.slow
def test_a_copy_of_an_image_is_known(job, small, tmp_path):
    job(small)
    shutil.copy(tmp_path / "pictures" / "0011.png", tmp_path / "copy.png")
    job.check(job([Row("copy.png", "c"), *small]), 0)
    job.check(job([*small[1:], Row("copy.png", "c")]), 0)


@pytest.mark.slow
def test_two_images_swap_their_names(job, small, tmp_path):
    """The list is the same to the letter, and so are, maybe, sizes and times: the contents are not."""
    job(small)
    one, two, between = (tmp_path / "pictures" / name for name in ("0001.png", "0002.png", "x"))
    for path, to in ((one, between), (two, one), (between, two)):
        path.rename(to)
    job.check(job(), 0)


def test_the_same_picture_and_another_box_is_another_row(job, tmp_path):
    """The box 1,1,10,10.5 and the box 1,1,10,10 are two; without one it is the whole."""
    write_image(tmp_path / "p.png", 1, (40, 30))
    first = [Row("p.png", "a", box=(0, 0, 20, 30)), Row("p.png", "b", box=(1, 1, 10, 10)), Row("p.png", "c")]
    assert job(first).code == 0
    done = job([first[1], Row("p.png", "a", box=(1, 1, 10, 20.5)), first[2], Row("p.png", box=(0.00001, 0, 9, 9))])
    job.check(done, 2)
    with h5py.File(job.output) as file:
        assert len(np.unique(file["layers/dense"][:], axis=0)) == 4


@pytest.mark.slow
def test_boxes_that_all_moved_are_all_computed_and_not_unasked(job, tmp_path):
    """No row of the old output is kept: that may be another list."""
    for number in range(6):
        write_image(tmp_path / f"{number}.png", number, (40, 30))
    job([Row(f"{number}.png", box=(0, 0, 20, 20)) for number in range(6)])
    before = job.output.read_bytes()
    moved = job([Row(f"{number}.png", box=(1, 1, 20, 20)) for number in range(6)])
    assert (moved.code, job.output.read_bytes() == before) == (4, True)
    assert "is of other images: 0 of its 6 are among the 6 of now" in moved.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--crops", "5"),
        ("--dtype", "float16"),
        ("--pool", "none"),
        ("--layers", "dense", "--resize", "crop"),
        ("--pool", "conv1=none,conv2=max:2", "--crops", "10", "--dtype", "float16"),
    ],
    ids=" ".join,
)
def test_with_other_rows(job, small, tmp_path, small_chunks, options):
    job.options = options
    job(small)
    write_image(tmp_path / "new.png", 77)
    job.check(job([*other_order(small)[:-4], Row("new.png", "zoo")]), 1)


@pytest.mark.slow
def test_members_of_an_archive(extract, photos, tmp_path):
    archive, output = tmp_path / "photos.tar", tmp_path / "a.h5"

    def pack() -> None:
        subprocess.run(["tar", "-cf", archive, "-C", photos, "."], check=True)

    pack()
    extract(archive, output)
    write_image(photos / "train" / "b" / "new.png", 77)
    (photos / "test" / "a" / "00.png").rename(photos / "test" / "c" / "00.png")
    pack()
    done = extract(archive, output)
    assert (done.code, json.loads((tmp_path / "a.h5.run.json").read_text())["runs"][-1]["images"]) == (0, 1)
    extract(archive, tmp_path / "fresh.h5")
    assert output.read_bytes() == (tmp_path / "fresh.h5").read_bytes()
    # The same images, out of the archive.
    assert extract(photos, output).code == 0
    assert output.read_bytes() == (tmp_path / "fresh.h5").read_bytes()


# Bad images


@pytest.mark.slow
def test_a_bad_image_is_read_again_and_nothing_else(job, small, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    job(small)
    done = job([*small[:9], Row("bad.png"), *small[9:]])
    assert done.code == 3
    assert "bad.png: not an image" in done.err
    assert job.left() == ["a.h5", "a.h5.partial", "a.h5.partial.json", "a.h5.run.json"]
    job.options = ("--max-bad", "1")
    job.check(job(), 0)  # it is accepted as it waits
    write_image(tmp_path / "bad.png", 55)
    job.options = ()
    job.check(job(), 1)
    (tmp_path / "bad.png").write_bytes(b"bad again")
    assert job().code == 3
    job.options = ("--max-bad", "1")
    job.check(job(), 0)
    job.check(job(other_class([Row("bad.png"), *small])), 1)  # to have its message, which is not kept for others


@pytest.mark.slow
def test_a_file_that_cannot_be_read(job, small, tmp_path):
    """It has no SHA-256: two such images are not the same."""
    job.options = ("--max-bad", "2")
    rows = [*small, Row("empty.png"), Row("gone.png")]
    (tmp_path / "empty.png").touch()
    job(rows)
    job.check(job([rows[-1], *small, rows[-2]]), 2)
    write_image(tmp_path / "gone.png", 56)
    job.check(job(), 2)


@pytest.mark.slow
def test_retrying_bad_images_of_a_list_that_has_changed(job, small, tmp_path):
    job.options = ("--max-bad", "2")
    (tmp_path / "one.png").write_bytes(b"no")
    (tmp_path / "two.png").write_bytes(b"no no")
    job([*small, Row("one.png"), Row("two.png")])
    write_image(tmp_path / "one.png", 55)
    write_image(tmp_path / "three.png", 57)
    done = job([Row("three.png"), *small[1:], Row("one.png"), Row("two.png")], "--retry-bad")
    assert done.code == 0, done.err
    assert job.output.read_bytes() == job.fresh()
    assert job.left() == ["a.h5", "a.h5.run.json"]
    (run,) = job.runs[-1:]
    assert sum(run["reused"].values()) == 25


@pytest.mark.slow
def test_retrying_goes_on_where_bad_images_wait(job, small, tmp_path):
    """a.h5 is of the old list; the new one waits for --max-bad, and is mended."""
    job(small)
    (tmp_path / "bad.png").write_bytes(b"no")
    job([*small[1:], Row("bad.png")])
    write_image(tmp_path / "bad.png", 5)
    job.check(job(None, "--retry-bad"), 1)


@pytest.mark.slow
def test_recheck_finds_a_content_of_the_same_size_and_time(job, small, tmp_path):
    """And computes that image alone."""
    image = tmp_path / "pictures" / "0007.png"
    write_image(image, 7)
    job(small)
    status, content = image.stat(), write_image(tmp_path / "other.png", 1008).read_bytes()
    image.write_bytes(content.ljust(status.st_size, b"\0")[: status.st_size])
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    if image.stat().st_size == status.st_size:
        assert "up to date" in job().err
    job.options = ("--max-bad", "1")
    job.check(job(None, "--recheck"), 1)
    assert "up to date" in job(None, "--recheck").err


# What is refused, and what --dry-run says of it


def dry(job: Job, *more: object) -> Result:
    """--dry-run writes nothing and leaves nothing."""
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in job.folder.glob("a.h5*")}
    done = job(None, "--dry-run", *more)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in job.folder.glob("a.h5*")} == before
    return done


def test_a_dry_run_ends_as_the_run_would(job, small, tmp_path):
    job(small)
    assert dry(job).code == 0
    job.write(fewer(small))
    assert dry(job).code == 0
    other = dry(job, "--crops", "5")
    assert other.code == job(None, "--crops", "5").code == 4
    assert "crops: 1 in the existing output, 5 asked for" in other.err
    job.write(small[:12])
    assert dry(job).code == job().code == 4
    assert dry(job, "--overwrite").code == 0
    job.write(fewer(small))
    assert dry(job).code == job().code == 0


def test_a_dry_run_looks_at_unfinished_work(job, small):
    job.write(small)
    interrupt(job, 9)
    assert dry(job).code == 0
    assert dry(job, "--crops", "5").code == job(None, "--crops", "5").code == 4
    job.write(other_labels(small))
    assert dry(job).code == 0
    job.check(job(), 17)


@pytest.mark.slow
def test_a_dry_run_looks_at_what_is_to_be_reused(job, small, extract, tmp_path):
    job.write(small)
    extract(job.manifest, tmp_path / "old.h5", "--crops", "5")
    wrong = dry(job, "--reuse", tmp_path / "old.h5")
    assert wrong.code == job(None, "--reuse", tmp_path / "old.h5").code == 1
    assert "crops: 5 there, 1 here" in wrong.err


@pytest.mark.slow
def test_less_than_half_of_the_images_is_maybe_another_list(job, small, tmp_path):
    job(small)
    before = job.output.read_bytes()
    for number in range(20):
        write_image(tmp_path / "new" / f"{number}.png", 500 + number)
    new = [Row(f"new/{number}.png") for number in range(20)]
    done = job([*small[:12], *new])
    assert done.code == 4
    assert "is of other images: 12 of its 26 are among the 32 of now." in done.err
    assert f"--overwrite to replace it, with --reuse {job.output} to keep what is known." in done.err
    assert (job.output.read_bytes(), job.left()) == (before, ["a.h5", "a.h5.run.json"])
    job.check(job(None, "--overwrite", "--reuse", job.output), 20)
    job(small, "--overwrite")
    job.check(job([*small[:13], *new]), 20)


@pytest.mark.slow
def test_overwriting_computes_all(job, small):
    job(small)
    job.check(job(other_labels(small), "--overwrite"), 26)
    job.check(job(None, "--overwrite", "--reuse", job.output), 0)


@pytest.fixture
def by_other_software(job, small) -> Iterator[Callable[[Path], None]]:
    """Makes a file one of an older Keras."""

    def change(path: Path) -> None:
        with edited(path) as file:
            name = next(name for name in file.attrs if "keras" in str(file.attrs[name]) and "software" in name)
            software = json.loads(
                file.attrs[name].decode() if isinstance(file.attrs[name], bytes) else file.attrs[name]
            )
            text = json.dumps(software | {"keras": "3.0.1"}, sort_keys=True, separators=(",", ":")).encode()
            file.attrs[name] = np.array(text, h5py.string_dtype("utf-8", len(text)))

    return change


def software(path: Path) -> dict[str, str]:
    from fne_cli.store.format.reader import open_file

    with open_file(path) as file:
        return dict(file.software)


def test_rows_of_other_software_are_not_mixed_unasked(job, small, by_other_software, tmp_path):
    job(small)
    by_other_software(job.output)
    assert software(job.output)["keras"] == "3.0.1"
    # Nothing is computed: the rows are that Keras's, and so says the file.
    assert job(other_labels(small)).code == 0
    assert (job.computed, software(job.output)["keras"]) == (0, "3.0.1")
    before = job.output.read_bytes()
    write_image(tmp_path / "new.png", 1004)
    job.write([*small, Row("new.png")])
    said = dry(job)
    refused = job()
    assert said.code == refused.code == 4
    assert 'keras: "3.0.1" there, ' in refused.err
    assert f"Give --reuse {job.output} to keep its rows beside new ones" in refused.err
    assert job.output.read_bytes() == before
    assert job(None, "--reuse", job.output).code == 0
    assert job.computed == 1
    assert job.output.read_bytes() == job.fresh()


@pytest.mark.slow
def test_another_box_is_computed_and_so_not_mixed_with_other_software(job, by_other_software, tmp_path):
    for number in range(4):
        write_image(tmp_path / f"{number}.png", number, (40, 30))
    rows = [Row(f"{number}.png", box=(0, 0, 20, 20)) for number in range(4)]
    job(rows)
    by_other_software(job.output)
    assert job([*rows[:3], replace(rows[3], box=(1, 1, 20, 20))]).code == 4


# --reuse


def test_rows_of_other_files(job, extract, small, tmp_path):
    """Of several, with images that both have; the names are others, and another file's labels do not count."""
    job.write(small[:15])
    extract(job.manifest, tmp_path / "one.h5")
    job.write([replace(row, label="x") for row in small[10:20]])
    extract(job.manifest, tmp_path / "two.h5")
    job.options = ("--reuse", tmp_path / "one.h5", "--reuse", tmp_path / "two.h5")
    done = job(other_order(small))
    assert done.code == 0, done.err
    assert job.runs[-1]["reused"] == {str(tmp_path / "one.h5"): 15, str(tmp_path / "two.h5"): 5}
    job.options = ()
    job.check(done, 6)


@pytest.mark.slow
def test_reuse_is_for_the_images_of_the_output_too(job, extract, small, tmp_path):
    job.write(small[20:])
    extract(job.manifest, tmp_path / "more.h5")
    job(small[:20])
    job.check(job(small, "--reuse", tmp_path / "more.h5"), 0)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--crops", "5"), ("--layers", "dense"), ("--dtype", "float16")], ids=" ".join)
def test_a_file_made_otherwise_is_not_reused(job, extract, small, tmp_path, options):
    job.write(small)
    extract(job.manifest, tmp_path / "old.h5", *options)
    done = job(None, "--reuse", tmp_path / "old.h5")
    assert done.code == 1
    assert f"{tmp_path / 'old.h5'} should be made as this extraction, for its rows to be used again." in done.err
    assert job.left() == []


def flip(path: Path, layer: str, image: int) -> None:
    """A bit of a row, as a disk may."""
    with h5py.File(path) as file:
        data = file[f"layers/{layer}"]
        where = data.id.get_chunk_info(image // data.chunks[0]).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 8] ^= 1
    path.write_bytes(content)


def test_a_damaged_file_is_not_reused(job, extract, small, tmp_path):
    job(small)
    before = job.output.read_bytes()
    job.write(small)
    shutil.copy(job.output, tmp_path / "old.h5")
    flip(tmp_path / "old.h5", "dense", 3)
    write_image(tmp_path / "new.png", 1004)
    done = job([*small, Row("new.png")], "--reuse", tmp_path / "old.h5")
    assert done.code == 1
    assert f"{tmp_path / 'old.h5'}: layer dense, rows 0-25 are damaged" in done.err
    assert "Its rows were to be used again. --overwrite without --reuse of it computes all images." in done.err
    assert job.output.read_bytes() == before
    job.check(job(), 1)


@pytest.mark.slow
def test_a_damaged_output_is_kept_until_it_is_overwritten(job, small, tmp_path):
    job(small)
    flip(job.output, "conv1", 3)
    before = job.output.read_bytes()
    done = job(other_labels(small))
    assert (done.code, "layer conv1, rows 0-25 are damaged" in done.err) == (1, True)
    assert job.output.read_bytes() == before
    job.check(job(None, "--overwrite"), 26)


# Interrupted


def interrupt(job: Job, after: int, *more: object) -> None:
    """Killed once so many images, not counting those of an earlier run, are safe and a few more are written."""
    from fne_cli.store.output.resume import Growing

    class Killed(BaseException):
        pass

    add, here = Growing.add, 0

    def killed(self: Growing, rows: dict[str, np.ndarray], status: np.ndarray, *rest: Any) -> None:
        nonlocal here
        room = max(0, after - here)
        if len(status) >= room:
            crops = len(next(iter(rows.values()))) // len(status)
            message, sha256 = rest
            add(self, {k: v[: room * crops] for k, v in rows.items()}, status[:room], message[:room], sha256[:room])
            self.commit()
            own = {k: v[room * crops : (room + 1) * crops] for k, v in rows.items()}
            add(self, own, status[room : room + 1], message[room : room + 1], sha256[room : room + 1])
            raise Killed
        here += len(status)
        add(self, rows, status, *rest)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(Growing, "add", killed)
        # The process is gone: nothing is cleaned up.
        with pytest.raises(Killed):
            job(None, *more)
    journal = Output(job.output).read_journal()
    assert journal["committed"] >= after


def test_unfinished_work_is_kept_if_the_list_changes(job, small, tmp_path, small_chunks):
    job.write(small)
    interrupt(job, 17)
    write_image(tmp_path / "new.png", 1004)
    done = job([Row("new.png"), *other_order(other_class(small))])
    assert (
        "the images have changed since a run was interrupted; what it has of the 17 that are safe is used" in done.err
    )
    job.check(done, 10)


@pytest.mark.slow
def test_the_list_changes_back_and_forth(job, small, tmp_path, small_chunks):
    """What the second run has copied and computed before it was interrupted too is not the first run's alone."""
    job.write(small)
    interrupt(job, 17)
    for number in range(4):
        write_image(tmp_path / f"{number}.png", 100 + number)
    more = [*(Row(f"{number}.png") for number in range(4)), *small]
    job.write(more)
    interrupt(job, 21)
    job.write(other_labels(more))
    interrupt(job, 23)
    job.write(more)
    job.check(job(), 26 + 4 - 23)


@pytest.mark.slow
def test_less_unfinished_work_does_not_replace_more(job, small, tmp_path):
    job.write(small)
    interrupt(job, 20)
    for number in range(6):
        write_image(tmp_path / f"{number}.png", 100 + number)
    more = [*(Row(f"{number}.png") for number in range(6)), *small]
    job.write(more)
    interrupt(job, 6)
    job.write(other_labels(more))
    done = job()
    assert job.computed <= 12, "the twenty of the first run are known"
    job.check(done, 12)


def test_an_interrupted_following_run_goes_on(job, small, tmp_path):
    job(small)
    for number in range(6):
        write_image(tmp_path / f"{number}.png", 100 + number)
    job.write([small[0], *(Row(f"{number}.png") for number in range(6)), *small[1:]])
    interrupt(job, 4)
    done = job()
    assert "going on after 4 of 32 images" in done.err
    job.check(done, 3)


@pytest.mark.slow
def test_an_interrupted_following_run_and_another_list(job, small, tmp_path):
    job(small)
    before = job.output.read_bytes()
    for number in range(6):
        write_image(tmp_path / f"{number}.png", 100 + number)
    more = [*(Row(f"{number}.png") for number in range(6)), *small]
    job.write(more)
    interrupt(job, 4)
    assert job.output.read_bytes() == before
    job.check(job(other_order(more)), 2)


@pytest.mark.slow
def test_interrupted_while_bad_images_were_read_again_and_then_another_list(job, small, tmp_path, small_chunks):
    """The rows of such images are not trusted, and those beside them are."""
    from fne_cli.store.output.resume import Growing

    class Killed(BaseException):
        pass

    bad = [3, 4, 11]
    good = {number: (tmp_path / small[number].path).read_bytes() for number in bad}
    for number in bad:
        (tmp_path / small[number].path).write_bytes(b"no")
    assert job(small).code == 3
    for number, content in good.items():
        (tmp_path / small[number].path).write_bytes(content)

    def killed(self: Growing, numbers: np.ndarray, rows: dict[str, np.ndarray], *rest: Any) -> None:
        real(self, numbers, {name: np.full_like(values, 7) for name, values in rows.items()}, *rest)
        raise Killed

    real = Growing.replace
    with pytest.MonkeyPatch.context() as patches, pytest.raises(Killed):
        patches.setattr(Growing, "replace", killed)
        job(None, "--retry-bad")
    job.check(job([*small[1:], small[0]]), 3)


@pytest.mark.slow
def test_work_set_aside_by_other_settings_or_other_software(job, small, by_other_software, tmp_path):
    """a.h5.known is there, and nothing beside it: killed as the next work began."""
    job.write(small)
    interrupt(job, 17)
    job.write(other_order(small))
    interrupt_begin(job)
    assert job.left() == ["a.h5.known", "a.h5.known.json", "a.h5.partial"]
    other = job(None, "--crops", "5")
    assert other.code == 4, other.err
    assert "a.h5.known should be made as this extraction" in other.err
    assert "crops: 1 there, 5 here\nIt is the unfinished work of a run. Give the same settings or an" in other.err
    by_other_software(job.folder / "a.h5.known")
    refused = job()
    assert refused.code == 4
    assert f"Give --reuse {job.output}.known to keep its rows" in refused.err
    done = job(None, "--reuse", f"{job.output}.known")
    assert job.computed == 9, done.err
    assert job.left() == ["a.h5", "a.h5.run.json"]


def interrupt_begin(job: Job) -> None:
    """Killed before the first journal of the new work."""
    from fne_cli.store.format.writer import Writer

    class Killed(BaseException):
        pass

    def create(*_: object, **__: object) -> None:
        raise Killed

    exit_ = Output.__exit__

    def gone(self: Output, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is Killed:
            os.close(self._lock)
            self._lock = None
        else:
            exit_(self, kind, *rest)

    with pytest.MonkeyPatch.context() as patches, pytest.raises(Killed):
        patches.setattr(Writer, "create", create)
        patches.setattr(Output, "__exit__", gone)
        job()


# Shards


@pytest.mark.slow
def test_shards_follow_and_so_does_what_is_merged_of_them(fne, job, small, tmp_path):
    shards = [tmp_path / f"part{number}.h5" for number in (1, 2)]

    def run() -> list[int]:
        computed = []
        for number, shard in enumerate(shards, start=1):
            done = job.extract(job.manifest, shard, "--shard", f"{number}/2")
            assert done.code == 0, done.err
            runs = json.loads(shard.with_name(f"{shard.name}.run.json").read_text())["runs"]
            computed.append(runs[-1]["images"])
        return computed

    job.write(small)
    run()
    assert fne("merge", *shards, tmp_path / "merged.h5").code == 0
    write_image(tmp_path / "new.png", 1004)
    job.write([*other_class(small), Row("new.png")])  # image 27 is of the first shard
    assert run() == [1, 0]
    merged = fne("merge", *shards, tmp_path / "merged.h5")
    assert merged.code == 0, merged.err
    assert "merged.h5 is made again, as its inputs have changed:\n  1 image added: new.png" in merged.err
    assert (tmp_path / "merged.h5").read_bytes() == job.fresh()
    again = fne("merge", *shards, tmp_path / "merged.h5")
    assert (again.code, "up to date" in again.err) == (0, True)


@pytest.mark.slow
def test_an_image_in_front_moves_all_others_to_another_shard(job, small, tmp_path):
    """What has moved is not lost, and so not refused; it is computed again unless --reuse names the other shards."""
    shards = [tmp_path / f"part{number}.h5" for number in (1, 2, 3)]
    job.write(small)
    for number, shard in enumerate(shards, start=1):
        job.extract(job.manifest, shard, "--shard", f"{number}/3")
    olds = [shutil.copy(shard, tmp_path / f"old{number}.h5") for number, shard in enumerate(shards)]
    write_image(tmp_path / "new.png", 1004)
    job.write([Row("new.png"), *small])
    moved = job.extract(job.manifest, shards[2], "--shard", "3/3")
    assert moved.code == 0, moved.err
    assert json.loads((tmp_path / "part3.h5.run.json").read_text())["runs"][-1]["images"] == 9
    words = [word for old in olds for word in ("--reuse", old)]
    done = job.extract(job.manifest, shards[1], "--shard", "2/3", *words)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "part2.h5.run.json").read_text())["runs"][-1]["images"] == 0
    job.extract(job.manifest, tmp_path / "fresh.h5", "--shard", "2/3")
    assert shards[1].read_bytes() == (tmp_path / "fresh.h5").read_bytes()


# As many as a user has


@pytest.mark.slow
def test_two_thousand_images(job, tmp_path):
    """20 labels changed, 30 images added, 10 removed, one class renamed: 30 images are computed."""
    job.options = ("--batch-size", 64)
    rows = rows_of(tmp_path, 2000)
    assert job(rows).code == 0
    for number in range(30):
        write_image(tmp_path / "new" / f"{number}.png", 5000 + number)
    rows = other_class([replace(row, label="b") if n % 100 == 3 else row for n, row in enumerate(rows)])
    chosen = random.Random(1)
    for number in chosen.sample(range(2000), 10):
        rows[number] = replace(rows[number], path="")
    rows = [row for row in rows if row.path]
    for number in range(30):
        rows.insert(chosen.randrange(len(rows)), Row(f"new/{number}.png", "c", "train"))
    done = job(rows)
    for line in ("30 images added: ", "10 images removed: ", "1 class renamed: a -> dog", "labels changed: "):
        assert line in done.err
    job.check(done, 30)
    job.check(job(other_splits(rows)), 0)
