"""Killed or without power at any point, resumed: the same bytes. Other settings, other images, a full disk: told."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from edited_files import edited
from real_files import INPUTS, SOFTWARE, add, found, images, layers, rows_of, settings, small_files

from fne_cli.errors import DamagedFile, DifferentOutput, DoesNotFit
from fne_cli.steps.verify import verify
from fne_cli.store.format import chunks
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Images, Layer
from fne_cli.store.output import resume
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import new_run
from fne_cli.store.output.resume import Growing

COUNT, CROPS, BAD = 11, 5, (2, 9, 10)
SPECS = [Layer("big", (200,), np.dtype("f4")), *layers((3,), (2, 2))]
POOLED = {spec.name: "avg" for spec in SPECS}


@pytest.fixture(scope="module", autouse=True)
def _small_chunks_and_many_commits() -> Iterator[None]:
    """13 rows of `big` in a chunk, 4.2 chunks; a commit after every batch."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(chunks, "CHUNK_BYTES", 13 * 800)
        patches.setattr(resume, "COMMIT_SECONDS", -1.0)
        yield


def values_of(table: Images, bad: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    rows = [number * CROPS + crop for number in bad for crop in range(CROPS)]
    return rows_of(SPECS, len(table) * CROPS, rows, seed)


def start(output: Output, table: Images, overwrite: bool = False, **changed: Any) -> Growing:
    return Growing.start(
        output, SPECS, table, settings(CROPS, **({"layers": POOLED} | changed)), INPUTS, SOFTWARE, overwrite
    )


def finish(path: Path, batch: int = 2, retry: bool = False, accept: bool = True) -> None:
    """What fne extract does: begin or go on, then (with `retry`) the bad images again; they are good then."""
    table, values = images(COUNT), values_of(images(COUNT), BAD)
    with Output(path, keep=True) as output:
        if retry and path.exists():
            output.begin_with(path, {"images": COUNT, "committed": COUNT, "inputs": INPUTS, "runs": []})
        with start(output, table) as growing:
            growing.begin_run(new_run(SOFTWARE))
            for first in range(growing.committed, COUNT, batch):
                add(growing, table, values, first, min(first + batch, COUNT), CROPS, BAD)
            if retry or growing.retry:
                growing.mark_retry(growing.retry or growing.bad_images())
                again(growing, table)
            growing.finish(INPUTS)
        if accept:
            output.accept({"inputs": INPUTS})


def again(growing: Growing, table: Images) -> None:
    """The images that are to be retried, in batches of two."""
    values, (status, message, sha256) = values_of(table, ()), found(table)
    for first in range(0, len(growing.retry), 2):
        numbers = np.array(growing.retry[first : first + 2])
        places = (numbers[:, None] * CROPS + np.arange(CROPS)).ravel()
        rows = {name: part[places] for name, part in values.items()}
        part = [[column[number] for number in numbers] for column in (message, sha256)]
        growing.replace(numbers, rows, status[numbers], *part)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a run that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "a.h5"
    finish(path, COUNT)
    assert not verify(path).problems
    return path.read_bytes()


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a run that found no image bad."""
    path = tmp_path_factory.mktemp("mended") / "a.h5"
    table = images(COUNT)
    with Output(path, keep=True) as output:
        with start(output, table) as growing:
            add(growing, table, values_of(table, ()), 0, COUNT, CROPS)
            growing.finish(INPUTS)
        output.accept()
    return path.read_bytes()


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 11])
def test_the_batches_do_not_matter(tmp_path, whole, batch):
    finish(tmp_path / "a.h5", batch)
    assert (tmp_path / "a.h5").read_bytes() == whole


def test_retrying_gives_the_file_that_had_no_bad_image(tmp_path, mended):
    """The last bad images are in chunks that are not full, which the writer also holds in memory."""
    path = tmp_path / "a.h5"
    finish(path)
    finish(path, retry=True)
    assert path.read_bytes() == mended
    finish(path, retry=True)
    assert path.read_bytes() == mended


def test_retrying_a_file_that_waits_to_be_accepted(tmp_path, mended):
    path = tmp_path / "a.h5"
    finish(path, accept=False)
    assert not path.exists()
    finish(path, retry=True)
    assert path.read_bytes() == mended


Names = dict[str, int]
Contents = dict[int, bytes]


@dataclass
class Disk:
    """A folder before and after each call that changes a file, by inode, and what of it is on the disk for sure."""

    folder: Path
    states: list[tuple[Names, Contents, Names, Contents]] = field(default_factory=list)
    handles: dict[int, int] = field(default_factory=dict)
    synced_names: Names = field(default_factory=dict)
    synced: Contents = field(default_factory=dict)

    def now(self) -> tuple[Names, Contents]:
        names = {path.name: path.stat().st_ino for path in self.folder.iterdir()}
        for name, inode in names.items():
            if inode not in self.handles:  # kept open: the number is not given to another file
                self.handles[inode] = os.open(self.folder / name, os.O_RDONLY)
        return names, {inode: os.pread(handle, 1 << 30, 0) for inode, handle in self.handles.items()}

    def record(self) -> None:
        state = (*self.now(), self.synced_names, dict(self.synced))
        if not self.states or self.states[-1] != state:
            self.states.append(state)

    def watch(self, patches: pytest.MonkeyPatch) -> None:
        """Record around every function that writes; what HDF5 still holds back is lost with the process."""
        self.synced_names, self.synced = self.now()
        for owner, name in (
            *((os, name) for name in ("pwrite", "ftruncate", "truncate", "unlink", "replace", "fsync")),
            (chunks, "write_chunk"),
            (chunks.Appender, "_write"),
            (h5py.File, "flush"),
            (h5py.File, "close"),
        ):
            patches.setattr(owner, name, self._around(name, getattr(owner, name)))

    def _around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.record()
            result = real(*arguments, **options)
            if name == "fsync":
                names, contents = self.now()
                inode = os.fstat(arguments[0]).st_ino
                if inode in contents:
                    self.synced[inode] = contents[inode]
                else:
                    self.synced_names = names
            self.record()
            return result

        return call

    def crashes(self, seed: int = 5) -> Iterator[dict[str, bytes]]:
        """Every state as a kill leaves it, and as a power failure may: of what was not synced, the old or the new."""
        chosen = random.Random(seed)
        for names, contents, synced_names, synced in self.states:
            yield {name: contents[inode] for name, inode in names.items()}
            left = chosen.choice([names, synced_names])
            yield {name: mixed(chosen, synced.get(inode, b""), contents[inode]) for name, inode in left.items()}


def mixed(chosen: random.Random, old: bytes, new: bytes) -> bytes:
    """Pages of 4 KiB, each as it was when synced or as it was written later; zeros where there was none."""
    result = bytearray(old[: len(new)].ljust(len(new), b"\0"))
    for page in range(0, len(new), 4096):
        if chosen.random() < 0.5:
            result[page : page + 4096] = new[page : page + 4096]
    return bytes(result)


def crash_everywhere(
    folder: Path, every: int, patches: pytest.MonkeyPatch, job: Callable[[], None], check: Callable[[Path], None]
) -> None:
    """Record the job in `folder`; put every state that a crash can leave into a new folder and check it."""
    disk = Disk(folder)
    with patches.context() as watching:
        disk.watch(watching)
        job()
        disk.record()
    assert len(disk.states) > 40
    patches.setattr(os, "fsync", lambda handle: None)
    for number, state in enumerate(disk.crashes()):
        if number % every == 0:
            place = folder.with_name(f"crash{number}")
            place.mkdir()
            for name, content in state.items():
                (place / name).write_bytes(content)
            check(place)
            shutil.rmtree(place)
    for handle in disk.handles.values():
        os.close(handle)


# Every state takes half a minute; a sample of them is taken with every run of the tests.
EVERY = pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@EVERY
def test_a_crash_at_any_point_of_a_first_run(folder, every, monkeypatch, whole):
    def check(place: Path) -> None:
        path = place / "a.h5"
        if not path.exists():
            finish(path, batch=3)
        assert path.read_bytes() == whole

    crash_everywhere(folder, every, monkeypatch, lambda: finish(folder / "a.h5", batch=4), check)


@EVERY
def test_a_crash_at_any_point_of_a_retry_in_place(folder, every, monkeypatch, whole, mended):
    """A complete file waits as a.h5.partial. What its journal calls complete is so; a retry once begun is finished."""
    finish(folder / "a.h5", accept=False)

    def check(place: Path) -> None:
        path = place / "a.h5"
        if path.exists():
            assert path.read_bytes() == mended
            return
        output = Output(path)
        if "complete" in output.read_journal():
            assert output.partial.read_bytes() in (whole, mended)
        finish(path, batch=3, retry=True)
        assert path.read_bytes() == mended

    crash_everywhere(folder, every, monkeypatch, lambda: finish(folder / "a.h5", retry=True), check)


@EVERY
def test_a_crash_at_any_point_of_a_retry_of_an_accepted_file(folder, every, monkeypatch, whole, mended):
    finish(folder / "a.h5")

    def check(place: Path) -> None:
        assert (place / "a.h5").read_bytes() in (whole, mended)
        finish(place / "a.h5", retry=True)
        assert (place / "a.h5").read_bytes() == mended

    crash_everywhere(folder, every, monkeypatch, lambda: finish(folder / "a.h5", retry=True), check)


def interrupted(path: Path, committed: int = 4, table: Images | None = None) -> Output:
    """A run that was killed after its first commit."""
    table = images(COUNT) if table is None else table
    with Output(path, keep=True) as output, start(output, table) as growing:
        growing.begin_run(new_run(SOFTWARE))
        add(growing, table, values_of(table, BAD), 0, committed, CROPS, BAD)
    return output


def test_what_the_next_run_finds(tmp_path):
    interrupted(tmp_path / "a.h5")
    with Output(tmp_path / "a.h5", keep=True) as output, start(output, images(COUNT)) as growing:
        assert growing.committed == 4
        assert growing.sha256() == found(images(COUNT))[2][:4]
        assert growing.bad_images() == [2]
        assert growing.retry == []
        assert growing.inputs == INPUTS
    run = output.read_journal()["runs"][0]
    assert run["software"] == SOFTWARE
    assert run["seconds"] >= 0


def split_changed(table: Images) -> None:
    table.split = ["train", *table.split[1:]]


def path_changed(table: Images) -> None:
    table.path = [*table.path[:3], "other.png", *table.path[4:]]


def label_changed(table: Images) -> None:
    table.label = np.where(np.arange(COUNT) == 7, 0, table.label).astype(np.int32)


def class_added(table: Images) -> None:
    table.classes = [*table.classes, "zebra"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (split_changed, 'split of image Größe/0000 画.png: "test" in the existing output, "train" asked for'),
        (
            path_changed,
            'path of image Größe/0003 画.png: "Größe/0003 画.png" in the existing output, "other.png" asked',
        ),
        (label_changed, "label of image Größe/0007 画.png: 1 in the existing output, 0 asked for"),
        (class_added, "classes: 3 in the existing output, 4 asked for; ['zebra']"),
    ],
)
def test_other_images_are_named(tmp_path, change, line):
    output, table = interrupted(tmp_path / "a.h5"), images(COUNT)
    before = output.partial.read_bytes()
    change(table)
    with pytest.raises(DifferentOutput) as raised, output:
        start(output, table)
    assert "a.h5.partial is the unfinished work of a run with other inputs or settings:\n  " in str(raised.value)
    assert line in str(raised.value)
    assert output.partial.read_bytes() == before


def test_other_settings_are_named(tmp_path):
    output = interrupted(tmp_path / "a.h5")
    with pytest.raises(DifferentOutput) as raised, output:
        start(output, images(COUNT), xla=True, layers=POOLED | {"conv": "max"}, note=None)
    lines = str(raised.value).split("\n  ")[1:]
    assert lines[:2] == [
        'layers.conv: "avg" in the existing output, "max" asked for',
        "xla: false in the existing output, true asked for\nGive the same ones or another output, or --overwrite to "
        "replace it.",
    ]


def test_another_number_of_images(tmp_path):
    output = interrupted(tmp_path / "a.h5")
    with pytest.raises(DifferentOutput, match="images: 11 in the existing output, 12 asked for"), output:
        start(output, images(12))


def test_overwriting_discards_other_work_and_goes_on_with_its_own(tmp_path):
    output = interrupted(tmp_path / "a.h5")
    with output, start(output, images(COUNT), overwrite=True) as growing:
        assert growing.committed == 4
    with output, start(output, images(COUNT), overwrite=True, xla=True) as growing:
        assert growing.committed == 0
    output = interrupted(tmp_path / "b.h5")
    with (
        output,
        Growing.start(
            output, SPECS, images(COUNT), settings(CROPS, layers=POOLED), {"state": "new"}, SOFTWARE, True
        ) as growing,
    ):
        assert growing.committed == 0


def journal_lost(output: Output) -> None:
    output.journal.write_text("{")


def cut_short(output: Output) -> None:
    os.truncate(output.partial, 10_000)


def moments_there(output: Output) -> None:
    with edited(output.partial) as file:
        file.attrs["kind"] = np.bytes_(b"moments")


@pytest.mark.parametrize("damage", [journal_lost, cut_short, moments_there])
def test_damaged_work_is_told_and_can_be_discarded(tmp_path, damage):
    output = interrupted(tmp_path / "a.h5")
    damage(output)
    with pytest.raises(DamagedFile, match="--overwrite begins again"), output:
        start(output, images(COUNT))
    with output, start(output, images(COUNT), overwrite=True) as growing:
        assert growing.committed == 0


def test_a_file_with_rows_missing_is_not_finished(tmp_path):
    with Output(tmp_path / "a.h5", keep=True) as output, start(output, images(COUNT)) as growing:
        add(growing, images(COUNT), values_of(images(COUNT), ()), 0, 10, CROPS)
        with pytest.raises(ValueError, match="should have 11 rows, found 10"):
            growing.finish(INPUTS)
    with pytest.raises(Exception, match="one that is not finished"):
        open_file(output.partial)


def test_the_disk_is_too_small_at_the_start(tmp_path):
    with pytest.raises(DoesNotFit) as raised, small_files(20_000), Output(tmp_path / "a.h5", keep=True) as output:
        start(output, images(COUNT))
    assert f"The disk of {tmp_path} is full. a.h5 becomes " in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_disk_fills_up_on_the_way(tmp_path, monkeypatch, whole):
    """Where blocks cannot be reserved. What was committed stays, and the same command goes on from there."""
    path = tmp_path / "a.h5"
    with monkeypatch.context() as patches:
        patches.setattr("fne_cli.store.format.writer.reserve", lambda handle, size: None)
        real = chunks.Appender._write

        def full(self: chunks.Appender, row: int) -> None:
            if row >= 33:
                message = "Can't (file write failed, errno = 28, error message = 'No space left on device')"
                raise OSError(message)
            real(self, row)

        patches.setattr(chunks.Appender, "_write", full)
        with pytest.raises(DoesNotFit, match="it goes on from the last committed image"):
            finish(path)
    with Output(path, keep=True) as output, start(output, images(COUNT)) as growing:
        assert growing.committed == 6
    finish(path)
    assert path.read_bytes() == whole


def test_a_sync_that_fails_commits_nothing(tmp_path, monkeypatch):
    output = interrupted(tmp_path / "a.h5")

    def fsync(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(Exception, match=r"a\.h5 cannot be written"), output, start(output, images(COUNT)) as growing:
        monkeypatch.setattr(os, "fsync", fsync)
        add(growing, images(COUNT), values_of(images(COUNT), BAD), 4, 6, CROPS, BAD)
    assert output.read_journal()["committed"] == 4


def test_commits_are_some_seconds_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "COMMIT_SECONDS", 1e9)
    with Output(tmp_path / "a.h5", keep=True) as output, start(output, images(COUNT)) as growing:
        add(growing, images(COUNT), values_of(images(COUNT), ()), 0, 4, CROPS)
        assert growing.committed == 0
        growing.commit()
        assert growing.committed == 4


def test_a_mark_is_on_the_disk_before_anything_is_changed(tmp_path):
    """Killed after the mark, a file that was complete is no longer called so."""
    finish(tmp_path / "a.h5", accept=False)
    output = Output(tmp_path / "a.h5", keep=True)
    assert output.read_journal()["complete"] == INPUTS
    with output, start(output, images(COUNT)) as growing:
        growing.mark_retry(growing.bad_images())
    assert output.read_journal()["retry"] == [2, 9, 10]
    assert "complete" not in output.read_journal()
    with pytest.raises(Exception, match="one that is not finished"):
        open_file(output.partial)
